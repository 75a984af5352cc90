import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, useEffect, useMemo, useRef, useState } from "react";

import { duration } from "../../logic/format";
import { type Scale, foldable, scaleOf } from "../../logic/scale";
import { type Row, type Segment, type Timeline, tickLabel, ticks, visible } from "../../logic/timeline";
import { Button } from "../../parts/Button";
import { Mark } from "../../parts/Status";
import { isTyping } from "../../shell/shortcuts";
import styles from "./Trace.module.css";
import { useZoom } from "./zoom";

interface Props {
  shown: Timeline;
  /** Whether the run goes on. */
  open: boolean;
  chosen: string | undefined;
  choose: (key: string) => void;
}

const ROW_PX = 30;
const MOST_TICKS = innerWidth < 760 ? 3 : 7;

/** The timeline: a row for each step, its attempts inside the row, all on one axis. */
export function Trace({ shown, open, chosen, choose }: Props) {
  const [spread, setSpread] = useState<ReadonlySet<string>>(new Set());
  const [fold, setFold] = useState(true);
  const zoom = useZoom();
  const from = zoom.range?.from ?? shown.from;
  const to = zoom.range?.to ?? shown.to;
  const scale = useMemo(() => scaleOf(shown.rows, from, to, fold && !zoom.range), [shown, from, to, fold, zoom.range]);
  const rows = useMemo(() => visible(shown.rows, spread), [shown.rows, spread]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_PX, overscan: 15 });
  useKeys(rows, chosen, choose, (index) => virtual.scrollToIndex(index));
  const toggle = (key: string) => {
    const next = new Set(spread);
    if (!next.delete(key)) next.add(key);
    setSpread(next);
  };
  const hasFold = foldable(shown.rows, shown.from, shown.to);
  return (
    <section className={styles.trace} aria-label="Timeline">
      <div className={styles.ruler}>
        <span className={styles.tools}>
          {zoom.range ? (
            <Button small kind="quiet" onClick={zoom.reset}>
              Whole run
            </Button>
          ) : hasFold ? (
            <Button small kind="quiet" aria-pressed={!fold} title="Long waits are drawn short" onClick={() => setFold(!fold)}>
              {fold ? "True to scale" : "Fold waits"}
            </Button>
          ) : null}
        </span>
        <Ruler scale={scale} start={shown.from} zoom={zoom} />
        <span className={styles.took}>Took</span>
      </div>
      <div className={styles.rows} ref={scroller}>
        <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
          <Guides scale={scale} now={open && !zoom.range ? Date.now() : undefined} start={shown.from} />
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index];
            return row ? (
              <TraceRow
                key={row.key}
                row={row}
                scale={scale}
                chosen={row.key === chosen}
                spread={spread.has(row.key)}
                style={{ transform: `translateY(${item.start}px)` }}
                choose={() => (row.kind === "span" ? undefined : choose(row.key === chosen ? "" : row.key))}
                toggle={row.children.length ? () => toggle(row.key) : undefined}
              />
            ) : null;
          })}
        </div>
        {rows.length ? null : <p className={styles.none}>{open ? "No step yet." : "The function ran without steps."}</p>}
      </div>
      <Legend />
    </section>
  );
}

interface RowProps {
  row: Row;
  scale: Scale;
  chosen: boolean;
  spread: boolean;
  style: CSSProperties;
  choose: () => void;
  toggle: (() => void) | undefined;
}

function TraceRow({ row, scale, chosen, spread, style, choose, toggle }: RowProps) {
  return (
    <div className={styles.row} style={style} data-chosen={chosen || undefined}>
      <span className={styles.name} style={{ paddingLeft: 12 + row.depth * 14 }}>
        {toggle ? (
          <button type="button" className={styles.caret} aria-expanded={spread} aria-label={`Spans of ${row.name}`} onClick={toggle}>
            {spread ? "▾" : "▸"}
          </button>
        ) : null}
        <button type="button" className={styles.choose} aria-pressed={chosen} onClick={choose} title={row.name}>
          <Mark look={row.status} />
          <span className="cut">{row.name}</span>
          {row.kind === "run" || row.kind === "span" ? null : <span className={styles.kind}>{WORDS[row.kind]}</span>}
          {row.attempts.length > 1 ? (
            <span className={styles.attempts} title={`${row.attempts.length} attempts${row.recovered ? ", recovered" : ""}`}>
              ↻{row.attempts.length}
            </span>
          ) : null}
        </button>
      </span>
      <span className={styles.bars} onClick={choose}>
        {row.segments.map((segment, index) => (
          <Bar key={index} segment={segment} scale={scale} />
        ))}
      </span>
      <span className={styles.took}>{took(row)}</span>
    </div>
  );
}

const WORDS: Record<string, string> = { sleep: "sleep", event: "event", signal: "signal", invoke: "invoke", ai: "AI", send: "send", function: "" };

function took(row: Row): string {
  const last = row.segments.filter((segment) => !segment.planned).at(-1);
  const end = row.to ?? (row.kind === "span" ? undefined : last?.to);
  return end === undefined ? "…" : duration(end - row.from);
}

function Bar({ segment, scale }: { segment: Segment; scale: Scale }) {
  const end = segment.to ?? Math.max(Date.now(), segment.from);
  if (end < scale.from || segment.from > scale.to) return null;
  const left = scale.at(segment.from);
  const width = scale.at(end) - left;
  const what = segment.planned ? `planned, until ${new Date(end).toLocaleString()}` : duration(end - segment.from);
  return (
    <span
      className={`${styles.bar} ${styles[segment.kind]} ${styles[segment.status]} ${segment.planned ? styles.planned : ""} ${segment.to === undefined ? styles.ongoing : ""}`}
      style={{ left: `${left * 100}%`, width: `${width * 100}%` }}
      title={`${TITLES[segment.kind]}${segment.attempt ? `, attempt ${segment.attempt}` : ""}: ${what}`}
    />
  );
}

const TITLES = { queue: "Queued", work: "Working", backoff: "Backing off", wait: "Waiting" };

function Ruler({ scale, start, zoom }: { scale: Scale; start: number; zoom: ReturnType<typeof useZoom> }) {
  return (
    <span className={styles.axis} onPointerDown={(event) => zoom.begin(event, scale)} title="Drag to look closer">
      {marks(scale, start).map((mark) => (
        <span key={mark.at} className={styles.mark} style={{ left: `${mark.at * 100}%` }}>
          {mark.label}
        </span>
      ))}
      {scale.folds.map((gap) => (
        <span key={gap.from} className={styles.foldLabel} style={{ left: `${scale.at(gap.from) * 100}%`, width: `${(scale.at(gap.to) - scale.at(gap.from)) * 100}%` }}>
          {duration(gap.to - gap.from)}
        </span>
      ))}
      {zoom.brush ? <span className={styles.brush} style={{ left: `${zoom.brush.from * 100}%`, width: `${(zoom.brush.to - zoom.brush.from) * 100}%` }} /> : null}
    </span>
  );
}

function marks(scale: Scale, start: number): { at: number; label: string }[] {
  if (scale.folds.length) return [{ at: 0, label: tickLabel(scale.from - start) }];
  const offset = scale.from - start;
  return ticks(scale.to - scale.from, MOST_TICKS).map((tick) => ({ at: scale.at(scale.from + tick), label: tickLabel(Math.round(tick + offset)) }));
}

function Guides({ scale, start, now }: { scale: Scale; start: number; now: number | undefined }) {
  return (
    <span className={styles.guides}>
      {marks(scale, start).map((mark) => (
        <i key={mark.at} style={{ left: `${mark.at * 100}%` }} />
      ))}
      {scale.folds.map((gap) => (
        <i key={gap.from} className={styles.foldArea} style={{ left: `${scale.at(gap.from) * 100}%`, width: `${(scale.at(gap.to) - scale.at(gap.from)) * 100}%` }} />
      ))}
      {now !== undefined && now < scale.to ? <i className={styles.now} style={{ left: `${scale.at(now) * 100}%` }} /> : null}
    </span>
  );
}

function Legend() {
  return (
    <p className={styles.legend}>
      {(["queue", "work", "backoff", "wait"] as const).map((kind) => (
        <span key={kind}>
          <i className={`${styles.bar} ${styles[kind]} ${kind === "wait" ? styles.waiting : kind === "backoff" ? styles.retrying : styles.completed}`} />
          {TITLES[kind].toLowerCase()}
        </span>
      ))}
      <span>
        <i className={`${styles.bar} ${styles.wait} ${styles.waiting} ${styles.planned}`} />
        planned
      </span>
    </p>
  );
}

/** j and k go from step to step. */
function useKeys(rows: readonly Row[], chosen: string | undefined, choose: (key: string) => void, show: (index: number) => void): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      if (event.key.startsWith("Arrow") && !(event.target as HTMLElement).closest(`.${styles.trace}`)) return;
      const steps = rows.filter((row) => row.kind !== "span");
      const at = steps.findIndex((row) => row.key === chosen);
      const next = steps[at < 0 ? (step > 0 ? 0 : steps.length - 1) : at + step];
      if (!next) return;
      event.preventDefault();
      choose(next.key);
      show(rows.indexOf(next));
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });
}
