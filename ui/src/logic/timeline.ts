// From a trace, as the server has it, to the rows of the timeline: one for each step, with its attempts inside.

import type { Reason, SpanNode, StepInfo } from "../data/trace";
import { duration, ms } from "./format";

export type RowKind = "run" | "sleep" | "event" | "signal" | "invoke" | "ai" | "send" | "function" | "span";
export type RowStatus = "completed" | "failed" | "running" | "queued" | "waiting" | "retrying" | "cancelled";

/** One request for a step. Times in ms; what hasn't come yet is undefined. */
export interface Attempt {
  number: number;
  status: RowStatus;
  queued: number;
  due: number;
  started: number | undefined;
  ended: number | undefined;
  outputID: string | undefined;
  httpStatus: number | undefined;
  headers: Record<string, string | string[]> | undefined;
}

export type SegmentKind = "queue" | "work" | "backoff" | "wait";

/** A part of a bar. Without an end it goes on; `planned` lies ahead. */
export interface Segment {
  kind: SegmentKind;
  status: RowStatus;
  from: number;
  to: number | undefined;
  attempt: number | undefined;
  planned: boolean;
}

export interface Row {
  key: string;
  stepID: string | undefined;
  name: string;
  kind: RowKind;
  status: RowStatus;
  from: number;
  to: number | undefined;
  attempts: Attempt[];
  segments: Segment[];
  outputID: string | undefined;
  info: StepInfo | undefined;
  metadata: SpanNode["metadata"];
  userland: SpanNode["userlandSpan"];
  /** Spans of user code, and rows below them. */
  children: Row[];
  depth: number;
  /** Whether it failed first and went well in the end. */
  recovered: boolean;
}

export interface Sums {
  queue: number;
  work: number;
  backoff: number;
  wait: number;
  /** Nothing of the above: between two steps. */
  other: number;
}

export interface Timeline {
  rows: Row[];
  from: number;
  /** The latest known moment: the end, now, or what is planned. */
  to: number;
  sums: Sums;
}

const KINDS: Record<string, RowKind> = {
  RUN: "run",
  SLEEP: "sleep",
  WAIT_FOR_EVENT: "event",
  WAIT_FOR_SIGNAL: "signal",
  INVOKE: "invoke",
  AI_GATEWAY: "ai",
};
const STATUSES: Record<string, RowStatus> = {
  COMPLETED: "completed",
  FAILED: "failed",
  RUNNING: "running",
  QUEUED: "queued",
  WAITING: "waiting",
  CANCELLED: "cancelled",
  SKIPPED: "cancelled",
};
const WAITS = new Set<RowKind>(["sleep", "event", "signal", "invoke"]);

/** Return the timeline of a run. `now` ends what goes on. */
export function timeline(trace: SpanNode, why: readonly Reason[], now: number): Timeline {
  const nodes = trace.childrenSpans ?? [];
  const requests = nodes.filter(isGroup).flatMap((group) => attemptsOf(group));
  const steps = new Map<string, SpanNode[]>();
  const answers: SpanNode[] = [];
  for (const node of nodes) {
    if (isGroup(node)) continue;
    if (node.stepID) steps.set(node.stepID, [...(steps.get(node.stepID) ?? []), node]);
    else if (node.outputID) answers.push(node);
  }
  const claimed = new Set<SpanNode>();
  const rows = [...steps.values()].map((spans) => {
    const own = answers.filter((answer) => answer.status === "FAILED" && spans.some((span) => span.groupID && span.groupID === answer.groupID));
    for (const answer of own) claimed.add(answer);
    return stepRow([...own, ...spans], spans, requests, why, now);
  });
  const left = answers.filter((answer) => !claimed.has(answer));
  const finished = functionRow(left, requests, why, trace, now);
  if (finished) {
    if (finished.name === FUNCTION) finished.name = functionName(rows, finished.from);
    rows.push(finished);
  }
  rows.sort((one, other) => one.from - other.from || one.name.localeCompare(other.name, undefined, { numeric: true }));
  const from = Date.parse(trace.queuedAt);
  const planned = rows.flatMap((row) => row.segments.map((segment) => segment.to ?? now));
  const ended = ms(trace.endedAt);
  const to = ended ?? Math.max(now, ...planned);
  return { rows, from, to: Math.max(to, from + 1), sums: sumsOf(rows, from, Math.min(to, ended ?? now), ms(trace.startedAt)) };
}

/** Requests of one queue item: the spans of steps stand beside them. */
function isGroup(node: SpanNode): boolean {
  return !node.scheduledAt && !node.isUserland && (node.response !== null || (node.childrenSpans ?? []).some((child) => child.name.startsWith("Attempt ")));
}

function attemptsOf(group: SpanNode): SpanNode[] {
  const found = (group.childrenSpans ?? []).filter((child) => child.name.startsWith("Attempt "));
  return found.length ? found : [group];
}

function stepRow(spans: SpanNode[], own: SpanNode[], requests: SpanNode[], why: readonly Reason[], now: number): Row {
  spans.sort((one, other) => Date.parse(one.queuedAt) - Date.parse(other.queuedAt));
  const last = own.at(-1) as SpanNode;
  const kind = kindOf(last);
  const attempts = spans.map((span, index) => attemptOf(span, index, spans[index - 1], requests));
  const reason = why.find((each) => each.step !== null && each.step === last.name);
  const row = rowOf(last, kind, attempts);
  row.status = openStatus(row.status, reason);
  row.segments = WAITS.has(kind) ? waitSegments(last, row.status, now) : segmentsOf(attempts, row.status, reason);
  row.children = own.flatMap((span) => userSpans(span, 1)).concat(requests.filter((request) => own.some((span) => same(span, request))).flatMap((request) => userSpans(request, 1)));
  return row;
}

const FUNCTION = "Function";

/** What to call the function's own failure: apps don't name the step in which it happened, but where it stood is known. */
function functionName(rows: readonly Row[], from: number): string {
  const before = rows.filter((row) => row.to !== undefined && row.to <= from).sort((one, other) => (one.to ?? 0) - (other.to ?? 0));
  const last = before.at(-1);
  if (!last) return FUNCTION;
  return last.status === "failed" ? `${FUNCTION}, which did not catch it` : `${FUNCTION}, after ${last.name}`;
}

function functionRow(answers: SpanNode[], requests: SpanNode[], why: readonly Reason[], trace: SpanNode, now: number): Row | undefined {
  const failed = answers.some((answer) => answer.status === "FAILED");
  const retry = why.find((reason) => reason.kind === "retry" && !reason.step);
  const running = why.find((reason) => reason.kind === "executing" && !reason.step);
  const last = answers.at(-1);
  if (!failed && !retry && !running) return undefined;
  const attempts = answers.map((span, index) => attemptOf(span, index, answers[index - 1], requests));
  const row = rowOf(last ?? trace, "function", attempts);
  row.key = "function";
  row.name = failed ? FUNCTION : "Next steps";
  row.stepID = undefined;
  row.children = [];
  if (!last) row.from = running?.since ? Date.parse(running.since) : now;
  row.status = retry ? "retrying" : running ? "running" : row.status;
  row.segments = segmentsOf(attempts, row.status, retry ?? running);
  if (!attempts.length) row.to = undefined;
  return row;
}

function rowOf(span: SpanNode, kind: RowKind, attempts: Attempt[]): Row {
  const ended = ms(span.endedAt);
  return {
    key: span.stepID ?? span.spanID,
    stepID: span.stepID ?? undefined,
    name: span.name,
    kind,
    status: STATUSES[span.status] ?? "running",
    from: attempts[0]?.queued ?? Date.parse(span.queuedAt),
    to: ended,
    attempts,
    segments: [],
    outputID: span.outputID ?? undefined,
    info: span.stepInfo ?? undefined,
    metadata: span.metadata,
    userland: span.userlandSpan,
    children: [],
    depth: 0,
    recovered: attempts.length > 1 && attempts.at(-1)?.status === "completed" && attempts.some((attempt) => attempt.status === "failed"),
  };
}

function kindOf(span: SpanNode): RowKind {
  if (span.stepType === "step.sendEvent") return "send";
  if (span.stepType.startsWith("step.ai")) return "ai";
  return KINDS[span.stepOp ?? "RUN"] ?? "run";
}

function attemptOf(span: SpanNode, index: number, before: SpanNode | undefined, requests: SpanNode[]): Attempt {
  const request = requests.find((each) => same(span, each));
  const queued = before ? (ms(before.endedAt) ?? Date.parse(span.queuedAt)) : Date.parse(span.queuedAt);
  const started = span.status === "QUEUED" ? undefined : ms(span.startedAt);
  const due = ms(request?.scheduledAt) ?? ms(span.scheduledAt) ?? queued;
  return {
    number: index + 1,
    status: STATUSES[span.status] ?? "running",
    queued,
    due: Math.max(queued, Math.min(due, started ?? due)),
    started,
    ended: ms(span.endedAt),
    outputID: span.outputID ?? undefined,
    httpStatus: request?.response?.statusCode ?? span.response?.statusCode,
    headers: request?.response?.headers ?? span.response?.headers,
  };
}

function same(span: SpanNode, request: SpanNode): boolean {
  return request.startedAt === span.startedAt && request.endedAt === span.endedAt && span.endedAt !== null;
}

function openStatus(status: RowStatus, reason: Reason | undefined): RowStatus {
  if (!reason || !["running", "queued", "waiting"].includes(status)) return status;
  if (reason.kind === "retry") return "retrying";
  if (["concurrency", "throttle", "worker", "paused", "queued", "delayed"].includes(reason.kind)) return "queued";
  return status;
}

function waitSegments(span: SpanNode, status: RowStatus, now: number): Segment[] {
  const from = Date.parse(span.queuedAt);
  const ended = ms(span.endedAt);
  const passed: Segment = { kind: "wait", status, from, to: ended ?? now, attempt: undefined, planned: false };
  const until = untilOf(span.stepInfo);
  if (ended !== undefined || until === undefined || until <= now) return [passed];
  return [passed, { ...passed, from: now, to: until, planned: true }];
}

/** When a wait ends by itself. */
export function untilOf(info: StepInfo | null | undefined): number | undefined {
  if (!info) return undefined;
  if (info.__typename === "SleepStepInfo") return Date.parse(info.sleepUntil);
  return "timeout" in info ? Date.parse(info.timeout) : undefined;
}

function segmentsOf(attempts: Attempt[], status: RowStatus, reason: Reason | undefined): Segment[] {
  const found: Segment[] = [];
  const add = (kind: SegmentKind, of: Attempt, from: number, to: number | undefined) => {
    if (to === undefined || to > from || kind === "work") found.push({ kind, status: of.status, from, to, attempt: of.number, planned: false });
  };
  for (const attempt of attempts) {
    if (attempt.number > 1) add("backoff", attempt, attempt.queued, attempt.due);
    if (attempt.started === undefined || (status === "queued" && attempt.ended === undefined)) {
      add("queue", attempt, attempt.due, undefined);
      continue;
    }
    add("queue", attempt, attempt.due, attempt.started);
    add("work", attempt, attempt.started, attempt.ended);
  }
  const last = attempts.at(-1);
  if (reason?.kind === "retry" && reason.until && last?.ended !== undefined) {
    found.push({ kind: "backoff", status: "retrying", from: last.ended, to: Date.parse(reason.until), attempt: last.number + 1, planned: true });
  }
  return found;
}

function userSpans(node: SpanNode, depth: number): Row[] {
  return (node.childrenSpans ?? [])
    .filter((child) => child.isUserland)
    .map((child) => {
      const row = rowOf(child, "span", []);
      row.key = child.spanID;
      row.stepID = undefined;
      row.name = child.userlandSpan?.spanName ?? child.name;
      row.depth = depth;
      row.from = ms(child.startedAt) ?? row.from;
      row.segments = [{ kind: "work", status: row.status, from: row.from, to: row.to, attempt: undefined, planned: false }];
      row.children = userSpans(child, depth + 1);
      return row;
    });
}

/** Return how the time of a run divides: each moment counts once, work before queueing before waiting. */
export function sumsOf(rows: readonly Row[], from: number, to: number, started: number | undefined): Sums {
  const sums: Sums = { queue: 0, work: 0, backoff: 0, wait: 0, other: 0 };
  const segments = rows.flatMap((row) => row.segments.filter((segment) => !segment.planned));
  segments.push({ kind: "queue", status: "queued", from, to: started ?? to, attempt: undefined, planned: false });
  const edges = segments
    .flatMap((segment) => [
      { at: clamp(segment.from, from, to), kind: segment.kind, by: 1 },
      { at: clamp(segment.to ?? to, from, to), kind: segment.kind, by: -1 },
    ])
    .sort((one, other) => one.at - other.at);
  const open: Record<SegmentKind, number> = { work: 0, queue: 0, backoff: 0, wait: 0 };
  let at = from;
  for (const edge of edges) {
    sums[leading(open)] += edge.at - at;
    at = edge.at;
    open[edge.kind] += edge.by;
  }
  sums.other += Math.max(0, to - at);
  return sums;
}

function leading(open: Record<SegmentKind, number>): keyof Sums {
  return (["work", "queue", "backoff", "wait"] as const).find((kind) => open[kind] > 0) ?? "other";
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** All rows that are shown: those below others only where these are open. */
export function visible(rows: readonly Row[], open: ReadonlySet<string>): Row[] {
  return rows.flatMap((row) => [row, ...(open.has(row.key) ? visible(row.children, open) : [])]);
}

/** Marks of a ruler over a stretch of time: round distances, at most `most` of them. */
export function ticks(length: number, most: number): number[] {
  const step = STEPS.find((each) => length / each <= most) ?? DAY * Math.ceil(length / DAY / most);
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => index * step);
}

const DAY = 86_400_000;
const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000,
  900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000, 43_200_000, DAY,
];

/** A distance on a ruler: `0`, `500 ms`, `2 s`, `1 m 30 s`. */
export function tickLabel(distance: number): string {
  if (distance === 0) return "0";
  if (distance >= 1_000 && distance < 60_000) return `${Number((distance / 1_000).toFixed(2))} s`;
  return duration(distance);
}
