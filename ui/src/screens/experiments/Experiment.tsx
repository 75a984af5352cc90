import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import { type Experiment as Details, type Variant, experimentOf } from "../../data/experiments";
import { Problem } from "../../data/http";
import { useLive } from "../../data/live";
import { queries, throttled } from "../../data/queries";
import { count, ms, plural } from "../../logic/format";
import { TIMES, windowOf } from "../../logic/window";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import screen from "../../parts/ListScreen.module.css";
import { Pick } from "../../parts/Pick";
import { type ShortColumn, ShortTable } from "../../parts/ShortTable";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import styles from "./Experiments.module.css";

const AGAIN_MS = 3_000;

/** One experiment: the runs of each variant, and what their scores come to. */
export function Experiment() {
  const { app = "", slug = "", id = "" } = useParams({ strict: false }) as { app?: string; slug?: string; id?: string };
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  useTitle(`${id}, experiment`);
  const queryKey = useMemo(() => ["experiment", app, slug, id, search["last"] ?? ""], [app, slug, id, search["last"]]);
  const from = () => {
    const at = windowOf(search, Date.now(), "all").from;
    return at ? new Date(at).toISOString() : "";
  };
  const query = useQuery({ queryKey, queryFn: ({ signal }) => experimentOf(app, slug, id, from(), signal), placeholderData: keepPreviousData });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey }), AGAIN_MS), [queryKey]);
  useLive("runs", again);
  if (query.isError) {
    const unknown = query.error instanceof Problem && query.error.status === 404;
    return unknown ? (
      <Empty title="There is no such experiment" detail={`No run of ${slug} has taken part in ${id}.`}>
        <Link to="/experiments" search={{}}>
          All experiments
        </Link>
      </Empty>
    ) : (
      <Failure error={query.error} retry={() => void query.refetch()} />
    );
  }
  return (
    <div className={styles.screen}>
      <div className={screen.title}>
        <Link to="/experiments" search={{}} className="soft">
          Experiments
        </Link>
        <span className="faint">/</span>
        <h1 className="cut">{id}</h1>
      </div>
      <div className={screen.toolbar}>
        <Pick label="Time" options={TIMES} chosen={[search["last"] ?? "all"]} choose={([last]) => void navigate({ to: ".", search: last === "all" ? {} : { last }, replace: true })} single />
      </div>
      {query.data ? <Shown experiment={query.data} slug={`${app}-${slug}`} /> : null}
    </div>
  );
}

function Shown({ experiment, slug }: { experiment: Details; slug: string }) {
  const scores = [...new Set(experiment.variants.flatMap((variant) => (variant.metrics ?? []).map((metric) => metric.key)))].sort();
  const runs = experiment.variants.reduce((sum, variant) => sum + variant.runCount, 0);
  return (
    <div className={styles.body}>
      <p className="soft">
        {plural(runs, "run")} of <Link to="/functions/$slug" params={{ slug }} search={{}}>{slug}</Link>
        {experiment.selectionStrategy ? `, chosen ${experiment.selectionStrategy}` : ""}
        {experiment.lastSeen ? (
          <>
            , the last one <Moment at={ms(experiment.lastSeen)} as="relative" />
          </>
        ) : null}
      </p>
      <ShortTable label="Variants" rows={experiment.variants} columns={columnsOf(experiment, scores, runs)} keyOf={(row) => row.variantName} />
      {scores.length ? (
        <p className="faint">Scores: mean, and the least and greatest value. True counts as 1, false as 0; the highest mean of each score is bold.</p>
      ) : (
        <p className="soft">No run has a score yet. A function reports scores with step.score, anybody with <code>holdfast api create-score</code>.</p>
      )}
    </div>
  );
}

function columnsOf(experiment: Details, scores: readonly string[], runs: number): ShortColumn<Variant>[] {
  const weights = new Map((experiment.variantWeights ?? []).map((each) => [each.variantName, each.weight]));
  const highest = new Map(scores.map((score) => [score, Math.max(...experiment.variants.map((variant) => meanOf(variant, score) ?? Number.NEGATIVE_INFINITY))]));
  return [
    { header: "Variant", cell: (row) => <b>{row.variantName}</b> },
    ...(weights.size ? [{ header: "Weight", align: "right" as const, cell: (row: Variant) => <span className="number">{weights.get(row.variantName) ?? "–"}</span> }] : []),
    { header: "Runs", align: "right", cell: (row) => <span className="number">{count(row.runCount)}</span> },
    { header: "Share", align: "right", cell: (row) => <span className="number">{runs ? `${Math.round((100 * row.runCount) / runs)} %` : "–"}</span> },
    ...scores.map((score): ShortColumn<Variant> => ({ header: score, align: "right", cell: (row) => <Score row={row} score={score} highest={highest.get(score)} /> })),
  ];
}

function meanOf(variant: Variant, score: string): number | undefined {
  return (variant.metrics ?? []).find((metric) => metric.key === score)?.avg;
}

function Score({ row, score, highest }: { row: Variant; score: string; highest: number | undefined }) {
  const found = (row.metrics ?? []).find((metric) => metric.key === score);
  if (!found) return <span className="faint">–</span>;
  return (
    <span className="number">
      <span className={found.avg === highest ? styles.highest : undefined}>{short(found.avg)}</span>{" "}
      <span className="faint">
        {short(found.min)} to {short(found.max)}
      </span>
    </span>
  );
}

function short(value: number): string {
  return Number.isInteger(value) ? count(value) : value.toPrecision(3);
}
