import { useMutation, useQuery } from "@tanstack/react-query";
import { useEffect, useId, useMemo, useState } from "react";
import { Link } from "@tanstack/react-router";

import { becameOf, eventNames, eventOf, lastEvent, sendEvent } from "../../data/events";
import { useLive } from "../../data/live";
import { askAgain, throttled } from "../../data/queries";
import { Button } from "../../parts/Button";
import { Dialog } from "../../parts/Dialog";
import { Editor } from "../../parts/Editor";
import styles from "./Event.module.css";
import { StartedRuns } from "./StartedRuns";
import { draftOf, problemOf } from "./draft";

const AGAIN_MS = 300;

interface Props {
  /** An event to begin with, as JSON. */
  given?: string | undefined;
  /** A name to begin with: its last event is proposed. */
  name?: string | undefined;
  close: () => void;
}

/** Writes and sends an event, and shows what it starts. A known name brings the data of its last event along. */
export default function SendEvent({ given, name: first, close }: Props) {
  const begin = given ? draftOf(given) : { name: first ?? "", text: "{}", user: undefined };
  const [name, setName] = useState(begin.name);
  const [text, setText] = useState(begin.text);
  const [touched, setTouched] = useState(Boolean(given));
  const names = useId();
  const known = useQuery({ queryKey: ["functions", "events"], queryFn: ({ signal }) => eventNames(signal) });
  const last = useQuery({
    queryKey: ["last-event", name],
    queryFn: ({ signal }) => lastEvent(name, signal).then((raw) => raw ?? null),
    enabled: !touched && (known.data ?? []).includes(name),
  });
  useEffect(() => {
    if (!last.data || touched) return;
    setText(draftOf(last.data).text);
  }, [last.data, touched]);
  const problem = problemOf(name, text);
  const send = useMutation({
    mutationFn: () => sendEvent({ name: name.trim(), data: JSON.parse(text || "{}"), ...(begin.user ? { user: begin.user } : {}) }),
  });
  const submit = () => problem || send.isPending || send.mutate();
  return (
    <Dialog title={given ? "Edit and send again" : "Send an event"} close={close} wide>
      <div
        className={styles.form}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
          event.preventDefault();
          submit();
        }}
      >
        <label className={styles.field}>
          Name
          <input list={names} value={name} placeholder="shop/order.placed" onChange={(event) => setName(event.currentTarget.value)} autoFocus={!given} />
          <datalist id={names}>
            {(known.data ?? []).map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
        </label>
        <Editor
          label="Data"
          text={text}
          change={(changed) => {
            setText(changed);
            if (changed !== text) setTouched(true);
          }}
          rows={10}
        />
        <div className={styles.actions}>
          <span role="alert" className={styles.problem}>
            {name || touched ? problem : ""}
            {send.error ? `It was not sent: ${send.error.message}` : ""}
          </span>
          <Button kind="primary" needs="operator" blocked={problem} title="Ctrl Enter" onClick={submit}>
            {send.isPending ? "Sending…" : "Send"}
          </Button>
        </div>
        {send.data ? <Sent id={send.data} close={close} /> : null}
      </div>
    </Dialog>
  );
}

/** What the event that was just sent has started, as it happens. */
function Sent({ id, close }: { id: string; close: () => void }) {
  const event = useQuery({ queryKey: ["event", id], queryFn: ({ signal }) => eventOf(id, signal) });
  const became = useQuery({ queryKey: ["event", id, "became"], queryFn: ({ signal }) => becameOf(id, signal) });
  const again = useMemo(() => throttled(() => void askAgain(["event", id]), AGAIN_MS), [id]);
  useLive("runs", (push) => {
    if (push.more || !event.data || push.runs?.some((run) => event.data.runs.some((known) => known.id === run.id))) again();
  });
  return (
    <div className={styles.sent} role="status">
      <p>
        Sent.{" "}
        <Link to="/events/$eventID" params={{ eventID: id }} search={{}} onClick={close}>
          Open the event
        </Link>
      </p>
      {event.data ? <StartedRuns runs={event.data.runs} /> : null}
      <ul className={styles.outcomes}>
        {(became.data ?? []).filter((each) => each.kind !== "started").map((each) => <li key={each.text}>{each.text}</li>)}
      </ul>
    </div>
  );
}
