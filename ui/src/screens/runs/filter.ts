// What the address says about which runs are wanted.

import type { FunctionRef } from "../../data/names";
import type { RunFilter, RunRow, RunStatus } from "../../data/runs";
import { wantedOf } from "../../logic/search";
import { list, windowOf } from "../../logic/window";
import type { Search } from "../../router";

export const STATUSES: readonly RunStatus[] = ["QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"];

export const DEFAULT_WINDOW = "24h";
const PARTS = ["last", "from", "until", "status", "function", "app", "event", "q"];

/** What names the list of an address: its window moves with the time, and is no part of the name. */
export function runsKey(search: Search): string[] {
  return ["runs", ...PARTS.map((name) => search[name] ?? "")];
}

/** An id of nothing: to the server, no ids at all mean any. */
const NOBODY = "00000000-0000-0000-0000-000000000000";
const EVER = "1980-01-01T00:00:00Z";

/** Return the filter that an address means. Names in it that mean nothing are in `unknown`. */
export function filterOf(search: Search, functions: readonly FunctionRef[], now: number): { filter: RunFilter; unknown: string[] } {
  const { from, until } = windowOf(search, now, DEFAULT_WINDOW);
  const asked = list(search["status"]).map((name) => name.toUpperCase());
  const slugs = list(search["function"]);
  const apps = list(search["app"]);
  const found = functions.filter((each) => slugs.includes(each.slug));
  const foundApps = functions.filter((each) => apps.includes(each.appName));
  const unknown = [
    ...asked.filter((name) => !STATUSES.includes(name as RunStatus)),
    ...slugs.filter((slug) => !found.some((each) => each.slug === slug)),
    ...apps.filter((app) => !foundApps.some((each) => each.appName === app)),
  ];
  const filter: RunFilter = { from: from > 0 ? new Date(from).toISOString() : EVER };
  if (until) filter.until = new Date(until).toISOString();
  if (asked.length) filter.statuses = asked.filter((name) => STATUSES.includes(name as RunStatus)) as RunStatus[];
  if (slugs.length) filter.functions = found.length ? found.map((each) => each.id) : [NOBODY];
  if (apps.length) filter.apps = foundApps.length ? [...new Set(foundApps.map((each) => each.appID))] : [NOBODY];
  const wanted = wantedOf(search["q"]);
  const query = [wanted.query, search["event"] ? `event.name == ${JSON.stringify(search["event"])}` : ""].filter(Boolean).join("\n");
  if (query) filter.query = query;
  if (wanted.text) filter.text = wanted.text;
  return { filter, unknown };
}

/** Whether a row that was pushed belongs to the list. A query can only be answered by the server. */
export function matches(row: RunRow, filter: RunFilter): boolean {
  return (
    row.queuedAt >= Date.parse(filter.from) &&
    (!filter.until || row.queuedAt <= Date.parse(filter.until)) &&
    (!filter.statuses || filter.statuses.includes(row.status)) &&
    (!filter.functions || filter.functions.includes(row.functionID)) &&
    (!filter.apps || filter.apps.includes(row.appID))
  );
}
