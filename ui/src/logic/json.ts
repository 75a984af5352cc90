// JSON as it is read: laid out and coloured, line by line. Numbers stay as they were written.

export type TokenKind = "plain" | "key" | "string" | "number" | "word";

export interface Token {
  kind: TokenKind;
  text: string;
}

const PARTS = /("(?:[^"\\]|\\.)*"?)(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

/** Return the lines of JSON laid out with two spaces; of another text, its own lines. */
export function lines(text: string): string[] {
  try {
    JSON.parse(text);
  } catch {
    return text.split("\n");
  }
  return layOut(text).split("\n");
}

/** Lay out JSON without reading its values: 64-bit numbers and the order of keys stay. */
export function layOut(text: string): string {
  const out: string[] = [];
  let depth = 0;
  let at = 0;
  while (at < text.length) {
    const char = text[at] as string;
    if (char === '"') {
      const end = stringEnd(text, at);
      out.push(text.slice(at, end));
      at = end;
      continue;
    }
    if (char === "{" || char === "[") {
      const close = nextSolid(text, at + 1);
      if (text[close] === (char === "{" ? "}" : "]")) {
        out.push(char, text[close] as string);
        at = close + 1;
        continue;
      }
      depth += 1;
      out.push(char, "\n", "  ".repeat(depth));
    } else if (char === "}" || char === "]") {
      depth -= 1;
      out.push("\n", "  ".repeat(depth), char);
    } else if (char === ",") out.push(",\n", "  ".repeat(depth));
    else if (char === ":") out.push(": ");
    else if (!/\s/.test(char)) out.push(char);
    at += 1;
  }
  return out.join("");
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

function nextSolid(text: string, start: number): number {
  let at = start;
  while (at < text.length && /\s/.test(text[at] as string)) at += 1;
  return at;
}

/** Return the parts of one line by what they are. */
export function tokens(line: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  for (const match of line.matchAll(PARTS)) {
    if (match.index > at) found.push({ kind: "plain", text: line.slice(at, match.index) });
    const [whole, text, colon, number] = match;
    if (text !== undefined) {
      found.push({ kind: colon ? "key" : "string", text });
      if (colon) found.push({ kind: "plain", text: colon });
    } else found.push({ kind: number === undefined ? "word" : "number", text: whole });
    at = match.index + whole.length;
  }
  if (at < line.length) found.push({ kind: "plain", text: line.slice(at) });
  return found;
}
