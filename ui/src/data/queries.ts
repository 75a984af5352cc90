// The cache of all screens. Nothing is polled: what is shown stays fresh because the server pushes what changed.

import { type Query, QueryClient, type QueryKey } from "@tanstack/react-query";

import { Problem } from "./http";
import { live } from "./live";

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
      retry: (failures, error) => failures < 2 && error instanceof Problem && [0, 502, 503].includes(error.status),
      retryDelay: (failures) => 300 * 2 ** failures,
    },
  },
});

// What was missed while the connection was lost, or before it was there, is asked for.
live.onOpened((again) => {
  if (again) void queries.invalidateQueries();
  else for (const query of queries.getQueryCache().getAll()) void renewed(query);
});

/** Ask again for what was asked, or is being asked, before the page followed what changes. */
async function renewed({ promise, queryKey, state }: Query): Promise<void> {
  if (state.fetchStatus === "fetching") await promise?.catch(() => undefined);
  else if (!state.dataUpdatedAt) return;
  await queries.invalidateQueries({ queryKey, exact: true });
}

/**
 * Ask again for what a push has changed. An answer that is under way may be older than the push: it is dropped, the
 * first one of a query too, which `invalidateQueries` would keep.
 */
export async function askAgain(queryKey: QueryKey): Promise<void> {
  await queries.cancelQueries({ queryKey });
  await queries.invalidateQueries({ queryKey });
}

/** Call `work` at most once in `ms`, the first time at once. For lists that are asked again because much has changed. */
export function throttled(work: () => void, ms: number): () => void {
  let timer: number | undefined;
  let wanted = false;
  const run = (): void => {
    work();
    timer = window.setTimeout(() => {
      timer = undefined;
      if (wanted) {
        wanted = false;
        run();
      }
    }, ms);
  };
  return () => {
    if (timer === undefined) run();
    else wanted = true;
  };
}
