import { type InfiniteData, useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef } from "react";

import { early } from "../../data/early";
import { type ChangedRun, type Push, useLive } from "../../data/live";
import { queries, throttled } from "../../data/queries";
import { type RunFilter, type RunPage, runsPage } from "../../data/runs";
import { renew } from "../../logic/pages";
import { merge } from "./merge";

type Pages = InfiniteData<RunPage, string | undefined>;

const AGAIN_MS = 1_000;

/** The runs of a filter, page by page and live. `key` names the filter: its window moves with the time. */
export function useRuns(key: readonly string[], filter: () => RunFilter, ready: boolean) {
  const queryKey = useMemo(() => ["runs", ...key], [key.join(" ")]);
  const missed = useRef<ChangedRun[]>([]);
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => {
      const ask = () => runsPage(filter(), pageParam, signal);
      return pageParam ? ask() : early(queryKey, ask);
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: RunPage) => page.next,
    enabled: ready,
  });
  const again = useMemo(
    () =>
      throttled(() => {
        void runsPage(filter(), undefined)
          .then((first) => update(queryKey, (pages) => renew(pages, first)))
          .catch(() => undefined); // the connection tells of itself, and heals
      }, AGAIN_MS),
    [queryKey],
  );
  useLive("runs", (push: Push) => {
    const wanted = filter();
    const searched = Boolean(wanted.query || wanted.text);
    if (push.more || searched) again();
    if (!push.runs || searched) return;
    // An answer that is under way takes the place of all pages: what is put into them now, it does not know.
    if (queries.isFetching({ queryKey, exact: true })) missed.current.push(...push.runs);
    update(queryKey, (pages) => merge(pages, push.runs ?? [], wanted));
  });
  useEffect(() => {
    if (query.isFetching || !missed.current.length) return;
    const runs = missed.current.splice(0);
    update(queryKey, (pages) => merge(pages, runs, filter()));
  }, [query.isFetching, queryKey]);
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.rows) ?? [], [query.data]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage({ cancelRefetch: false });
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  return { ...query, rows, more };
}

function update(queryKey: readonly string[], change: (pages: readonly RunPage[]) => RunPage[]): void {
  queries.setQueryData<Pages>(queryKey, (data) => {
    if (!data) return data;
    const pages = change(data.pages);
    return { pages, pageParams: data.pageParams.slice(0, pages.length) };
  });
}
