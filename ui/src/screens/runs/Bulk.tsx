import { useState } from "react";

import type { RunFilter, RunRow } from "../../data/runs";
import { count, plural } from "../../logic/format";
import { Button } from "../../parts/Button";
import styles from "./Bulk.module.css";
import { type Action, MOST, type Progress, perform, selected, those } from "./bulk";

interface Props {
  picked: ReadonlySet<string>;
  rows: readonly RunRow[];
  filter: () => RunFilter;
  /** How many runs fit the filter. */
  total: number;
  clear: () => void;
}

/** What can be done with the chosen runs, or with all that fit the filter. */
export function Bulk({ picked, rows, filter, total, clear }: Props) {
  const [all, setAll] = useState(false);
  const [asked, setAsked] = useState<Action>();
  const [progress, setProgress] = useState<Progress>();
  const [stop, setStop] = useState<AbortController>();
  const size = all ? total : picked.size;
  const start = async (action: Action) => {
    const controller = new AbortController();
    setStop(controller);
    setAsked(undefined);
    const ids = all ? those(filter(), action, controller.signal) : selected(rows, picked, action);
    await perform(action, ids, setProgress, controller.signal);
    setStop(undefined);
  };
  if (progress) {
    return (
      <div className={styles.bar} role="status">
        <span>{said(progress, stop !== undefined)}</span>
        {stop ? (
          <Button small onClick={() => stop.abort()}>
            Stop
          </Button>
        ) : (
          <Button small onClick={clear}>
            Done
          </Button>
        )}
      </div>
    );
  }
  return (
    <div className={styles.bar} role="region" aria-label="Chosen runs">
      <span>{all ? `All ${plural(total, "run")} of this filter` : `${plural(picked.size, "run")} chosen`}</span>
      {!all && total > picked.size ? (
        <button type="button" className={styles.all} onClick={() => setAll(true)}>
          Choose all {count(total)} that fit the filter
        </button>
      ) : null}
      {asked ? (
        <>
          <span className={styles.sure}>{QUESTIONS[asked]}</span>
          <Button small kind={asked === "cancel" ? "danger" : "primary"} onClick={() => void start(asked)}>
            {asked === "cancel" ? "Cancel them" : "Rerun them"}
          </Button>
          <Button small onClick={() => setAsked(undefined)}>
            No
          </Button>
        </>
      ) : (
        <span className={styles.actions}>
          <Button small needs="operator" kind="danger" blocked={size > MOST && `At most ${count(MOST)} at once: narrow the filter`} onClick={() => setAsked("cancel")}>
            Cancel
          </Button>
          <Button small needs="operator" blocked={size > MOST && `At most ${count(MOST)} at once: narrow the filter`} onClick={() => setAsked("rerun")}>
            Rerun
          </Button>
          <Button small kind="quiet" onClick={clear}>
            Choose none
          </Button>
        </span>
      )}
    </div>
  );
}

const QUESTIONS: Record<Action, string> = {
  cancel: "Those that have not ended are cancelled. Sure?",
  rerun: "Those that have ended start again with the same events. Sure?",
};

function said({ action, done, failed, reason }: Progress, running: boolean): string {
  const verb = action === "cancel" ? "cancelled" : "started again";
  const trouble = failed ? `, ${plural(failed, "run")} refused: ${reason}` : "";
  return `${running ? "Working: " : ""}${plural(done, "run")} ${verb}${trouble}`;
}
