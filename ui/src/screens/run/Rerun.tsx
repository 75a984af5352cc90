import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type RunDetails, outputOf, rerun } from "../../data/trace";
import { layOut } from "../../logic/json";
import type { Row, Timeline } from "../../logic/timeline";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Editor } from "../../parts/Editor";
import { Tabs } from "../../parts/Tabs";
import styles from "./Rerun.module.css";

interface Props {
  run: RunDetails;
  /** From which step on; the whole run without it. */
  step?: Row | undefined;
  shown?: Timeline | undefined;
  close: () => void;
  done: (runID: string) => void;
}

type Edited = "input" | "output";

const CHOICES = [
  ["input", "Run it again"],
  ["output", "Keep it, with another output"],
] as const;
const SAYS: Record<Edited, string> = {
  input: "A new run starts with the same event. What was done before this step is kept; this step and all after it run again.",
  output: "A new run starts with the same event. This step and those before it are kept; the function goes on as if the step had returned this.",
};

/** Asks how a run shall be run again: as a whole, or from a step on, with another input or another output of that step. */
export default function Rerun({ run, step, close, done }: Props) {
  const [mode, setMode] = useState<Edited>("input");
  const [edited, setEdited] = useState<Partial<Record<Edited, string>>>({});
  const before = useQuery({
    queryKey: ["output", step?.outputID],
    queryFn: ({ signal }) => outputOf(step?.outputID as string, signal),
    enabled: step?.outputID !== undefined,
  });
  const given = (mode === "input" ? before.data?.input : before.data?.data) ?? "";
  const text = edited[mode] ?? (given ? layOut(given) : "");
  const problem = !step ? "" : text.trim() ? problemOf(text) : mode === "output" ? "Write an output: null is one" : "";
  const start = useMutation({
    mutationFn: () => {
      if (!step?.stepID) return rerun(run.id);
      if (mode === "output") return rerun(run.id, { stepID: step.stepID, output: text });
      const changed = text.trim() !== "" && text !== (given ? layOut(given) : "");
      return rerun(run.id, { stepID: step.stepID, ...(changed ? { input: wrapped(text) } : {}) });
    },
    onSuccess: done,
  });
  const submit = () => problem || start.isPending || start.mutate();
  return (
    <Dialog title={step ? `Rerun from “${step.name}”` : `Rerun ${run.function.name}`} close={close} wide={Boolean(step)}>
      {step ? (
        <Tabs label="What becomes of the step" tabs={CHOICES} chosen={mode} choose={(chosen) => setMode(chosen as Edited)}>
          {SAYS[mode]}
        </Tabs>
      ) : null}
      <div className={styles.body} onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit()}>
        {step ? null : <p className="soft">A new run starts with the same event, from the beginning. This run stays as it is.</p>}
        {step ? (
          <Editor
            label={mode === "input" ? "Input of the step" : "Output of the step"}
            text={text}
            change={(changed) => setEdited({ ...edited, [mode]: changed })}
            placeholder={mode === "input" ? "The step had no input of its own. Leave this empty to run it as it is, or write the arguments as a JSON array." : "What the step shall have returned, as JSON."}
          />
        ) : null}
        {problem && (edited[mode] !== undefined || mode === "input") ? (
          <p role="alert" className={styles.problem}>
            {problem}
          </p>
        ) : null}
        {start.error ? (
          <p role="alert" className={styles.problem}>
            It was not started: {start.error.message}
          </p>
        ) : null}
        <div className={styles.actions}>
          <Button onClick={close}>Leave it</Button>
          <Button kind="primary" needs="operator" blocked={problem} onClick={submit}>
            {start.isPending ? "Starting…" : !step ? "Rerun" : mode === "input" ? "Rerun from here" : "Rerun after it"}
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
