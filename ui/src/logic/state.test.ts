import { describe, expect, it } from "vitest";

import { countdown, stateOf } from "./state";

describe("countdown", () => {
  it.each([
    [0, ""],
    [3_200, "in 4 s"],
    [59_000, "in 59 s"],
    [130_000, "in 2 m 10 s"],
    [259_200_000, "in 3 d"],
  ])("of %d ms is %s", (left, text) => expect(countdown(1_000 + left, 1_000)).toBe(text));
});

describe("stateOf", () => {
  it("tells what holds a run, and what it waits for", () => {
    const held = stateOf("QUEUED", { kind: "concurrency", key: "event.data.customer", value: "acme", limit: 1 });
    expect([held.label, held.detail]).toEqual(["Held", "by limit 1 of event.data.customer = acme"]);
    expect(stateOf("RUNNING", { kind: "sleep", step: "nap", until: 9 })).toEqual({ look: "waiting", label: "Sleeping", detail: "nap", until: 9 });
  });

  it("says of an ended run how it ended, whatever it did before", () => {
    expect(stateOf("CANCELLED", { kind: "sleep" }).label).toBe("Cancelled");
  });
});
