import { type InfiniteData, useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";

import { type EventFilter, type EventRow, eventsPage } from "../../data/events";
import { type ChangedRun, type Push, useLive } from "../../data/live";
import { queries, throttled } from "../../data/queries";
import { type Page, renew } from "../../logic/pages";

type Pages = InfiniteData<Page<EventRow>, string | undefined>;

const AGAIN_MS = 1_000;

/** The events of a filter, page by page and live. */
export function useEvents(key: readonly string[], filter: () => EventFilter) {
  const queryKey = useMemo(() => ["events", ...key], [key.join(" ")]);
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => eventsPage(filter(), pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page: Page<EventRow>) => page.next,
  });
  const again = useMemo(
    () =>
      throttled(() => {
        void eventsPage(filter(), undefined)
          .then((first) => update(queryKey, (pages) => renew(pages, first)))
          .catch(() => undefined); // the connection tells of itself, and heals
      }, AGAIN_MS),
    [queryKey],
  );
  useLive("events", (push: Push) => {
    const { names, internal } = filter();
    const wanted = (name: string) => (names ? names.includes(name) : internal || !name.startsWith("inngest/"));
    if (push.more || push.events?.some((event) => wanted(event.name))) again();
  });
  useLive("runs", (push: Push) => push.runs && update(queryKey, (pages) => withStatuses(pages, push.runs ?? [])));
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.rows) ?? [], [query.data]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage({ cancelRefetch: false });
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  return { ...query, rows, more };
}

/** Pages whose runs have the statuses that were pushed. */
function withStatuses(pages: readonly Page<EventRow>[], changed: readonly ChangedRun[]): Page<EventRow>[] {
  const statuses = new Map(changed.map((run) => [run.id, run.status === "SCHEDULED" ? "QUEUED" : run.status]));
  return pages.map((page) => {
    if (!page.rows.some((row) => row.runs.some((run) => statuses.has(run.id)))) return page;
    const rows = page.rows.map((row) => ({
      ...row,
      runs: row.runs.map((run) => ({ ...run, status: (statuses.get(run.id) ?? run.status) as typeof run.status })),
    }));
    return { ...page, rows };
  });
}

function update(queryKey: readonly string[], change: (pages: readonly Page<EventRow>[]) => Page<EventRow>[]): void {
  queries.setQueryData<Pages>(queryKey, (data) => {
    if (!data) return data;
    const pages = change(data.pages);
    return { pages, pageParams: data.pageParams.slice(0, pages.length) };
  });
}
