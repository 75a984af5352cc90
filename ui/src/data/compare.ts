// What a run has saved for its steps: what the function gets for them when it is called again.

import type { ResultOf } from "gql.tada";

import { ask, graphql } from "./graphql";

const SAVED = graphql(`
  query SavedSteps($id: String!) {
    run(runID: $id) {
      savedSteps {
        stepID
        kept
        failed
        size
        digest
      }
    }
  }
`);

const OUTPUT = graphql(`
  query SavedOutput($id: String!, $step: String!) {
    run(runID: $id) {
      savedSteps(stepID: $step) {
        output
      }
    }
  }
`);

export type SavedStep = NonNullable<ResultOf<typeof SAVED>["run"]>["savedSteps"][number];

/** The saved steps of a run, in the order in which they were saved, without their outputs. */
export async function savedSteps(id: string, signal?: AbortSignal): Promise<SavedStep[]> {
  return (await ask(SAVED, { id }, signal)).run?.savedSteps ?? [];
}

/** The output of one step as it is saved: JSON. */
export async function savedOutput(id: string, step: string, signal?: AbortSignal): Promise<string> {
  return (await ask(OUTPUT, { id, step }, signal)).run?.savedSteps[0]?.output ?? "null";
}
