// Two runs of one function, step by step.

import type { Row } from "./timeline";

/** What is known of a step's saved output. */
export interface Saved {
  stepID: string;
  /** Taken over from the run before, not made by this one. */
  kept: boolean;
  failed: boolean;
  size: number;
  digest: string;
}

export interface Side {
  row: Row | undefined;
  saved: Saved | undefined;
}

/** `kept`: the same by necessity. `edited`: taken over, but changed by hand. */
export type Verdict = "same" | "kept" | "edited" | "differs" | "only-left" | "only-right" | "open";

export interface Pair {
  stepID: string;
  name: string;
  left: Side | undefined;
  right: Side | undefined;
  verdict: Verdict;
}

interface Run {
  rows: readonly Row[];
  saved: readonly Saved[];
}

/** Return the steps of both runs: in the left one's order, each followed by what only the right one has after it. */
export function pairs(left: Run, right: Run): Pair[] {
  const [sidesLeft, sidesRight] = [sides(left), sides(right)];
  return merged([...sidesLeft.keys()], [...sidesRight.keys()]).map((stepID) => {
    const [one, other] = [sidesLeft.get(stepID), sidesRight.get(stepID)];
    return { stepID, name: one?.row?.name ?? other?.row?.name ?? stepID.slice(0, 8), left: one, right: other, verdict: verdictOf(one, other) };
  });
}

function sides({ rows, saved }: Run): Map<string, Side> {
  const found = new Map<string, Side>();
  for (const each of saved) if (each.kept) found.set(each.stepID, { row: undefined, saved: each });
  for (const row of rows) if (row.stepID) found.set(row.stepID, { row, saved: undefined });
  for (const each of saved) {
    const side = found.get(each.stepID);
    if (side) side.saved = each;
    else found.set(each.stepID, { row: undefined, saved: each });
  }
  return found;
}

function merged(left: readonly string[], right: readonly string[]): string[] {
  const order = [...left];
  right.forEach((step, at) => {
    if (order.includes(step)) return;
    const before = right.slice(0, at).findLast((each) => order.includes(each));
    order.splice(before === undefined ? 0 : order.indexOf(before) + 1, 0, step);
  });
  return order;
}

function verdictOf(left: Side | undefined, right: Side | undefined): Verdict {
  if (!left) return "only-right";
  if (!right) return "only-left";
  if (!left.saved || !right.saved) return left.row?.status === right.row?.status && !left.saved && !right.saved ? "open" : "differs";
  const equal = left.saved.digest === right.saved.digest;
  if (left.saved.kept !== right.saved.kept) return equal ? "kept" : "edited";
  return equal ? "same" : "differs";
}

/** Return the JSON inside of a saved output: steps wrap it as `{"data": …}` or `{"error": …}`. */
export function unwrap(saved: string): string {
  try {
    const value = JSON.parse(saved) as unknown;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return saved;
    const entries = Object.entries(value);
    const only = entries.length === 1 ? entries[0] : undefined;
    return only && (only[0] === "data" || only[0] === "error") ? JSON.stringify(only[1]) : saved;
  } catch {
    return saved;
  }
}

/** Return the lines of both texts, marked where they differ: a longest common sequence, up to `most` lines a side. */
export function lineDiff(left: readonly string[], right: readonly string[], most = 1_500): { left: boolean[]; right: boolean[] } {
  const marks = { left: left.map(() => true), right: right.map(() => true) };
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start += 1;
  let end = 0;
  while (end < left.length - start && end < right.length - start && left.at(-1 - end) === right.at(-1 - end)) end += 1;
  for (let at = 0; at < start; at += 1) marks.left[at] = marks.right[at] = false;
  for (let at = 1; at <= end; at += 1) marks.left[left.length - at] = marks.right[right.length - at] = false;
  const [rows, columns] = [left.length - start - end, right.length - start - end];
  if (rows > most || columns > most) return marks;
  const width = columns + 1;
  const lengths = new Uint16Array((rows + 1) * width);
  for (let row = rows - 1; row >= 0; row -= 1) {
    for (let column = columns - 1; column >= 0; column -= 1) {
      const at = row * width + column;
      lengths[at] = left[start + row] === right[start + column] ? (lengths[at + width + 1] ?? 0) + 1 : Math.max(lengths[at + width] ?? 0, lengths[at + 1] ?? 0);
    }
  }
  for (let row = 0, column = 0; row < rows && column < columns; ) {
    if (left[start + row] === right[start + column]) {
      marks.left[start + row] = marks.right[start + column] = false;
      row += 1;
      column += 1;
    } else if ((lengths[(row + 1) * width + column] ?? 0) >= (lengths[row * width + column + 1] ?? 0)) row += 1;
    else column += 1;
  }
  return marks;
}
