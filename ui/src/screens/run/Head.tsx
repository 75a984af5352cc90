import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Suspense, lazy, useState } from "react";

import { queries } from "../../data/queries";
import { type RunDetails, type SpanNode, cancelRun } from "../../data/trace";
import { duration, ms, shortId } from "../../logic/format";
import { stateOf } from "../../logic/state";
import type { Timeline } from "../../logic/timeline";
import { Button } from "../../parts/Button";
import { Copy } from "../../parts/Copy";
import { Status } from "../../parts/Status";
import { Moment } from "../../parts/Time";
import styles from "./Run.module.css";

const Rerun = lazy(() => import("./Rerun"));

interface Props {
  run: RunDetails;
  trace: SpanNode;
  shown: Timeline;
}

/** One line that says all: what, how it stands, when, how long and on what; and what can be done. */
export function Head({ run, shown }: Props) {
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const cancel = useMutation({
    mutationFn: () => cancelRun(run.id),
    onSettled: () => queries.invalidateQueries({ queryKey: ["run", run.id] }),
  });
  const ended = run.endedAt !== null;
  const first = run.why[0];
  const state = stateOf(run.status, first && !ended ? { kind: first.kind, step: first.step ?? undefined, key: first.key ?? undefined, value: first.value ?? undefined, limit: first.limit ?? undefined } : undefined);
  return (
    <header className={styles.head}>
      <div className={styles.what}>
        <Link to="/runs" className={styles.back} aria-label="All runs">
          Runs
        </Link>
        <span className="faint">/</span>
        <h1 className="cut">
          <Link to="/runs" search={{ function: run.function.slug }} title={`Runs of ${run.function.slug}`}>
            {run.function.name || "A function that is gone"}
          </Link>
        </h1>
        <Status look={state.look} label={state.label} title={state.detail} />
        <Copy text={run.id} what="the run's id">
          <code title={run.id}>{shortId(run.id)}</code>
        </Copy>
      </div>
      <div className={styles.actions}>
        {run.triggerIDs[0] ? (
          <Link to="/lineage/$eventID" params={{ eventID: run.triggerIDs[0] }} search={{}}>
            Lineage
          </Link>
        ) : null}
        <Relatives run={run} />
        {cancel.error ? <span className={styles.refused}>{cancel.error.message}</span> : null}
        <Button small needs="operator" blocked={ended && "It has ended already"} kind="danger" onClick={() => cancel.mutate()}>
          {cancel.isPending ? "Cancelling…" : "Cancel"}
        </Button>
        <Button small needs="operator" kind="primary" onClick={() => setAsking(true)}>
          Rerun
        </Button>
      </div>
      <Sums shown={shown} run={run} />
      {asking ? (
        <Suspense fallback={null}>
          <Rerun run={run} shown={shown} close={() => setAsking(false)} done={(id) => void navigate({ to: `/runs/${id}`, search: {} })} />
        </Suspense>
      ) : null}
    </header>
  );
}

/** The run that this is a rerun of, or its newest rerun: side by side with this one. */
function Relatives({ run }: { run: RunDetails }) {
  const newest = run.reruns.map((each) => each.id).sort().at(-1);
  if (run.originalRunID) {
    return (
      <Link to="/compare/$runID/$otherID" params={{ runID: run.originalRunID, otherID: run.id }} search={{}}>
        Compare with the original
      </Link>
    );
  }
  return newest ? (
    <Link to="/compare/$runID/$otherID" params={{ runID: run.id, otherID: newest }} search={{}}>
      Compare with its rerun
    </Link>
  ) : null;
}

const PARTS = [
  ["queue", "queued"],
  ["work", "working"],
  ["backoff", "backing off"],
  ["wait", "waiting"],
  ["other", "between steps"],
] as const;

/** How the time divides: the parts add up to the whole. */
function Sums({ shown, run }: { shown: Timeline; run: RunDetails }) {
  const total = PARTS.reduce((sum, [part]) => sum + shown.sums[part], 0);
  return (
    <div className={styles.sums}>
      <dl>
        <div>
          <dt>{run.endedAt ? "Took" : "Since"}</dt>
          <dd className="number">{duration(total)}</dd>
        </div>
      </dl>
      <div className={styles.split} role="img" aria-label={PARTS.map(([part, name]) => `${name} ${duration(shown.sums[part])}`).join(", ")}>
        {PARTS.map(([part]) => (shown.sums[part] > 0 ? <span key={part} className={styles[part]} style={{ flexGrow: shown.sums[part] / (total || 1) }} /> : null))}
      </div>
      <dl>
        {PARTS.filter(([part]) => shown.sums[part] >= 1).map(([part, name]) => (
          <div key={part}>
            <dt>
              <i className={styles[part]} />
              {name}
            </dt>
            <dd className="number">{duration(shown.sums[part])}</dd>
          </div>
        ))}
        <div className={styles.began}>
          <dt>Queued at</dt>
          <dd>
            <Moment at={ms(run.queuedAt)} />
          </dd>
        </div>
      </dl>
    </div>
  );
}
