import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef } from "react";

import { bytes } from "../logic/format";
import { type Token, lines, tokens } from "../logic/json";
import { Copy } from "./Copy";
import styles from "./Json.module.css";

interface Props {
  /** JSON, or any text. */
  text: string;
  label: string;
}

const LINE_PX = 19;
const FEW = 400;

/** JSON to read: laid out, coloured, of any length. Only the lines in view exist. */
export function Json({ text, label }: Props) {
  const laid = useMemo(() => lines(text), [text]);
  return (
    <section className={styles.box} aria-label={label}>
      <div className={styles.tools}>
        <span className="faint">{bytes(new Blob([text]).size)}</span>
        <Copy text={() => laid.join("\n")} what={label} />
      </div>
      {laid.length > FEW ? <Long lines={laid} /> : <Short lines={laid} />}
    </section>
  );
}

function Short({ lines: laid }: { lines: string[] }) {
  return (
    <pre className={styles.text} tabIndex={0}>
      {laid.map((line, index) => (
        <Line key={index} line={line} />
      ))}
    </pre>
  );
}

function Long({ lines: laid }: { lines: string[] }) {
  const scroller = useRef<HTMLPreElement>(null);
  const virtual = useVirtualizer({
    count: laid.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_PX,
    overscan: 20,
  });
  return (
    <pre className={`${styles.text} ${styles.long}`} ref={scroller} tabIndex={0}>
      <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map((item) => (
          <div key={item.key} className={styles.row} style={{ transform: `translateY(${item.start}px)` }}>
            <Line line={laid[item.index] ?? ""} />
          </div>
        ))}
      </div>
    </pre>
  );
}

function Line({ line }: { line: string }) {
  return (
    <span className={styles.line}>
      {tokens(line).map((token: Token, index) =>
        token.kind === "plain" ? token.text : <span key={index} className={styles[token.kind]}>{token.text}</span>,
      )}
      {"\n"}
    </span>
  );
}
