// The axis of a timeline: from times to places, with long stretches in which nothing works folded together.

import type { Row } from "./timeline";

export interface Fold {
  from: number;
  to: number;
}

export interface Scale {
  from: number;
  to: number;
  folds: Fold[];
  /** The place of a time, 0 to 1. */
  at: (time: number) => number;
  /** The time of a place. */
  time: (place: number) => number;
}

/** A quiet stretch is folded from this share of the whole on, and is then drawn as wide as this share of the rest. */
const FOLDED_FROM = 0.4;
const FOLD_SHARE = 0.16;
/** Shorter ones stay as they are: nobody has to scroll past five seconds. */
const LEAST_FOLD_MS = 5_000;

/** Return the axis from `from` to `to`; `fold` says whether long quiet stretches are folded. */
export function scaleOf(rows: readonly Row[], from: number, to: number, fold: boolean): Scale {
  const folds = fold ? quiet(rows, from, to).filter((gap) => gap.to - gap.from > Math.max(LEAST_FOLD_MS, FOLDED_FROM * (to - from))) : [];
  const rest = to - from - folds.reduce((sum, gap) => sum + gap.to - gap.from, 0);
  const width = Math.max(rest, 1) * FOLD_SHARE;
  const pieces = piecesOf(folds, from, to, width);
  const total = pieces.reduce((sum, piece) => sum + piece.size, 0) || 1;
  return { from, to, folds, at: (time) => place(pieces, total, time), time: (at) => timeAt(pieces, total, at) };
}

/** Whether there is something to fold. */
export function foldable(rows: readonly Row[], from: number, to: number): boolean {
  return scaleOf(rows, from, to, true).folds.length > 0;
}

interface Piece {
  from: number;
  to: number;
  size: number;
}

function piecesOf(folds: readonly Fold[], from: number, to: number, width: number): Piece[] {
  const pieces: Piece[] = [];
  let at = from;
  for (const gap of folds) {
    if (gap.from > at) pieces.push({ from: at, to: gap.from, size: gap.from - at });
    pieces.push({ ...gap, size: width });
    at = gap.to;
  }
  if (to > at) pieces.push({ from: at, to, size: to - at });
  return pieces;
}

function place(pieces: readonly Piece[], total: number, time: number): number {
  let before = 0;
  for (const piece of pieces) {
    if (time < piece.to) return clamp((before + (Math.max(time - piece.from, 0) / (piece.to - piece.from)) * piece.size) / total);
    before += piece.size;
  }
  return 1;
}

function timeAt(pieces: readonly Piece[], total: number, at: number): number {
  let before = 0;
  for (const piece of pieces) {
    const share = piece.size / total;
    if (at <= before + share) return piece.from + ((at - before) / share) * (piece.to - piece.from);
    before += share;
  }
  return pieces.at(-1)?.to ?? 0;
}

/** The stretches in which nothing works or queues. */
function quiet(rows: readonly Row[], from: number, to: number): Fold[] {
  const busy = rows
    .flatMap((row) => row.segments)
    .filter((segment) => segment.kind === "work" || segment.kind === "queue")
    .map((segment) => ({ from: segment.from, to: segment.to ?? to }))
    .sort((one, other) => one.from - other.from);
  const gaps: Fold[] = [];
  let at = from;
  for (const each of busy) {
    if (each.from > at) gaps.push({ from: at, to: Math.min(each.from, to) });
    at = Math.max(at, each.to);
  }
  if (at < to) gaps.push({ from: at, to });
  return gaps.filter((gap) => gap.to > gap.from);
}

function clamp(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}
