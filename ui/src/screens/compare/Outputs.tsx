import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { savedOutput } from "../../data/compare";
import { outputOf } from "../../data/trace";
import { type Pair, type Side, lineDiff, unwrap } from "../../logic/compare";
import { lines } from "../../logic/json";
import { Copy } from "../../parts/Copy";
import { Failure } from "../../parts/Failure";
import styles from "./Compare.module.css";

interface Props {
  ids: readonly [string, string];
  pair?: Pair;
  /** Outputs by their id, for what is no saved step. */
  outputs?: readonly (string | undefined)[];
}

const MOST_LINES = 4_000;

/** Both outputs side by side; lines that the other side has not are marked. */
export function Outputs({ ids, pair, outputs }: Props) {
  const left = useOutput(ids[0], pair?.left, outputs?.[0]);
  const right = useOutput(ids[1], pair?.right, outputs?.[1]);
  const failed = [left, right].find((query) => query.isError);
  const [one, other] = [left.data, right.data];
  const marks = useMemo(() => (one && other ? lineDiff(one, other) : undefined), [one, other]);
  if (failed) return <Failure error={failed.error} retry={() => void failed.refetch()} />;
  return (
    <div className={styles.outputs} role="row">
      <Lines lines={one} marks={marks?.left} kind="removed" label="Output on the left" />
      <Lines lines={other} marks={marks?.right} kind="added" label="Output on the right" />
    </div>
  );
}

function useOutput(runID: string, side: Side | undefined, outputID: string | undefined) {
  const stepID = side?.saved?.stepID;
  const id = outputID ?? side?.row?.attempts.at(-1)?.outputID ?? side?.row?.outputID;
  return useQuery({
    queryKey: ["compare", runID, stepID ?? id ?? "", side?.saved?.digest ?? ""],
    queryFn: async ({ signal }) => {
      if (stepID) return lines(unwrap(await savedOutput(runID, stepID, signal)));
      if (!id) return [];
      const output = await outputOf(id, signal);
      return lines(output.error ? JSON.stringify(output.error) : (output.data ?? "null"));
    },
  });
}

function Lines({ lines: given, marks, kind, label }: { lines: string[] | undefined; marks: boolean[] | undefined; kind: "added" | "removed"; label: string }) {
  if (!given) return <span role="cell" className="faint">Loading…</span>;
  if (!given.length) return <span role="cell" className="faint">Nothing</span>;
  return (
    <section role="cell" className={styles.output} aria-label={label}>
      <span className={styles.copy}>
        <Copy text={() => given.join("\n")} what="the output" />
      </span>
      <pre tabIndex={0}>
        {given.slice(0, MOST_LINES).map((line, at) => (
          <span key={at} className={marks?.[at] ? styles[kind] : undefined}>
            {line}
            {"\n"}
          </span>
        ))}
        {given.length > MOST_LINES ? `… ${given.length - MOST_LINES} lines more: copy to see them` : null}
      </pre>
    </section>
  );
}
