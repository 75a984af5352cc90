import { describe, expect, it } from "vitest";

import type { ChangedRun } from "../../data/live";
import type { RunFilter, RunPage, RunRow } from "../../data/runs";
import { renew } from "../../logic/pages";
import { filterOf } from "./filter";
import { merge } from "./merge";

const EVER: RunFilter = { from: "1980-01-01T00:00:00Z" };

const row = (id: string, status: RunRow["status"] = "RUNNING"): RunRow => ({ id, functionID: "f", appID: "a", status, queuedAt: 1e12, startedAt: 1e12, endedAt: undefined, eventName: "e", cron: undefined, isBatch: false, isDeferred: false, doing: undefined, errorLine: undefined, retries: 2, hasAI: true });
const changed = (id: string, status: string): ChangedRun => ({ id, function: "f", app: "a", status, queued: 1e12, event: "e" });
const ids = (pages: readonly RunPage[]) => pages.map((page) => page.rows.map((each) => each.id));

describe("merge", () => {
  const pages: RunPage[] = [{ rows: [row("9"), row("7")], next: "c" }, { rows: [row("5"), row("3")], next: "d" }];

  it("adds new runs where they belong, and none beyond what was asked for", () => {
    expect(ids(merge(pages, [changed("8", "RUNNING"), changed("A", "SCHEDULED"), changed("4", "RUNNING"), changed("1", "RUNNING")], EVER))).toEqual([["A", "9", "8", "7"], ["5", "4", "3"]]);
  });

  it("updates those that are there, and keeps what a push doesn't tell", () => {
    const found = merge(pages, [changed("7", "COMPLETED")], EVER)[0]?.rows[1];
    expect([found?.status, found?.retries, found?.hasAI]).toEqual(["COMPLETED", 2, true]);
  });

  it("removes those that fit no more, and leaves other pages as they are", () => {
    const found = merge(pages, [changed("7", "COMPLETED")], { ...EVER, statuses: ["RUNNING"] });
    expect(ids(found)).toEqual([["9"], ["5", "3"]]);
    expect(found[1]).toBe(pages[1]);
  });
});

describe("renew", () => {
  it("puts a new first page before the rows that are known", () => {
    expect(ids(renew([{ rows: [row("5"), row("4")], next: "c" }], { rows: [row("6"), row("5")], next: "n" }))).toEqual([["6", "5", "4"]]);
  });

  it("begins anew if there is a gap", () => {
    expect(ids(renew([{ rows: [row("2")], next: "c" }], { rows: [row("9"), row("8")], next: "n" }))).toEqual([["9", "8"]]);
  });
});

describe("filterOf", () => {
  const functions = [{ id: "f1", name: "Pay", slug: "shop-pay", appID: "a1", appName: "shop" }];

  it("reads an address", () => {
    const { filter, unknown } = filterOf({ status: "failed,queued", function: "shop-pay", last: "all", event: "x/y" }, functions, 0);
    expect(filter).toEqual({ from: EVER.from, statuses: ["FAILED", "QUEUED"], functions: ["f1"], query: 'event.name == "x/y"' });
    expect(unknown).toEqual([]);
  });

  it("says what it doesn't know, and lets it match nothing", () => {
    const { filter, unknown } = filterOf({ status: "BAD", function: "gone" }, functions, 1e12);
    expect(unknown).toEqual(["BAD", "gone"]);
    expect(filter.functions).toEqual(["00000000-0000-0000-0000-000000000000"]);
  });
});
