import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";

import { type EventDetails, eventOf } from "../../data/events";
import { sentBy } from "../../data/lineage";
import { plural, shortId } from "../../logic/format";
import { stateOf } from "../../logic/state";
import { Button } from "../../parts/Button";
import { Failure } from "../../parts/Failure";
import { Status } from "../../parts/Status";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import styles from "./Lineage.module.css";

const OPEN_LEVELS = 3;

/** What came of an event: the runs that it started, the events that these sent, their runs, and so on. */
export function Lineage() {
  const { eventID = "" } = useParams({ strict: false }) as { eventID?: string };
  useTitle("Lineage");
  return (
    <div className={styles.screen}>
      <h1>Lineage</h1>
      <p className="soft">The event, the runs that it started, the events that these sent, and so on.</p>
      <ul className={styles.tree} aria-label="Lineage">
        <EventNode id={eventID.toUpperCase()} above={[]} />
      </ul>
    </div>
  );
}

/** An event. `above` are the events over it. */
function EventNode({ id, above }: { id: string; above: readonly string[] }) {
  const event = useQuery({ queryKey: ["event", id], queryFn: ({ signal }) => eventOf(id, signal) });
  if (event.isError) return <li>{above.length ? <span className="faint">Event {shortId(id)} is gone: {event.error.message}</span> : <Failure error={event.error} retry={() => void event.refetch()} />}</li>;
  if (!event.data) return <li aria-busy="true" className="faint">…</li>;
  return (
    <li>
      <div className={styles.node}>
        <span className={styles.kind}>event</span>
        <Link to="/events/$eventID" params={{ eventID: id }} search={{}}>
          <b>{event.data.name}</b>
        </Link>
        <span className="faint">
          <Moment at={Date.parse(event.data.receivedAt)} />
        </span>
        {event.data.runs.length ? null : <span className="soft">started no run</span>}
      </div>
      <ul>
        {event.data.runs.map((run) => (
          <RunNode key={run.id} run={run} above={[...above, id]} />
        ))}
      </ul>
    </li>
  );
}

function RunNode({ run, above }: { run: EventDetails["runs"][number]; above: readonly string[] }) {
  const [open, setOpen] = useState(above.length <= OPEN_LEVELS);
  const sent = useQuery({ queryKey: ["run", run.id, "sent"], queryFn: ({ signal }) => sentBy(run.id, signal), enabled: open });
  const state = stateOf(run.status, undefined);
  const events = (sent.data?.events ?? []).filter((id) => !above.includes(id));
  return (
    <li>
      <div className={styles.node}>
        <span className={styles.kind}>run</span>
        <Link to="/runs/$runID" params={{ runID: run.id }} search={{}}>
          {run.function.name || "A function that is gone"}
        </Link>
        <Status look={state.look} label={state.label} />
        {run.errorLine ? <span className={`${styles.error} cut`} title={run.errorLine}>{run.errorLine}</span> : null}
        {open ? null : (
          <Button small onClick={() => setOpen(true)}>
            What it sent
          </Button>
        )}
      </div>
      {sent.isError ? <p role="alert" className={styles.error}>{sent.error.message}</p> : null}
      {events.length ? (
        <ul>
          {events.map((id) => (
            <EventNode key={id} id={id} above={above} />
          ))}
        </ul>
      ) : null}
      {sent.data?.more ? <p className="faint">{plural(sent.data.more, "step")} more sent events.</p> : null}
    </li>
  );
}
