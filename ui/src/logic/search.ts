// What people type into a search field: text, or an expression.

/** What a typed text asks for: words that are looked for everywhere, or an expression (CEL). */
export interface Wanted {
  text?: string | undefined;
  query?: string | undefined;
}

const PATH = /^[!(\s]*(event|output|error)\s*[.[]/;
const COMPARES = /(==|!=|<|>)/;

/** Whether a text is an expression: it begins with a path, and compares. */
export function isExpression(typed: string): boolean {
  return PATH.test(typed) && COMPARES.test(typed);
}

/** Read what was typed. */
export function wantedOf(typed: string | undefined): Wanted {
  const text = typed?.trim();
  if (!text) return {};
  return isExpression(text) ? { query: text } : { text };
}
