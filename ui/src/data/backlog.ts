// What waits of one function, and how far its flow control is used up.

import type { ResultOf } from "gql.tada";

import { ask, graphql } from "./graphql";

const BACKLOG = graphql(`
  query Backlog($slug: String!) {
    functionBySlug(query: { functionSlug: $slug }) {
      backlog {
        running
        waitingForKeys
        waitingForThrottle
        waitingForWorkers
        workers
        free
        paused
        heldByPause
        keyCount
        keys {
          kind
          expression
          value
          limit
          held
          waiting
          holders
        }
        throttleCount
        throttles {
          nextAt
          waiting
          first
        }
        rateLimitCount
        rateLimits {
          nextAt
        }
        debounceCount
        debounces {
          value
          eventID
          due
          latest
        }
        batchCount
        batches {
          value
          size
          most
          due
        }
        singletonCount
        singletons {
          runID
        }
      }
    }
  }
`);

export type Backlog = NonNullable<NonNullable<ResultOf<typeof BACKLOG>["functionBySlug"]>["backlog"]>;

/** The backlog of a function; null for one that is not registered. */
export async function backlogOf(slug: string, signal?: AbortSignal): Promise<Backlog | null> {
  return (await ask(BACKLOG, { slug }, signal)).functionBySlug?.backlog ?? null;
}

/** How many of its jobs are due and wait for something. */
export function waitingOf(backlog: Backlog): number {
  return backlog.waitingForKeys + backlog.waitingForThrottle + backlog.waitingForWorkers + backlog.heldByPause;
}
