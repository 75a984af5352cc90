import { describe, expect, it } from "vitest";

import type { Reason, SpanNode } from "../data/trace";
import { scaleOf } from "./scale";
import { tickLabel, ticks, timeline } from "./timeline";

const START = Date.parse("2026-01-01T00:00:00Z");
const at = (ms: number): string => new Date(START + ms).toISOString();

function span(given: Partial<SpanNode> & { queued: number; started?: number; ended?: number }): SpanNode {
  const { queued, started, ended, ...rest } = given;
  return {
    spanID: `${rest.name ?? "x"}-${queued}`, name: "x", status: "COMPLETED", attempts: 0, queuedAt: at(queued), scheduledAt: at(queued),
    startedAt: started === undefined ? null : at(started), endedAt: ended === undefined ? null : at(ended), stepOp: null, stepID: null, stepType: "",
    outputID: null, groupID: null, isUserland: false, userlandSpan: null, metadata: [], response: null, stepInfo: null, childrenSpans: [], ...rest,
  } as SpanNode;
}

const step = (name: string, queued: number, started: number, ended: number, more: Partial<SpanNode> = {}): SpanNode =>
  span({ name, stepID: name, stepOp: "RUN", outputID: `out-${name}`, queued, started, ended, ...more });

const root = (ended: number | undefined, ...children: SpanNode[]): SpanNode => span({ name: "Run", queued: 0, started: 0, ...(ended === undefined ? {} : { ended }), childrenSpans: children });

const reason = (given: Partial<Reason>): Reason => ({ kind: "retry", text: "", since: null, until: null, step: null, key: null, value: null, limit: null, held: null, holders: [], ahead: null, attempt: null, runID: null, function: null, ...given });

describe("timeline", () => {
  it("makes one row of a step's failed attempts and its success, with back-off in between", () => {
    const failed = step("pay", 0, 10, 60, { status: "FAILED" });
    const call = span({ name: "Attempt 1", queued: 60, scheduledAt: at(1_060), started: 1_070, ended: 1_100 });
    const group = span({ name: "pay", stepID: "pay", queued: 0, scheduledAt: null, childrenSpans: [call] });
    const { rows } = timeline(root(1_200, group, failed, step("pay", 60, 1_070, 1_100)), [], START + 5_000);
    expect(rows).toHaveLength(1);
    expect(rows[0]?.recovered).toBe(true);
    expect(rows[0]?.attempts.map((attempt) => attempt.status)).toEqual(["failed", "completed"]);
    expect(rows[0]?.segments.map(({ kind, from, to }) => [kind, from - START, (to ?? 0) - START])).toEqual([
      ["queue", 0, 10],
      ["work", 10, 60],
      ["backoff", 60, 1_060],
      ["queue", 1_060, 1_070],
      ["work", 1_070, 1_100],
    ]);
  });

  it("gives errors of the function to the step that its request came to", () => {
    const answer = span({ name: "executor.nonstep", status: "FAILED", outputID: "e", groupID: "g", queued: 0, started: 5, ended: 20 });
    const { rows } = timeline(root(200, answer, step("sync", 20, 100, 150, { groupID: "g" })), [], START + 500);
    expect(rows.map((row) => [row.name, row.attempts.length])).toEqual([["sync", 2]]);
  });

  it("shows a failure of the function itself as a row of its own", () => {
    const answer = span({ name: "executor.nonstep", status: "FAILED", outputID: "e", queued: 0, started: 5, ended: 20 });
    expect(timeline(root(20, answer), [], START + 500).rows.map((row) => [row.name, row.status])).toEqual([["Function", "failed"]]);
  });

  it("says after which step the function itself failed, or that it let a step's error pass", () => {
    const answer = span({ name: "executor.nonstep", status: "FAILED", outputID: "e", queued: 60, started: 65, ended: 80 });
    const names = (done: SpanNode) => timeline(root(80, done, answer), [], START + 500).rows.map((row) => row.name);
    expect(names(step("load", 0, 10, 60))).toEqual(["load", "Function, after load"]);
    expect(names(step("load", 0, 10, 60, { status: "FAILED" }))).toEqual(["load", "Function, which did not catch it"]);
  });

  it("reaches to the planned end of a sleep", () => {
    const nap = step("nap", 0, 0, 0, { stepOp: "SLEEP", status: "WAITING", endedAt: null, outputID: null, stepInfo: { __typename: "SleepStepInfo", sleepUntil: at(60_000) } });
    const shown = timeline(root(undefined, nap), [], START + 1_000);
    expect(shown.to).toBe(START + 60_000);
    expect(shown.rows[0]?.segments.map((segment) => segment.planned)).toEqual([false, true]);
  });

  it("shows the next attempt that is planned", () => {
    const failed = step("pay", 0, 10, 60, { status: "FAILED" });
    const open = span({ name: "pay", stepID: "pay", stepOp: "RUN", status: "QUEUED", queued: 60 });
    const shown = timeline(root(undefined, failed, open), [reason({ step: "pay", until: at(30_000) })], START + 1_000);
    expect(shown.rows[0]?.status).toBe("retrying");
  });

  it("divides the time so that the parts add up to the whole", () => {
    const { sums } = timeline(root(400, step("a", 0, 100, 200), step("b", 0, 150, 250), step("c", 300, 300, 350)), [], START + 900);
    expect(sums).toEqual({ queue: 100, work: 200, backoff: 0, wait: 0, other: 100 });
    expect(Object.values(sums).reduce((sum, part) => sum + part, 0)).toBe(400);
  });
});

describe("scale", () => {
  it("folds a long wait, and finds the way back", () => {
    const shown = timeline(root(1_000_100, step("a", 0, 0, 50), step("b", 1_000_050, 1_000_050, 1_000_100)), [], START);
    const folded = scaleOf(shown.rows, shown.from, shown.to, true);
    expect(folded.folds).toHaveLength(1);
    expect(folded.at(START + 50)).toBeGreaterThan(0.4);
    expect(folded.time(folded.at(START + 1_000_075))).toBeCloseTo(START + 1_000_075, 0);
    expect(scaleOf(shown.rows, shown.from, shown.to, false).at(START + 50)).toBeLessThan(0.001);
  });

  it("marks round distances", () => {
    expect(ticks(2_790, 7)).toEqual([0, 500, 1_000, 1_500, 2_000, 2_500]);
    expect([0, 500, 1_500, 90_000].map(tickLabel)).toEqual(["0", "500 ms", "1.5 s", "1 m 30 s"]);
  });
});
