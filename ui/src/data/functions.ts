// Functions and their apps.

import { type UseQueryResult, useQuery } from "@tanstack/react-query";

import { ask, graphql } from "./graphql";
import { useLive } from "./live";
import { queries } from "./queries";

export interface FunctionRef {
  id: string;
  name: string;
  slug: string;
  appID: string;
  appName: string;
}

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

/** All functions by name, for filters and names of rows. Kept fresh by the server's pushes about apps. */
export function useFunctions(): UseQueryResult<FunctionRef[]> {
  useLive("apps", () => void queries.invalidateQueries({ queryKey: ["functions"] }));
  return useQuery({
    queryKey: ["functions", "names"],
    queryFn: async ({ signal }) => {
      const { functions } = await ask(FUNCTIONS, {}, signal);
      return (functions ?? [])
        .map((each) => ({ id: each.id, name: each.name, slug: each.slug, appID: each.appID, appName: each.app.name }))
        .sort((one, other) => one.name.localeCompare(other.name));
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
}
