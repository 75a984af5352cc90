// Many runs at once: one request for each, a few at a time.

import { type RunFilter, type RunRow, type RunStatus, runsPage } from "../../data/runs";
import { cancelRun, rerun } from "../../data/trace";

export type Action = "cancel" | "rerun";

export interface Progress {
  action: Action;
  done: number;
  failed: number;
  /** Why the last one was refused. */
  reason: string;
}

/** So many runs at once, and no more. */
export const MOST = 5_000;
const AT_ONCE = 4;

const FITTING: Record<Action, readonly RunStatus[]> = {
  cancel: ["QUEUED", "RUNNING"],
  rerun: ["COMPLETED", "FAILED", "CANCELLED"],
};

/** The ids of chosen rows that an action makes sense for. */
export async function* selected(rows: readonly RunRow[], picked: ReadonlySet<string>, action: Action): AsyncGenerator<string> {
  for (const row of rows) if (picked.has(row.id) && FITTING[action].includes(row.status)) yield row.id;
}

/** The ids of all runs of a filter that an action makes sense for. What is begun meanwhile is not among them. */
export async function* those(filter: RunFilter, action: Action, signal: AbortSignal): AsyncGenerator<string> {
  const statuses = FITTING[action].filter((status) => !filter.statuses || filter.statuses.includes(status));
  if (!statuses.length) return;
  const wanted = { ...filter, statuses: [...statuses], until: filter.until ?? new Date().toISOString() };
  let next: string | undefined;
  do {
    const page = await runsPage(wanted, next, signal);
    for (const row of page.rows) yield row.id;
    next = page.next;
  } while (next);
}

/** Do it to each run; tells how far it has come. Stops when the signal says so, or after `MOST`. */
export async function perform(action: Action, ids: AsyncGenerator<string>, tell: (progress: Progress) => void, signal: AbortSignal): Promise<void> {
  const progress: Progress = { action, done: 0, failed: 0, reason: "" };
  tell({ ...progress });
  const work = async () => {
    while (!signal.aborted && progress.done + progress.failed < MOST) {
      const { value: id, done } = await ids.next();
      if (done) return;
      try {
        await (action === "cancel" ? cancelRun(id) : rerun(id));
        progress.done += 1;
      } catch (error) {
        progress.failed += 1;
        progress.reason = (error as Error).message;
      }
      tell({ ...progress });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
