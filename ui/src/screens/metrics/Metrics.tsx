import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import { useFunctions } from "../../data/functions";
import { useLive } from "../../data/live";
import { latenciesOf } from "../../data/metrics";
import { queries, throttled } from "../../data/queries";
import { runsOverTime } from "../../data/runs";
import { count, duration } from "../../logic/format";
import { TIMES, windowOf } from "../../logic/window";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import screen from "../../parts/ListScreen.module.css";
import { Pick } from "../../parts/Pick";
import { type Line, Plot } from "../../parts/Plot";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import { FunctionTable, StepTable } from "./tables";
import styles from "./Metrics.module.css";

const BARS = 60;
const AGAIN_MS = 5_000;
const DEFAULT_WINDOW = "1h";
const CHOICES = TIMES.filter(([value]) => value !== "all");

/** Throughput, queue lag and durations over time, of all functions or of one with its steps. */
export function Metrics() {
  useTitle("Metrics");
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const functions = useFunctions();
  const known = functions.data ?? [];
  const slug = search["function"];
  const chosen = known.find((each) => each.slug === slug);
  const key = useMemo(() => ["metrics", slug ?? "", search["last"] ?? "", search["from"] ?? ""], [slug, search["last"], search["from"]]);
  const ready = !slug || functions.isSuccess;
  const query = useQuery({ queryKey: key, queryFn: ({ signal }) => asked(search, chosen?.id, signal), enabled: ready && (!slug || Boolean(chosen)), placeholderData: keepPreviousData });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey: key }), AGAIN_MS), [key]);
  useLive("runs", again);
  const change = (given: Search) => void navigate({ to: "/performance", search: { ...search, ...given }, replace: true });
  return (
    <div className={styles.screen}>
      <div className={screen.title}>
        <h1>Metrics</h1>
        {chosen ? (
          <Link to="/functions/$slug" params={{ slug: chosen.slug }} search={{}} className="soft">
            {chosen.name}
          </Link>
        ) : null}
      </div>
      <div className={screen.toolbar} role="search">
        <Pick label="Function" options={[["", "All functions"], ...known.map((each) => [each.slug, each.name] as const)]} chosen={[slug ?? ""]} choose={([one]) => change({ function: one ?? "" })} single />
        <Pick label="Time" options={CHOICES} chosen={[search["last"] ?? DEFAULT_WINDOW]} choose={([last]) => change({ last: last === DEFAULT_WINDOW ? "" : last })} single />
      </div>
      {slug && functions.isSuccess && !chosen ? (
        <Empty title="There is no such function" detail={`No app has registered ${slug}.`}>
          <Link to="/performance" search={{}}>
            All functions
          </Link>
        </Empty>
      ) : query.isError ? (
        <Failure error={query.error} retry={() => void query.refetch()} />
      ) : query.data ? (
        <Shown figures={query.data} />
      ) : null}
      {chosen ? <StepTable slug={chosen.slug} queryKey={key} from={() => windowFrom(search)} /> : slug ? null : <FunctionTable queryKey={key} from={() => windowFrom(search)} search={search} />}
    </div>
  );
}

function windowFrom(search: Search): string {
  return new Date(windowOf(search, Date.now(), DEFAULT_WINDOW).from).toISOString();
}

async function asked(search: Search, functionID: string | undefined, signal: AbortSignal) {
  const window = { from: windowFrom(search), until: new Date().toISOString() };
  const filter = { ...window, ...(functionID ? { functions: [functionID] } : {}) };
  const [bars, latencies] = await Promise.all([runsOverTime(filter, BARS, signal), latenciesOf(window, functionID, BARS, signal)]);
  return { bars, latencies };
}

type Figures = Awaited<ReturnType<typeof asked>>;

function Shown({ figures }: { figures: Figures }) {
  const { bars, latencies } = figures;
  const times = useMemo(() => bars.map((bar) => bar.from), [bars]);
  const lines = useMemo(() => linesOf(figures), [figures]);
  const runs = bars.reduce((sum, bar) => sum + bar.completed + bar.failed + bar.cancelled + bar.alive, 0);
  const failed = bars.reduce((sum, bar) => sum + bar.failed, 0);
  const step = bars[0] ? bars[0].until - bars[0].from : 0;
  return (
    <>
      <p className={styles.note}>
        {count(runs)} runs, {count(failed)} failed. Each point is {duration(step)}; percentiles are of up to 200 runs of each.
      </p>
      <div className={styles.plots}>
        <Plot title="Throughput" times={times} lines={lines.throughput} format={count} bars />
        <Plot title="Queue lag" times={times} lines={lines.queued} format={duration} />
        <Plot title="Duration" times={times} lines={lines.took} format={duration} />
      </div>
      {latencies.some((each) => each.sampled) ? null : <p className={styles.note}>No run started in this time.</p>}
    </>
  );
}

function linesOf({ bars, latencies }: Figures): Record<"throughput" | "queued" | "took", Line[]> {
  return {
    // Bars are drawn over each other, the whole first.
    throughput: [
      { name: "runs", colour: "--running-mark", values: bars.map((bar) => bar.completed + bar.failed + bar.cancelled + bar.alive) },
      { name: "failed", colour: "--failed-mark", values: bars.map((bar) => bar.failed) },
    ],
    queued: [
      { name: "p50", colour: "--running-mark", values: latencies.map((each) => each.queuedP50) },
      { name: "p95", colour: "--retrying-mark", values: latencies.map((each) => each.queuedP95) },
    ],
    took: [
      { name: "p50", colour: "--running-mark", values: latencies.map((each) => each.tookP50) },
      { name: "p95", colour: "--retrying-mark", values: latencies.map((each) => each.tookP95) },
    ],
  };
}
