import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type PointerEvent as Press, memo, useMemo, useState } from "react";

import { useLive } from "../../data/live";
import { queries, throttled } from "../../data/queries";
import { type Bar, type RunFilter, runsOverTime } from "../../data/runs";
import { clock, count } from "../../logic/format";
import type { Search } from "../../router";
import styles from "./Histogram.module.css";

interface Props {
  queryKey: readonly string[];
  filter: () => RunFilter;
  search: Search;
  ready: boolean;
  change: (given: Search) => void;
}

const BARS = 72;
const AGAIN_MS = 4_000;
const MONTH_MS = 30 * 86_400_000;
const PARTS = ["failed", "cancelled", "completed", "alive"] as const;
const STATUSES = { failed: "FAILED", cancelled: "CANCELLED", completed: "COMPLETED", alive: "QUEUED,RUNNING" } as const;
const NAMES = { failed: "failed", cancelled: "cancelled", completed: "completed", alive: "unfinished" } as const;

/** Runs over the chosen time by how they stand. Dragging chooses a part of it; the totals filter by state. */
export const Histogram = memo(function Histogram({ queryKey, filter, search, ready, change }: Props) {
  const key = useMemo(() => ["runs-over-time", ...queryKey], [queryKey.join(" ")]);
  const asked = () => {
    const wanted = filter();
    const earliest = new Date(Date.now() - MONTH_MS).toISOString();
    return search["last"] === "all" && !search["from"] ? { ...wanted, from: earliest } : wanted;
  };
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => runsOverTime(asked(), BARS, signal),
    enabled: ready && !search["q"] && !search["event"],
    placeholderData: keepPreviousData,
  });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey: key }), AGAIN_MS), [key]);
  useLive("runs", again);
  const [brush, setBrush] = useState<[number, number]>();
  const bars = query.data;
  if (!bars?.length || search["q"] || search["event"]) return null;
  const most = Math.max(1, ...bars.map(sizeOf));
  const begin = (event: Press<HTMLElement>) => drag(event, bars, setBrush, (from, until) => change({ from, until, last: "" }));
  return (
    <section className={styles.box} aria-label="Runs over time">
      <div className={styles.bars} onPointerDown={begin} title="Drag to choose a time">
        {bars.map((bar) => (
          <span key={bar.from} className={styles.bar} title={told(bar)}>
            {PARTS.map((part) => (bar[part] ? <i key={part} className={styles[part]} style={{ height: `${(100 * bar[part]) / most}%` }} /> : null))}
          </span>
        ))}
        {brush ? <span className={styles.brush} style={{ left: `${brush[0] * 100}%`, width: `${(brush[1] - brush[0]) * 100}%` }} /> : null}
      </div>
      <Totals bars={bars} choose={(part) => change({ status: STATUSES[part] })} />
    </section>
  );
});

function Totals({ bars, choose }: { bars: readonly Bar[]; choose: (part: (typeof PARTS)[number]) => void }) {
  const sums = Object.fromEntries(PARTS.map((part) => [part, bars.reduce((sum, bar) => sum + bar[part], 0)])) as Record<(typeof PARTS)[number], number>;
  const ended = sums.failed + sums.completed;
  return (
    <ul className={styles.totals}>
      {PARTS.filter((part) => sums[part]).map((part) => (
        <li key={part}>
          <button type="button" onClick={() => choose(part)}>
            <i className={styles[part]} />
            {count(sums[part])} {NAMES[part]}
          </button>
        </li>
      ))}
      {sums.failed ? <li className="soft">{((100 * sums.failed) / ended).toFixed(1)} % failed</li> : null}
    </ul>
  );
}

function sizeOf(bar: Bar): number {
  return PARTS.reduce((sum, part) => sum + bar[part], 0);
}

function told(bar: Bar): string {
  const parts = PARTS.filter((part) => bar[part]).map((part) => `${bar[part]} ${NAMES[part]}`);
  return `${clock(bar.from, Date.now()).slice(0, -4)}: ${parts.join(", ") || "none"}`;
}

/** Follow the pointer over the bars; the stretch that it marked is chosen when it lets go. */
function drag(event: Press<HTMLElement>, bars: readonly Bar[], show: (brush?: [number, number]) => void, choose: (from: string, until: string) => void): void {
  const box = event.currentTarget.getBoundingClientRect();
  const place = (x: number) => Math.min(Math.max((x - box.left) / box.width, 0), 0.9999);
  const start = place(event.clientX);
  const between = (x: number): [number, number] => [Math.min(start, place(x)), Math.max(start, place(x))];
  const move = (moved: PointerEvent) => show(between(moved.clientX));
  const end = (ended: PointerEvent) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    show(undefined);
    const [first, last] = between(ended.clientX).map((at) => bars[Math.floor(at * bars.length)]);
    if (first && last && (first !== last || sizeOf(first))) choose(new Date(first.from).toISOString(), new Date(last.until).toISOString());
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
}
