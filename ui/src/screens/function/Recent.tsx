import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";

import { useLive } from "../../data/live";
import { askAgain, throttled } from "../../data/queries";
import { runsPage } from "../../data/runs";
import { stateOf } from "../../logic/state";
import { Status } from "../../parts/Status";
import { Duration, Moment } from "../../parts/Time";
import styles from "./Function.module.css";

const SHOWN = 12;
const AGAIN_MS = 500;

/** The newest runs of a function, live. */
export function Recent({ functionID, since }: { functionID: string; since?: number }) {
  const queryKey = useMemo(() => ["recent", functionID, since], [functionID, since]);
  const from = since ? new Date(since).toISOString() : "1980-01-01T00:00:00Z";
  const query = useQuery({ queryKey, queryFn: ({ signal }) => runsPage({ from, functions: [functionID] }, undefined, signal) });
  const again = useMemo(() => throttled(() => void askAgain(queryKey), AGAIN_MS), [queryKey]);
  useLive("runs", (push) => (push.more || push.runs?.some((run) => run.function === functionID)) && again());
  if (!query.data) return null;
  if (!query.data.rows.length) return <p className="soft">{since ? "Its run appears here." : "It has not run yet."}</p>;
  return (
    <ul className={styles.runs}>
      {query.data.rows.slice(0, SHOWN).map((run) => {
        const state = stateOf(run.status, run.doing);
        return (
          <li key={run.id}>
            <Link to="/runs/$runID" params={{ runID: run.id }} search={{}} className={styles.run}>
              <Status look={state.look} label={state.label} title={state.detail} />
              <span className={`cut ${styles.error}`}>{run.errorLine ?? ""}</span>
              <Duration ms={run.startedAt !== undefined && run.endedAt !== undefined ? run.endedAt - run.startedAt : undefined} />
              <span className="faint">
                <Moment at={run.queuedAt} as="relative" />
              </span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}
