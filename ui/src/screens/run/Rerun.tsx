import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type RunDetails, outputOf, rerun } from "../../data/trace";
import { layOut } from "../../logic/json";
import { keptBy, noInput } from "../../logic/rerun";
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
export default function Rerun({ run, step, shown, close, done }: Props) {
  const [mode, setMode] = useState<Edited>("input");
  const [edited, setEdited] = useState<Partial<Record<Edited, string>>>({});
  const before = useQuery({
    queryKey: ["output", step?.outputID],
    queryFn: ({ signal }) => outputOf(step?.outputID as string, signal),
    enabled: step?.outputID !== undefined,
  });
  const refused = step ? noInput(step.kind, run.app.sdkLanguage, Boolean(before.data?.input)) : "";
  const asIs = mode === "input" && refused !== "";
  const given = (mode === "input" ? before.data?.input : before.data?.data) ?? "";
  const text = edited[mode] ?? (given ? layOut(given) : "");
  const problem = !step ? "" : text.trim() ? problemOf(text) : mode === "output" ? "Write an output: null is one" : "";
  const start = useMutation({
    mutationFn: () => {
      if (!step?.stepID) return rerun(run.id);
      if (mode === "output") return rerun(run.id, { stepID: step.stepID, output: text });
      const changed = !asIs && text.trim() !== "" && text !== (given ? layOut(given) : "");
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
        {step && shown ? <Kept steps={keptBy(shown.rows, step)} also={mode === "output" ? step : undefined} /> : null}
        {asIs ? (
          <p className="soft">
            Its input stays as it is. {refused} To change what comes after it, keep it with another output; to change where the run begins, edit its event and send it again.
          </p>
        ) : null}
        {step && !asIs ? (
          <Editor
            label={mode === "input" ? "Input of the step" : "Output of the step"}
            text={text}
            change={(changed) => setEdited({ ...edited, [mode]: changed })}
            placeholder={mode === "input" ? "The app did not tell the step's arguments. Leave this empty to run it with its own, or write others as a JSON array." : "What the step shall have returned, as JSON."}
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

const MOST_NAMED = 6;

/** Which steps the new run takes over from this one. */
function Kept({ steps, also }: { steps: readonly Row[]; also: Row | undefined }) {
  const names = [...steps.map((each) => each.name), ...(also ? [`${also.name} (with the output below)`] : [])];
  const more = names.length - MOST_NAMED;
  return (
    <p>
      <b>Kept:</b> {names.length ? names.slice(0, more > 1 ? MOST_NAMED : undefined).join(", ") : "nothing, no step had ended before it"}
      {more > 1 ? ` and ${more} more` : ""}
    </p>
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
