// Puts what the server pushes into the pages that were asked for.

import type { ChangedRun } from "../../data/live";
import { type RunFilter, type RunPage, type RunRow, pushedRow } from "../../data/runs";
import { matches } from "./filter";

/** Return the pages with changed runs updated, new ones added in their place, and those that no longer fit removed. */
export function merge(pages: readonly RunPage[], changed: readonly ChangedRun[], filter: RunFilter): RunPage[] {
  const known = new Map(pages.flatMap((page) => page.rows.map((row) => [row.id, row] as const)));
  const rows = new Map(changed.map((run) => [run.id, pushedRow(run, known.get(run.id))] as const));
  const added = [...rows.values()].filter((row) => !known.has(row.id) && matches(row, filter));
  return pages.map((page, index) => {
    const end = page.next === undefined && index === pages.length - 1 ? "" : (page.rows.at(-1)?.id ?? "");
    const start = index === 0 ? "~" : (pages[index - 1]?.rows.at(-1)?.id ?? "");
    const mine = added.filter((row) => row.id < start && row.id > end);
    const kept = page.rows.map((row) => rows.get(row.id) ?? row).filter((row) => !rows.has(row.id) || matches(row, filter));
    if (!mine.length && kept.length === page.rows.length && kept.every((row, at) => row === page.rows[at])) return page;
    return { ...page, rows: [...mine, ...kept].sort(newestFirst) };
  });
}

function newestFirst(one: RunRow, other: RunRow): number {
  return one.id < other.id ? 1 : one.id > other.id ? -1 : 0;
}
