import { describe, expect, it } from "vitest";

import { keptBy, noInput } from "./rerun";
import type { Row } from "./timeline";

const row = (name: string, to: number | undefined): Row => ({ name, to, stepID: name === "Function" ? undefined : name }) as Row;

describe("keptBy", () => {
  const rows = [row("slow", 90), row("first", 10), row("chosen", 50), row("second", 20), row("open", undefined), row("Function", 15)];

  it("keeps what had ended before the step, in the order in which it ended", () => {
    expect(keptBy(rows, rows[2] as Row).map((each) => each.name)).toEqual(["first", "second"]);
  });

  it("keeps all that has ended, if the step never did", () => {
    expect(keptBy(rows, rows[4] as Row).map((each) => each.name)).toEqual(["first", "second", "chosen", "slow"]);
  });
});

describe("noInput", () => {
  it("says which SDK, and which step, takes none", () => {
    expect(noInput("run", "py", true)).toContain("SDK for Python");
    expect(noInput("run", "js", false)).toContain("without arguments");
    expect(noInput("sleep", "js", false)).toContain("waits");
  });

  it("says nothing where there is a way", () => {
    expect([noInput("run", "js", true), noInput("run", "py-holdfast", false), noInput("invoke", "go", true)]).toEqual(["", "", ""]);
  });
});
