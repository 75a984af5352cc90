import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Suspense, lazy, useMemo } from "react";

import { becameOf, eventOf } from "../../data/events";
import { useLive } from "../../data/live";
import { askAgain, throttled } from "../../data/queries";
import { ms, shortId } from "../../logic/format";
import { Button } from "../../parts/Button";
import { Copy } from "../../parts/Copy";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { Json } from "../../parts/Json";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import styles from "./Event.module.css";
import { StartedRuns } from "./StartedRuns";

const SendEvent = lazy(() => import("./SendEvent"));

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;
const AGAIN_MS = 300;

/** One event: what it carries, and what became of it. */
export function Event() {
  const { eventID = "" } = useParams({ strict: false }) as { eventID?: string };
  const id = eventID.toUpperCase();
  useTitle(`Event …${id.slice(-8)}`);
  const valid = ULID.test(id);
  const query = useQuery({ queryKey: ["event", id], queryFn: ({ signal }) => eventOf(id, signal), enabled: valid });
  const became = useQuery({ queryKey: ["event", id, "became"], queryFn: ({ signal }) => becameOf(id, signal), enabled: valid });
  const again = useMemo(() => throttled(() => void askAgain(["event", id]), AGAIN_MS), [id]);
  const runs = query.data?.runs ?? [];
  useLive(valid ? "runs" : null, (push) => {
    if (push.more || !query.data || push.runs?.some((run) => runs.some((known) => known.id === run.id))) again();
  });
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const change = (given: Search) => void navigate({ to: "/events/$eventID", params: { eventID: id }, search: { ...search, ...given }, replace: true });
  if (!valid) return <Unknown title="This is no id of an event" detail={`${eventID}: an id has 26 letters and digits.`} />;
  if (query.isError) {
    const missing = /no rows|not found/i.test(query.error.message);
    return missing ? <Unknown title="There is no such event" detail={`Nothing is known of ${id}. Its id may be wrong, or the server's retention has removed it.`} /> : <Failure error={query.error} retry={() => void query.refetch()} />;
  }
  const event = query.data;
  if (!event) return null;
  return (
    <div className={styles.screen}>
      <header className={styles.head}>
        <Link to="/events" search={{}} className="soft">
          Events
        </Link>
        <span className="faint">/</span>
        <h1 className="cut">
          <Link to="/events" search={{ name: event.name }} title="Events of this name">
            {event.name}
          </Link>
        </h1>
        <Copy text={event.id} what="the event's id">
          <code title={event.id}>{shortId(event.id)}</code>
        </Copy>
        <span className="soft">
          <Moment at={ms(event.receivedAt)} />
        </span>
        <Link to="/lineage/$eventID" params={{ eventID: id }} search={{}}>
          Lineage
        </Link>
        <Button small needs="operator" kind="primary" className={styles.send} onClick={() => change({ send: "again" })}>
          Edit and send again
        </Button>
      </header>
      <div className={styles.body}>
        <section className={styles.part} aria-label="What became of it">
          <h2>What became of it</h2>
          <StartedRuns runs={event.runs} />
          <ul className={styles.outcomes}>
            {(became.data ?? [])
              .filter((outcome) => outcome.kind !== "started")
              .map((outcome) => (
                <li key={outcome.text}>{sentence(outcome.text)}</li>
              ))}
          </ul>
          {became.data?.some((outcome) => outcome.kind === "nobody") ? (
            <p className="soft">
              Give a function a trigger with this name, or see which names the <Link to="/functions">functions</Link> listen to.
            </p>
          ) : null}
        </section>
        <section className={styles.part} aria-label="Event">
          <h2>Event</h2>
          <Json text={event.raw} label="Event" />
        </section>
      </div>
      {search["send"] ? (
        <Suspense fallback={null}>
          <SendEvent given={event.raw} close={() => change({ send: "" })} />
        </Suspense>
      ) : null}
    </div>
  );
}

/** A reason of the server, as a sentence. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}

function Unknown({ title, detail }: { title: string; detail: string }) {
  return (
    <Empty title={title} detail={detail}>
      <Link to="/events" search={{}}>
        All events
      </Link>
    </Empty>
  );
}
