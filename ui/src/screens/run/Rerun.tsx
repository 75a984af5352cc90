import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type RunDetails, outputOf, rerun } from "../../data/trace";
import { layOut } from "../../logic/json";
import type { Row, Timeline } from "../../logic/timeline";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Editor } from "../../parts/Editor";
import { Mark } from "../../parts/Status";
import styles from "./Rerun.module.css";

interface Props {
  run: RunDetails;
  /** From which step on; the whole run without it. */
  step?: Row | undefined;
  shown?: Timeline | undefined;
  close: () => void;
  done: (runID: string) => void;
}

/** Asks how a run shall be run again: as a whole, or from a step on, with another input. */
export default function Rerun({ run, step, close, done }: Props) {
  const [edited, setEdited] = useState<string>();
  const before = useQuery({
    queryKey: ["output", step?.outputID],
    queryFn: ({ signal }) => outputOf(step?.outputID as string, signal),
    enabled: step?.outputID !== undefined,
  });
  const given = before.data?.input ?? "";
  const text = edited ?? (given ? layOut(given) : "");
  const problem = step && text.trim() ? problemOf(text) : "";
  const start = useMutation({
    mutationFn: () => {
      const changed = text.trim() !== "" && edited !== undefined;
      return rerun(run.id, step?.stepID ? { stepID: step.stepID, ...(changed ? { input: wrapped(text) } : {}) } : undefined);
    },
    onSuccess: done,
  });
  const submit = () => problem || start.isPending || start.mutate();
  return (
    <Dialog title={step ? `Rerun from “${step.name}”` : `Rerun ${run.function.name}`} close={close} wide={Boolean(step)}>
      <div className={styles.body} onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit()}>
        <p className="soft">
          {step
            ? "A new run starts with the same event. What was done before this step is kept; this step and all after it run again."
            : "A new run starts with the same event, from the beginning. This run stays as it is."}
        </p>
        {step ? (
          <>
            <p className={styles.kept}>
              <Mark look="completed" /> kept: all steps before it
            </p>
            <Editor label="Input of the step" text={text} change={setEdited} placeholder="The step had no input of its own. Leave this empty to run it as it is, or write the arguments as a JSON array." />
            {problem ? (
              <p role="alert" className={styles.problem}>
                {problem}
              </p>
            ) : null}
          </>
        ) : null}
        {start.error ? (
          <p role="alert" className={styles.problem}>
            It was not started: {start.error.message}
          </p>
        ) : null}
        <div className={styles.actions}>
          <Button onClick={close}>Leave it</Button>
          <Button kind="primary" needs="operator" blocked={problem} onClick={submit}>
            {start.isPending ? "Starting…" : step ? "Rerun from here" : "Rerun"}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function problemOf(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `This is no JSON: ${(error as Error).message}`;
  }
}

/** The arguments as the server wants them: an array. */
function wrapped(text: string): string {
  return text.trim().startsWith("[") ? text : `[${text}]`;
}
