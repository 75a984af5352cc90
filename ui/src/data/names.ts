// Functions by name.

import { ask, graphql } from "./graphql";

export interface FunctionRef {
  id: string;
  name: string;
  slug: string;
  appID: string;
  appName: string;
}

export const NAMES_KEY = ["functions", "names"] as const;

const FUNCTIONS = graphql(`
  query FunctionNames {
    functions {
      id
      name
      slug
      appID
      app {
        name
      }
    }
  }
`);

/** All functions, in the order of their names. */
export async function functionNames(signal?: AbortSignal): Promise<FunctionRef[]> {
  const { functions } = await ask(FUNCTIONS, {}, signal);
  return (functions ?? [])
    .map((each) => ({ id: each.id, name: each.name, slug: each.slug, appID: each.appID, appName: each.app.name }))
    .sort((one, other) => one.name.localeCompare(other.name));
}
