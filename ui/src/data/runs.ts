// Runs as lists show them: asked of the server in pages, kept fresh by what it pushes.

import { ms } from "../logic/format";
import type { Page } from "../logic/pages";
import { ask, graphql } from "./graphql";
import type { ChangedRun, Doing } from "./live";

export type RunStatus = "QUEUED" | "RUNNING" | "COMPLETED" | "FAILED" | "CANCELLED" | "SKIPPED";

/** A run's row. Times in ms since the epoch. */
export interface RunRow {
  id: string;
  functionID: string;
  appID: string;
  status: RunStatus;
  queuedAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  eventName: string | undefined;
  cron: string | undefined;
  isBatch: boolean;
  isDeferred: boolean;
  doing: Doing | undefined;
  errorLine: string | undefined;
  /** Failed attempts that were made again; unknown for rows that were pushed. */
  retries: number | undefined;
  hasAI: boolean;
}

/** Which runs are wanted; texts as they stand in the address. */
export interface RunFilter {
  from: string;
  until?: string | undefined;
  statuses?: RunStatus[] | undefined;
  functions?: string[] | undefined;
  apps?: string[] | undefined;
  /** An expression (CEL). */
  query?: string | undefined;
  /** Words that events, outputs, errors or functions' names must hold. */
  text?: string | undefined;
}

export type RunPage = Page<RunRow>;

export const PAGE = 50;

const RUNS = graphql(`
  query Runs($first: Int!, $after: String, $filter: RunsFilterV2!) {
    runs(first: $first, after: $after, orderBy: [{ field: QUEUED_AT, direction: DESC }], filter: $filter) {
      edges {
        node {
          id
          functionID
          appID
          status
          queuedAt
          startedAt
          endedAt
          eventName
          cronSchedule
          isBatch
          isDeferred
          hasAI
          errorLine
          failedAttempts
          doing {
            kind
            step
            key
            value
            limit
            since
            until
            attempt
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const COUNT = graphql(`
  query CountRuns($filter: RunsFilterV2!) {
    runs(first: 1, orderBy: [{ field: QUEUED_AT, direction: DESC }], filter: $filter) {
      totalCount
    }
  }
`);

const HISTOGRAM = graphql(`
  query RunsOverTime($filter: RunsFilterV2!, $bars: Int!) {
    runsHistogram(filter: $filter, bars: $bars) {
      from
      until
      alive
      completed
      failed
      cancelled
    }
  }
`);

/** How many runs there were in a stretch of time, by how they stand. */
export interface Bar {
  from: number;
  until: number;
  alive: number;
  completed: number;
  failed: number;
  cancelled: number;
}

function given(filter: RunFilter) {
  return {
    from: filter.from,
    until: filter.until ?? null,
    status: filter.statuses ?? null,
    functionIDs: filter.functions ?? null,
    appIDs: filter.apps ?? null,
    query: filter.query ?? null,
    text: filter.text ?? null,
  };
}

/** A page of runs, the newest first. */
export async function runsPage(filter: RunFilter, after: string | undefined, signal?: AbortSignal): Promise<RunPage> {
  const { runs } = await ask(RUNS, { first: PAGE, after: after ?? null, filter: given(filter) }, signal);
  const rows = runs.edges.map(({ node }): RunRow => ({
    id: node.id,
    functionID: node.functionID,
    appID: node.appID,
    status: node.status,
    queuedAt: Date.parse(node.queuedAt),
    startedAt: ms(node.startedAt),
    endedAt: ms(node.endedAt),
    eventName: node.eventName ?? undefined,
    cron: node.cronSchedule ?? undefined,
    isBatch: node.isBatch,
    isDeferred: node.isDeferred,
    doing: node.doing ? reason(node.doing) : undefined,
    errorLine: node.errorLine ?? undefined,
    retries: node.failedAttempts,
    hasAI: node.hasAI,
  }));
  return { rows, next: runs.pageInfo.hasNextPage ? (runs.pageInfo.endCursor ?? undefined) : undefined };
}

/** How many runs there are. */
export async function countRuns(filter: RunFilter, signal?: AbortSignal): Promise<number> {
  return (await ask(COUNT, { filter: given(filter) }, signal)).runs.totalCount;
}

interface ReasonNode {
  kind: string;
  step: string | null;
  key: string | null;
  value: string | null;
  limit: number | null;
  since: string | null;
  until: string | null;
  attempt: number | null;
}

function reason(node: ReasonNode): Doing {
  return {
    kind: node.kind,
    step: node.step ?? undefined,
    key: node.key ?? undefined,
    value: node.value ?? undefined,
    limit: node.limit ?? undefined,
    since: ms(node.since),
    until: ms(node.until),
    attempt: node.attempt ?? undefined,
  };
}

/** A pushed run as a row. What pushes leave out is taken from the row that is known. */
export function pushedRow(run: ChangedRun, known: RunRow | undefined): RunRow {
  return {
    id: run.id,
    functionID: run.function,
    appID: run.app,
    status: run.status === "SCHEDULED" ? "QUEUED" : (run.status as RunStatus),
    queuedAt: run.queued,
    startedAt: run.started,
    endedAt: run.ended,
    eventName: run.cron || run.batch ? undefined : run.event,
    cron: run.cron,
    isBatch: run.batch ?? false,
    isDeferred: run.deferred ?? false,
    doing: run.doing,
    errorLine: run.error,
    retries: Math.max(known?.retries ?? 0, (run.doing?.attempt ?? 1) - 1),
    hasAI: known?.hasAI ?? false,
  };
}

/** Runs over the time of a filter, in `bars` equal stretches. */
export async function runsOverTime(filter: RunFilter, bars: number, signal?: AbortSignal): Promise<Bar[]> {
  const { runsHistogram } = await ask(HISTOGRAM, { filter: given(filter), bars }, signal);
  return runsHistogram.map((bar) => ({ ...bar, from: Date.parse(bar.from), until: Date.parse(bar.until) }));
}
