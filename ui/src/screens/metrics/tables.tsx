import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import { type FunctionFigures, type StepFigures, ended, functionFigures, stepFigures } from "../../data/metrics";
import { count, duration } from "../../logic/format";
import { Failure } from "../../parts/Failure";
import { type ShortColumn, ShortTable } from "../../parts/ShortTable";
import type { Search } from "../../router";
import styles from "./Metrics.module.css";

interface Props {
  queryKey: readonly string[];
  from: () => string;
}

/** The figures of each function; its name leads to its own metrics. */
export function FunctionTable({ queryKey, from, search }: Props & { search: Search }) {
  const query = useQuery({ queryKey: [...queryKey, "functions"], queryFn: ({ signal }) => functionFigures(from(), signal), placeholderData: keepPreviousData });
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  if (!query.data?.length) return null;
  return (
    <section className={styles.table} aria-label="By function">
      <h2>By function</h2>
      <ShortTable label="Functions" rows={query.data} columns={functionColumns(search)} keyOf={(row) => row.id} />
      <p className="faint">Percentiles are of the newest 100 ended runs of each function.</p>
    </section>
  );
}

function functionColumns(search: Search): ShortColumn<FunctionFigures>[] {
  return [
    {
      header: "Function",
      cell: (row) => (
        <Link to="/performance" search={{ ...search, function: row.slug }}>
          {row.name}
        </Link>
      ),
    },
    { header: "Runs", align: "right", cell: (row) => <Number value={ended(row)} /> },
    { header: "Failed", align: "right", cell: (row) => <Number value={row.health.failed} bad /> },
    { header: "Unfinished", align: "right", cell: (row) => <Number value={row.health.alive} /> },
    { header: "Queue p50", align: "right", cell: (row) => <Time ms={row.health.queuedP50} /> },
    { header: "Queue p95", align: "right", cell: (row) => <Time ms={row.health.queuedP95} /> },
    { header: "Took p50", align: "right", cell: (row) => <Time ms={row.health.p50} /> },
    { header: "Took p95", align: "right", cell: (row) => <Time ms={row.health.p95} /> },
  ];
}

/** The figures of each step of a function. */
export function StepTable({ slug, queryKey, from }: Props & { slug: string }) {
  const query = useQuery({ queryKey: [...queryKey, "steps"], queryFn: ({ signal }) => stepFigures(slug, from(), signal), placeholderData: keepPreviousData });
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return null;
  return (
    <section className={styles.table} aria-label="By step">
      <h2>By step</h2>
      {query.data.length ? <ShortTable label="Steps" rows={query.data} columns={STEP_COLUMNS} keyOf={(row) => row.name} /> : <p className="soft">Its runs in this time have saved no steps.</p>}
      <p className="faint">Of the newest 100 ended runs in this time, at most 5,000 steps.</p>
    </section>
  );
}

const STEP_COLUMNS: ShortColumn<StepFigures>[] = [
  { header: "Step", cell: (row) => row.name },
  { header: "Kind", cell: (row) => <span className="soft">{row.type}</span> },
  { header: "Runs", align: "right", cell: (row) => <Number value={row.runs} /> },
  { header: "Failed attempts", align: "right", cell: (row) => <Number value={row.failedAttempts} bad /> },
  { header: "p50", align: "right", cell: (row) => <Time ms={row.p50} /> },
  { header: "p95", align: "right", cell: (row) => <Time ms={row.p95} /> },
  { header: "Slowest", align: "right", cell: (row) => <Time ms={row.max} /> },
];

function Number({ value, bad }: { value: number; bad?: boolean }) {
  if (!value) return <span className="faint">–</span>;
  return <span className={`number ${bad ? styles.bad : ""}`}>{count(value)}</span>;
}

function Time({ ms }: { ms: number | null }) {
  return ms === null ? <span className="faint">–</span> : <span className="number">{duration(ms)}</span>;
}
