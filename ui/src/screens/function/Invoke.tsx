import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { lastEvent } from "../../data/events";
import { invokeFunction } from "../../data/functions";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Editor } from "../../parts/Editor";
import event from "../event/Event.module.css";
import { draftOf, problemOf } from "../event/draft";
import { Recent } from "./Recent";

interface Props {
  slug: string;
  name: string;
  functionID: string;
  /** The event that starts it: the data of the last one is proposed. */
  event: string | undefined;
  close: () => void;
}

/** Starts a run of a function with data that is written here, and shows it. */
export default function Invoke({ slug, name, functionID, event: trigger, close }: Props) {
  const kept = localStorage.getItem(`invoke ${slug}`);
  const [text, setText] = useState(kept ?? "{}");
  const [touched, setTouched] = useState(kept !== null);
  const [since, setSince] = useState<number>();
  const last = useQuery({ queryKey: ["last-event", trigger], queryFn: ({ signal }) => lastEvent(trigger as string, signal).then((raw) => raw ?? null), enabled: trigger !== undefined && !touched });
  useEffect(() => {
    if (!last.data || touched) return;
    setText(draftOf(last.data).text);
  }, [last.data, touched]);
  const problem = problemOf("invoke", text);
  const invoke = useMutation({
    mutationFn: () => {
      setSince((known) => known ?? Date.now());
      localStorage.setItem(`invoke ${slug}`, text);
      return invokeFunction(slug, JSON.parse(text || "{}") as Record<string, unknown>);
    },
  });
  const submit = () => problem || invoke.isPending || invoke.mutate();
  return (
    <Dialog title={`Invoke ${name}`} close={close} wide>
      <div
        className={event.form}
        onKeyDown={(press) => {
          if (press.key === "Enter" && (press.ctrlKey || press.metaKey)) submit();
        }}
      >
        <p className="soft">The data that the function gets as event.data.</p>
        <Editor
          label="Data"
          text={text}
          change={(changed) => {
            setText(changed);
            if (changed !== text) setTouched(true);
          }}
          rows={10}
        />
        <div className={event.actions}>
          <span role="alert" className={event.problem}>
            {problem}
            {invoke.error ? `It was not invoked: ${invoke.error.message}` : ""}
          </span>
          <Button kind="primary" needs="operator" blocked={problem} title="Ctrl Enter" onClick={submit}>
            {invoke.isPending ? "Invoking…" : "Invoke"}
          </Button>
        </div>
        {since && invoke.isSuccess ? (
          <div className={event.sent}>
            <Recent functionID={functionID} since={since - 1_000} />
          </div>
        ) : null}
      </div>
    </Dialog>
  );
}
