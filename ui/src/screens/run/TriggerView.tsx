import type { UseQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import type { Trigger } from "../../data/trace";
import { ms, plural, shortId } from "../../logic/format";
import { Failure } from "../../parts/Failure";
import { Json } from "../../parts/Json";
import { Moment } from "../../parts/Time";
import styles from "./Panel.module.css";

const MOST = 20;

/** What started the run: an event, many, or a schedule. */
export function TriggerView({ query }: { query: UseQueryResult<Trigger> }) {
  if (query.isError) return <Failure error={query.error} />;
  const trigger = query.data;
  if (!trigger) return <p className="faint">Loading…</p>;
  return (
    <div className={styles.trigger}>
      <p>
        {trigger.cron ? (
          <>
            Schedule <code>{trigger.cron}</code>
          </>
        ) : (
          <>
            {trigger.isBatch ? `${plural(trigger.IDs.length, "event")}: ` : ""}
            <b>{trigger.eventName ?? "several events"}</b>
          </>
        )}{" "}
        <span className="faint">
          <Moment at={ms(trigger.timestamp)} />
        </span>
      </p>
      {trigger.payloads.slice(0, MOST).map((payload, index) => (
        <div key={trigger.IDs[index] ?? index}>
          {trigger.IDs[index] ? (
            <Link to="/events/$eventID" params={{ eventID: trigger.IDs[index] }} search={{}}>
              Event {shortId(trigger.IDs[index])}
            </Link>
          ) : null}
          <Json text={payload} label="Event" />
        </div>
      ))}
      {trigger.payloads.length > MOST ? <p className="soft">and {trigger.payloads.length - MOST} more</p> : null}
    </div>
  );
}
