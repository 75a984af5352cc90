// How many runs there were, and how long they and their steps waited and took.

import type { ResultOf } from "gql.tada";

import { ask, graphql } from "./graphql";

const LATENCIES = graphql(`
  query Latencies($from: Time!, $until: Time, $functionID: UUID, $bars: Int!) {
    runLatencies(from: $from, until: $until, functionID: $functionID, bars: $bars) {
      from
      until
      sampled
      queuedP50
      queuedP95
      tookP50
      tookP95
    }
  }
`);

const FUNCTIONS = graphql(`
  query FunctionFigures($from: Time!) {
    functions {
      id
      name
      slug
      health(from: $from) {
        alive
        completed
        failed
        cancelled
        p50
        p95
        queuedP50
        queuedP95
      }
    }
  }
`);

const STEPS = graphql(`
  query StepFigures($slug: String!, $from: Time!) {
    functionBySlug(query: { functionSlug: $slug }) {
      steps(from: $from) {
        name
        type
        runs
        failedAttempts
        p50
        p95
        max
      }
    }
  }
`);

export type Latencies = ResultOf<typeof LATENCIES>["runLatencies"][number];
export type FunctionFigures = NonNullable<ResultOf<typeof FUNCTIONS>["functions"]>[number];
export type StepFigures = NonNullable<ResultOf<typeof STEPS>["functionBySlug"]>["steps"][number];

interface Window {
  from: string;
  until?: string | undefined;
}

/** Percentiles of a sample of runs in each of `bars` equal stretches of a window, in ms; of all functions without an id. */
export async function latenciesOf(window: Window, functionID: string | undefined, bars: number, signal?: AbortSignal): Promise<Latencies[]> {
  const variables = { from: window.from, until: window.until ?? null, functionID: functionID ?? null, bars };
  return (await ask(LATENCIES, variables, signal)).runLatencies;
}

/** The figures of every function since a moment, those with the most runs first. */
export async function functionFigures(from: string, signal?: AbortSignal): Promise<FunctionFigures[]> {
  const { functions } = await ask(FUNCTIONS, { from }, signal);
  return [...(functions ?? [])].sort((one, other) => ended(other) - ended(one) || one.name.localeCompare(other.name));
}

/** The figures of the steps of a function's newest runs, the slowest first. */
export async function stepFigures(slug: string, from: string, signal?: AbortSignal): Promise<StepFigures[]> {
  return (await ask(STEPS, { slug, from }, signal)).functionBySlug?.steps ?? [];
}

export function ended({ health }: FunctionFigures): number {
  return health.completed + health.failed + health.cancelled;
}
