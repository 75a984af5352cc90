// What a run sent and invoked: the events by which it caused other runs.

import { unwrap } from "../logic/compare";
import { savedOutput } from "./compare";
import { ask, graphql } from "./graphql";

const SENT = graphql(`
  query Sent($id: String!) {
    runTrace(runID: $id) {
      childrenSpans {
        stepID
        stepInfo {
          ... on RunStepInfo {
            type
          }
          ... on InvokeStepInfo {
            triggeringEventID
          }
        }
      }
    }
  }
`);

const MOST_STEPS = 20;
// The Python SDK sends no type: what its steps came to tells whether they sent events.
const SENDING = new Set(["step.sendEvent", ""]);
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

export interface Sent {
  events: string[];
  /** Steps that sent more, and were not looked at. */
  more: number;
}

/** Return the ids of the events that a run sent, and of those by which it invoked; of its first steps that did so. */
export async function sentBy(runID: string, signal?: AbortSignal): Promise<Sent> {
  const { runTrace } = await ask(SENT, { id: runID }, signal);
  const spans = runTrace.childrenSpans ?? [];
  const invoked = spans.flatMap(({ stepInfo }) => (stepInfo && "triggeringEventID" in stepInfo ? [stepInfo.triggeringEventID] : []));
  const sending = [...new Set(spans.flatMap((span) => (span.stepID && span.stepInfo && "type" in span.stepInfo && SENDING.has(span.stepInfo.type ?? "") ? [span.stepID] : [])))];
  const outputs = await Promise.all(sending.slice(0, MOST_STEPS).map((step) => savedOutput(runID, step, signal)));
  return { events: [...new Set([...outputs.flatMap(idsIn), ...invoked])], more: Math.max(0, sending.length - MOST_STEPS) };
}

function idsIn(saved: string): string[] {
  const output = JSON.parse(unwrap(saved)) as { ids?: unknown } | unknown[] | null;
  const ids = Array.isArray(output) ? output : output?.ids; // the Python SDK's, the TypeScript SDK's
  return Array.isArray(ids) ? ids.filter((id): id is string => typeof id === "string" && ULID.test(id)) : [];
}
