import { Link } from "@tanstack/react-router";

import type { Reason, RunDetails } from "../../data/trace";
import { ms, shortId } from "../../logic/format";
import { countdown } from "../../logic/state";
import { useNow } from "../../parts/now";
import styles from "./Run.module.css";

const MOST = 4;

/** Why a run that isn't running is not: in a sentence each, with the runs that are in the way. */
export function Why({ run }: { run: RunDetails }) {
  const reasons = run.why.filter((reason) => reason.kind !== "executing" && reason.kind !== "queued");
  if (run.endedAt !== null && run.status !== "CANCELLED" && run.status !== "SKIPPED") return null;
  if (!reasons.length) return null;
  return (
    <section className={styles.why} aria-label="Why is this run not running?">
      <h2>{run.endedAt === null ? "Not running now:" : "Why it ended:"}</h2>
      <ul>
        {reasons.slice(0, MOST).map((reason) => (
          <li key={reason.text}>
            <Sentence reason={reason} />
          </li>
        ))}
        {reasons.length > MOST ? <li className="soft">and {reasons.length - MOST} more</li> : null}
      </ul>
    </section>
  );
}

function Sentence({ reason }: { reason: Reason }) {
  const until = ms(reason.until);
  return (
    <>
      {linked(reason.text)}
      {until === undefined ? null : <Left until={until} />}
    </>
  );
}

function Left({ until }: { until: number }) {
  const left = countdown(until, useNow(1_000));
  return left ? <span className="faint"> ({left})</span> : null;
}

const RUN_ID = /\b([0-7][0-9A-HJKMNP-TV-Z]{25})\b/;
const TIME = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;

/** A text with ids of runs as links, and times in the reader's zone. */
function linked(text: string) {
  return text.split(new RegExp(`${RUN_ID.source}|${TIME.source}`)).map((part, index) => {
    if (!part) return null;
    if (RUN_ID.test(part)) {
      return (
        <Link key={index} to="/runs/$runID" params={{ runID: part }} search={{}}>
          {shortId(part)}
        </Link>
      );
    }
    return TIME.test(part) ? new Date(part).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) : part;
  });
}
