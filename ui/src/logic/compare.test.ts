import { describe, expect, it } from "vitest";

import { type Saved, lineDiff, pairs, unwrap } from "./compare";
import type { Row } from "./timeline";

const row = (stepID: string): Row => ({ stepID, name: `step ${stepID}`, status: "completed" }) as Row;
const saved = (stepID: string, digest: string, kept = false): Saved => ({ stepID, digest, kept, failed: false, size: 1 });

describe("pairs", () => {
  it("says what a rerun kept, was given, and made anew", () => {
    const left = { rows: ["a", "b", "c"].map(row), saved: [saved("a", "1"), saved("b", "2"), saved("c", "3")] };
    const right = { rows: [row("c"), row("d")], saved: [saved("a", "1", true), saved("b", "9", true), saved("c", "4"), saved("d", "5")] };
    expect(pairs(left, right).map(({ stepID, verdict }) => [stepID, verdict])).toEqual([
      ["a", "kept"],
      ["b", "edited"],
      ["c", "differs"],
      ["d", "only-right"],
    ]);
  });

  it("names kept steps after the run that made them", () => {
    expect(pairs({ rows: [row("a")], saved: [saved("a", "1")] }, { rows: [], saved: [saved("a", "1", true)] })[0]?.name).toBe("step a");
  });

  it("puts steps of one side where they happened", () => {
    const left = { rows: ["a", "c", "z"].map(row), saved: [] };
    const right = { rows: ["x", "a", "b", "c"].map(row), saved: [] };
    expect(pairs(left, right).map((pair) => pair.stepID)).toEqual(["x", "a", "b", "c", "z"]);
  });
});

describe("unwrap", () => {
  it("takes off what steps are wrapped in, and nothing else", () => {
    expect(unwrap('{"data":{"n":1}}')).toBe('{"n":1}');
    expect(unwrap('{"data":1,"name":"shop/x"}')).toBe('{"data":1,"name":"shop/x"}');
    expect(unwrap("null")).toBe("null");
  });
});

describe("lineDiff", () => {
  it("marks lines that are not on the other side", () => {
    expect(lineDiff(["{", "a", "b", "}"], ["{", "b", "c", "}"])).toEqual({ left: [false, true, false, false], right: [false, false, true, false] });
  });

  it("marks all that lies between equal ends when there is too much", () => {
    expect(lineDiff(["{", "a", "b", "}"], ["{", "b", "}"], 1).left).toEqual([false, true, false, false]);
    expect(lineDiff(["{", "a", "b", "}"], ["{", "b", "c", "}"], 1).left).toEqual([false, true, true, false]);
  });
});
