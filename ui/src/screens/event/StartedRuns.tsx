import { Link } from "@tanstack/react-router";

import type { EventDetails } from "../../data/events";
import { duration, ms } from "../../logic/format";
import { stateOf } from "../../logic/state";
import { Status } from "../../parts/Status";
import styles from "./Event.module.css";

type StartedRun = EventDetails["runs"][number];

/** The runs that an event started, with how they stand. */
export function StartedRuns({ runs }: { runs: readonly StartedRun[] }) {
  return (
    <ul className={styles.runs}>
      {runs.map((run) => (
        <li key={run.id}>
          <Link to="/runs/$runID" params={{ runID: run.id }} search={{}} className={styles.run}>
            <span className={styles.name}>{run.function.name}</span>
            <State run={run} />
            <span className="faint number">{took(run)}</span>
          </Link>
          {run.errorLine ? <p className={styles.error}>{run.errorLine}</p> : null}
        </li>
      ))}
    </ul>
  );
}

function State({ run }: { run: StartedRun }) {
  const { doing } = run;
  const state = stateOf(run.status, doing ? { kind: doing.kind, step: doing.step ?? undefined, key: doing.key ?? undefined, value: doing.value ?? undefined, limit: doing.limit ?? undefined } : undefined);
  return <Status look={state.look} label={state.label} title={state.detail} />;
}

function took(run: StartedRun): string {
  const started = ms(run.startedAt);
  const ended = ms(run.endedAt);
  return started !== undefined && ended !== undefined ? duration(ended - started) : "";
}
