import { describe, expect, it } from "vitest";

import { bytes, count, duration, relative, shortId } from "./format";

describe("duration", () => {
  it.each([
    [0, "0 ms"],
    [0.4, "0 ms"],
    [7, "7 ms"],
    [999.6, "1.00 s"],
    [1_240, "1.24 s"],
    [9_996, "10.0 s"],
    [59_960, "1 m"],
    [125_000, "2 m 05 s"],
    [3_600_000, "1 h"],
    [11_400_000, "3 h 10 m"],
    [3 * 86_400_000 + 4 * 3_600_000, "3 d 04 h"],
    [-5, "0 ms"],
  ])("%d ms is %s", (ms, text) => expect(duration(ms)).toBe(text));
});

describe("relative", () => {
  it.each([
    [0, "now"],
    [-12_300, "12 s ago"],
    [-90_000, "1 m ago"],
    [7_200_000, "in 2 h"],
  ])("%d ms away is %s", (distance, text) => expect(relative(1_000_000_000 + distance, 1_000_000_000)).toBe(text));
});

it("shortens numbers, sizes and ids", () => {
  expect([count(1_234), count(12_345), count(999_960), count(4_500_000)]).toEqual(["1,234", "12.3 k", "1 M", "4.5 M"]);
  expect([bytes(812), bytes(4_301), bytes(1_048_576)]).toEqual(["812 B", "4.2 KB", "1.0 MB"]);
  expect(shortId("01M8Q162CE3E2KGZHX7W87S7J3")).toBe("…7W87S7J3");
});
