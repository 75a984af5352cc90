import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { duration, shortId } from "../../logic/format";
import { type Attempt, type Row, untilOf } from "../../logic/timeline";
import { Status } from "../../parts/Status";
import { Moment } from "../../parts/Time";
import styles from "./Panel.module.css";

interface Props {
  row: Row;
  attempt: Attempt | undefined;
  choose: (attempt: number) => void;
}

const LABELS: Record<Row["status"], string> = {
  completed: "Completed",
  failed: "Failed",
  running: "Running",
  queued: "Queued",
  waiting: "Waiting",
  retrying: "Retrying",
  cancelled: "Cancelled",
};

/** How a step went: its state, its attempts, its times, and what its kind has to say. */
export function Facts({ row, attempt, choose }: Props) {
  return (
    <div className={styles.facts}>
      {row.attempts.length > 1 ? <Attempts row={row} chosen={attempt?.number} choose={choose} /> : null}
      <dl>
        <Fact name="State">
          <Status look={attempt && row.attempts.length > 1 ? attempt.status : row.status} label={row.recovered ? "Recovered" : LABELS[row.status]} />
        </Fact>
        {attempt && row.kind !== "sleep" && row.kind !== "event" ? <Times attempt={attempt} /> : <Fact name="Began"><Moment at={row.from} /></Fact>}
        <Kind row={row} />
      </dl>
    </div>
  );
}

function Attempts({ row, chosen, choose }: { row: Row; chosen: number | undefined; choose: (attempt: number) => void }) {
  const work = row.attempts.reduce((sum, each) => sum + (each.started !== undefined && each.ended !== undefined ? each.ended - each.started : 0), 0);
  const backoff = row.attempts.reduce((sum, each) => sum + (each.number > 1 ? each.due - each.queued : 0), 0);
  return (
    <div className={styles.attempts}>
      <p className="soft">
        {row.attempts.length} attempts, {duration(work)} of work, {duration(backoff)} of back-off
      </p>
      <div role="group" aria-label="Attempts" className={styles.chips}>
        {row.attempts.map((each) => (
          <button key={each.number} type="button" aria-pressed={each.number === chosen} className={`${styles.chip} ${styles[each.status]}`} onClick={() => choose(each.number)}>
            {each.number}
          </button>
        ))}
      </div>
    </div>
  );
}

function Times({ attempt }: { attempt: Attempt }) {
  return (
    <>
      <Fact name="Queued">
        <Moment at={attempt.queued} />
        {attempt.started === undefined ? null : <span className="faint"> for {duration(attempt.started - attempt.due)}</span>}
      </Fact>
      <Fact name="Started">
        <Moment at={attempt.started} />
        {attempt.started !== undefined && attempt.ended !== undefined ? <span className="faint"> took {duration(attempt.ended - attempt.started)}</span> : null}
      </Fact>
    </>
  );
}

function Kind({ row }: { row: Row }) {
  const { info } = row;
  const until = untilOf(info);
  switch (info?.__typename) {
    case "SleepStepInfo":
      return <Fact name="Until"><Moment at={until} /></Fact>;
    case "WaitForEventStepInfo":
      return (
        <>
          <Fact name="For event"><code>{info.eventName}</code></Fact>
          {info.expression ? <Fact name="If"><code>{info.expression}</code></Fact> : null}
          <Fact name={info.timedOut ? "Timed out" : "Until"}><Moment at={until} /></Fact>
          {info.foundEventID ? <Fact name="Came"><Link to="/events/$eventID" params={{ eventID: info.foundEventID }} search={{}}>{shortId(info.foundEventID)}</Link></Fact> : null}
        </>
      );
    case "WaitForSignalStepInfo":
      return (
        <>
          <Fact name="For signal"><code>{info.signal}</code></Fact>
          <Fact name={info.timedOut ? "Timed out" : "Until"}><Moment at={until} /></Fact>
        </>
      );
    case "InvokeStepInfo":
      return (
        <>
          <Fact name="Function"><code>{info.functionID}</code></Fact>
          {info.runID ? <Fact name="Its run"><Link to="/runs/$runID" params={{ runID: info.runID }} search={{}}>{shortId(info.runID)}</Link></Fact> : null}
          <Fact name={info.timedOut ? "Timed out" : "Until"}><Moment at={until} /></Fact>
        </>
      );
    default:
      return null;
  }
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
