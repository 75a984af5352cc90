// Apps: what registered, and what can be done with it.

import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { ResultOf } from "gql.tada";

import { ask, graphql } from "./graphql";
import { useLive } from "./live";
import { queries } from "./queries";

const APPS = graphql(`
  query Apps {
    apps {
      id
      name
      url
      method
      error
      connected
      sdkLanguage
      sdkVersion
      framework
      appVersion
      autodiscovered
      functionCount
      functions {
        slug
        name
      }
    }
  }
`);

const ADD = graphql(`
  mutation AddApp($url: String!) {
    createApp(input: { url: $url }) {
      id
    }
  }
`);

const MOVE = graphql(`
  mutation MoveApp($id: String!, $url: String!) {
    updateApp(input: { id: $id, url: $url }) {
      id
    }
  }
`);

const REMOVE = graphql(`
  mutation RemoveApp($id: String!) {
    deleteApp(id: $id)
  }
`);

export type App = ResultOf<typeof APPS>["apps"][number];

/** All apps, live. */
export function useApps(): UseQueryResult<App[]> {
  useLive("apps", () => void queries.invalidateQueries({ queryKey: ["apps"] }));
  return useQuery({ queryKey: ["apps"], queryFn: async ({ signal }) => (await ask(APPS, {}, signal)).apps });
}

/** Add an app by its URL and have it sync. Throws with the reason if it can't. */
export async function addApp(url: string): Promise<void> {
  await ask(ADD, { url });
}

export async function moveApp(id: string, url: string): Promise<void> {
  await ask(MOVE, { id, url });
  await ask(ADD, { url }); // asks it to sync at its new address
}

export async function removeApp(id: string): Promise<void> {
  await ask(REMOVE, { id });
}
