// One run: what its page shows.

import type { ResultOf } from "gql.tada";

import { ask, graphql } from "./graphql";

const SPAN = graphql(`
  fragment Span on RunTraceSpan {
    spanID
    name
    status
    attempts
    queuedAt
    scheduledAt
    startedAt
    endedAt
    stepOp
    stepID
    stepType
    outputID
    groupID
    isUserland
    userlandSpan {
      spanName
      spanKind
      serviceName
      scopeName
      spanAttrs
    }
    metadata {
      scope
      kind
      values
    }
    response {
      statusCode
      headers
    }
    stepInfo {
      __typename
      ... on SleepStepInfo {
        sleepUntil
      }
      ... on WaitForEventStepInfo {
        eventName
        expression
        timeout
        foundEventID
        timedOut
      }
      ... on WaitForSignalStepInfo {
        signal
        timeout
        timedOut
      }
      ... on InvokeStepInfo {
        triggeringEventID
        functionID
        timeout
        returnEventID
        runID
        timedOut
      }
      ... on RunStepInfo {
        type
      }
    }
  }
`);

const RUN = graphql(
  `
    query Run($id: String!) {
      run(runID: $id) {
        id
        status
        queuedAt
        startedAt
        endedAt
        eventName
        cronSchedule
        isBatch
        triggerIDs
        traceID
        hasAI
        errorLine
        failedAttempts
        originalRunID
        reruns {
          id
        }
        function {
          id
          name
          slug
        }
        app {
          id
          name
          sdkLanguage
        }
        deferredFrom {
          runID
          function {
            name
          }
        }
        defers {
          userlandDeferID
          fnSlug
          status
          runID
        }
        why {
          kind
          text
          since
          until
          step
          key
          value
          limit
          held
          holders
          ahead
          attempt
          runID
          function
        }
      }
      runTrace(runID: $id) {
        ...Span
        childrenSpans {
          ...Span
          childrenSpans {
            ...Span
            childrenSpans {
              ...Span
              childrenSpans {
                ...Span
              }
            }
          }
        }
      }
    }
  `,
  [SPAN],
);

const OUTPUT = graphql(`
  query Output($id: String!) {
    runTraceSpanOutputByID(outputID: $id) {
      input
      data
      error {
        name
        message
        stack
        cause
      }
    }
  }
`);

const TRIGGER = graphql(`
  query Trigger($id: String!) {
    runTrigger(runID: $id) {
      eventName
      IDs
      payloads
      timestamp
      isBatch
      cron
    }
  }
`);

const CANCEL = graphql(`
  mutation CancelRun($id: ULID!) {
    cancelRun(runID: $id) {
      id
    }
  }
`);

const RERUN = graphql(`
  mutation Rerun($id: ULID!, $fromStep: RerunFromStepInput) {
    rerun(runID: $id, fromStep: $fromStep)
  }
`);

type Answer = ResultOf<typeof RUN>;
export type RunDetails = NonNullable<Answer["run"]>;
export type Reason = RunDetails["why"][number];
export type SpanFields = ResultOf<typeof SPAN>;
export type StepInfo = NonNullable<SpanFields["stepInfo"]>;
export interface SpanNode extends SpanFields {
  childrenSpans?: SpanNode[];
}
export type StepOutput = ResultOf<typeof OUTPUT>["runTraceSpanOutputByID"];
export type Trigger = ResultOf<typeof TRIGGER>["runTrigger"];

export interface RunAndTrace {
  run: RunDetails;
  trace: SpanNode;
}

/** A run and its trace. Throws a Problem with status 404 if there is no such run. */
export async function runAndTrace(id: string, signal?: AbortSignal): Promise<RunAndTrace> {
  const { run, runTrace } = await ask(RUN, { id }, signal);
  if (!run) throw new Error("there is no such run");
  return { run, trace: runTrace as SpanNode };
}

export async function outputOf(outputID: string, signal?: AbortSignal): Promise<StepOutput> {
  return (await ask(OUTPUT, { id: outputID }, signal)).runTraceSpanOutputByID;
}

export async function triggerOf(runID: string, signal?: AbortSignal): Promise<Trigger> {
  return (await ask(TRIGGER, { id: runID }, signal)).runTrigger;
}

export async function cancelRun(id: string): Promise<void> {
  await ask(CANCEL, { id });
}

/** Run again with the same events, from a step on if one is given; returns the new run's id.
 * `input` is a JSON array; `output` is kept for the step instead of running it. */
export async function rerun(id: string, fromStep?: { stepID: string; input?: string; output?: string }): Promise<string> {
  return (await ask(RERUN, { id, fromStep: fromStep ?? null })).rerun;
}
