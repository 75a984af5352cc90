// Functions and their apps.

import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { ResultOf } from "gql.tada";

import { early } from "./early";
import { ask, graphql } from "./graphql";
import { useLive } from "./live";
import { type FunctionRef, NAMES_KEY, functionNames } from "./names";
import { queries } from "./queries";

/** All functions by name, for filters and names of rows. Kept fresh by the server's pushes about apps. */
export function useFunctions(): UseQueryResult<FunctionRef[]> {
  useLive("apps", () => void queries.invalidateQueries({ queryKey: ["functions"] }));
  return useQuery({
    queryKey: NAMES_KEY,
    queryFn: ({ signal }) => early(NAMES_KEY, () => functionNames(signal)),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

const LIST = graphql(`
  query Functions($from: Time!) {
    functions {
      id
      name
      slug
      paused
      nextRun
      triggers {
        type
        value
        condition
      }
      app {
        name
      }
      health(from: $from) {
        alive
        completed
        failed
        cancelled
        p50
        p95
      }
    }
  }
`);

const ONE = graphql(`
  query Function($slug: String!, $from: Time!) {
    functionBySlug(query: { functionSlug: $slug }) {
      id
      name
      slug
      url
      config
      paused
      nextRun
      triggers {
        type
        value
        condition
      }
      app {
        id
        name
      }
      failureHandler {
        slug
        name
      }
      health(from: $from) {
        alive
        completed
        failed
        cancelled
        p50
        p95
      }
      configuration {
        retries {
          value
          isDefault
        }
        priority
        cancellations {
          event
          timeout
          condition
        }
        concurrency {
          scope
          key
          limit {
            value
            isPlanLimit
          }
        }
        eventsBatch {
          maxSize
          timeout
          key
        }
        rateLimit {
          limit
          period
          key
        }
        debounce {
          period
          key
        }
        throttle {
          limit
          period
          burst
          key
        }
        singleton {
          mode
          key
        }
      }
    }
  }
`);

const PAUSE = graphql(`
  mutation Pause($slug: String!, $mode: String!) {
    pauseFunction(slug: $slug, mode: $mode) {
      id
    }
  }
`);

const RESUME = graphql(`
  mutation Resume($slug: String!) {
    resumeFunction(slug: $slug) {
      id
    }
  }
`);

const INVOKE = graphql(`
  mutation Invoke($slug: String!, $data: Map) {
    invokeFunction(functionSlug: $slug, data: $data)
  }
`);

export type FunctionRow = NonNullable<ResultOf<typeof LIST>["functions"]>[number];
export type FunctionDetails = NonNullable<ResultOf<typeof ONE>["functionBySlug"]>;

const DAY_MS = 86_400_000;

/** All functions, with how they did in the last day. */
export async function functionsList(signal?: AbortSignal): Promise<FunctionRow[]> {
  const { functions } = await ask(LIST, { from: new Date(Date.now() - DAY_MS).toISOString() }, signal);
  return [...(functions ?? [])].sort((one, other) => one.name.localeCompare(other.name));
}

export async function functionBySlug(slug: string, signal?: AbortSignal): Promise<FunctionDetails> {
  const { functionBySlug: found } = await ask(ONE, { slug, from: new Date(Date.now() - DAY_MS).toISOString() }, signal);
  if (!found) throw new Error("there is no such function");
  return found;
}

export async function pauseFunction(slug: string, mode: "queue" | "skip"): Promise<void> {
  await ask(PAUSE, { slug, mode });
  await queries.invalidateQueries({ queryKey: ["functions"] });
}

export async function resumeFunction(slug: string): Promise<void> {
  await ask(RESUME, { slug });
  await queries.invalidateQueries({ queryKey: ["functions"] });
}

/** Start a run of a function with this data. */
export async function invokeFunction(slug: string, data: Record<string, unknown>): Promise<void> {
  await ask(INVOKE, { slug, data });
}
