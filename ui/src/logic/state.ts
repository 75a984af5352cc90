// What a run is doing, in a word, a mark, and a sentence.

import type { Doing } from "../data/live";
import type { RunStatus } from "../data/runs";
import type { Look } from "../parts/Status";
import { duration } from "./format";

export interface State {
  look: Look;
  label: string;
  /** More than the word says: which step, which limit. */
  detail?: string | undefined;
  /** When it goes on by itself. */
  until?: number | undefined;
}

const ENDED: Partial<Record<RunStatus, State>> = {
  COMPLETED: { look: "completed", label: "Completed" },
  FAILED: { look: "failed", label: "Failed" },
  CANCELLED: { look: "cancelled", label: "Cancelled" },
  SKIPPED: { look: "cancelled", label: "Skipped" },
};

/** Return the state of a run. */
export function stateOf(status: RunStatus, doing: Doing | undefined): State {
  const ended = ENDED[status];
  if (ended) return ended;
  if (doing) return ofDoing(doing);
  return status === "QUEUED" ? { look: "queued", label: "Queued" } : { look: "running", label: "Running" };
}

function ofDoing(doing: Doing): State {
  const { step, key, until } = doing;
  switch (doing.kind) {
    case "executing":
      return { look: "running", label: "Running", detail: step };
    case "retry":
      return { look: "retrying", label: "Retrying", detail: step ?? `attempt ${doing.attempt ?? ""}`.trim(), until };
    case "sleep":
      return { look: "waiting", label: "Sleeping", detail: step, until };
    case "event":
      return { look: "waiting", label: "Waiting", detail: `for event ${key ?? ""}`, until };
    case "signal":
      return { look: "waiting", label: "Waiting", detail: `for signal ${key ?? ""}`, until };
    case "invoke":
      return { look: "waiting", label: "Waiting", detail: `for another run (${step ?? ""})`, until };
    case "external":
      return { look: "running", label: "Running", detail: "in its own process" };
    default:
      return queued(doing);
  }
}

function queued(doing: Doing): State {
  const state: State = { look: "queued", label: "Queued", until: doing.until };
  switch (doing.kind) {
    case "concurrency":
      return { ...state, label: "Held", detail: doing.key ? `by limit ${doing.limit} of ${doing.key} = ${doing.value}` : `by concurrency ${doing.limit ?? ""}`.trim() };
    case "throttle":
      return { ...state, label: "Held", detail: "by throttle" };
    case "worker":
      return { ...state, detail: "for a worker slot" };
    case "paused":
      return { ...state, label: "Held", detail: "function is paused" };
    case "delayed":
      return { ...state, label: "Delayed" };
    default:
      return state;
  }
}

/** `in 2 h 10 m`, `in 33 s`; nothing once it is over. */
export function countdown(until: number, now: number): string {
  if (until <= now) return "";
  const seconds = Math.ceil((until - now) / 1_000);
  return `in ${seconds < 60 ? `${seconds} s` : duration(until - now)}`;
}
