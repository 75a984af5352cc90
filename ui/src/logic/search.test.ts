import { expect, test } from "vitest";

import { wantedOf } from "./search";

test("what compares a path is an expression", () => {
  for (const typed of ["event.data.order == 7", '!(event.name == "a")', "output.total > 3", 'error.message != ""', "event.tags[0] == 1"]) {
    expect(wantedOf(typed)).toEqual({ query: typed });
  }
});

test("everything else is text", () => {
  for (const typed of ["declined", "event", "event.data", "the event == 7", "01M8QE6VZTMHZSBNSCK4SK4NVP", "a > b"]) {
    expect(wantedOf(typed)).toEqual({ text: typed });
  }
  expect(wantedOf("  ")).toEqual({});
  expect(wantedOf(undefined)).toEqual({});
});
