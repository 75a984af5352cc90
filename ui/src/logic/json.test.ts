import { expect, it } from "vitest";

import { layOut, lines, tokens } from "./json";

it("lays out JSON as it was written: long numbers, order and escapes stay", () => {
  const text = '{"b":12345678901234567890,"a":["x\\"{,}",{},[ ]],"c":null}';
  expect(layOut(text)).toBe('{\n  "b": 12345678901234567890,\n  "a": [\n    "x\\"{,}",\n    {},\n    []\n  ],\n  "c": null\n}');
});

it("ends at a text that is cut off", () => {
  expect(layOut('{"a": "x')).toBe('{\n  "a": "x');
  expect(layOut("[")).toBe("[\n  ");
});

it("leaves what is no JSON alone", () => {
  expect(lines("plain\ntext")).toEqual(["plain", "text"]);
});

it("tells keys from strings, numbers and words", () => {
  expect(tokens('  "a": [1.5e3, "b", true]').map((token) => token.kind)).toEqual(["plain", "key", "plain", "plain", "number", "plain", "string", "plain", "word", "plain"]);
});
