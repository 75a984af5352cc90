// What a rerun from a step can do: what it keeps, and whether the step can get another input.

import type { Row } from "./timeline";

/** Return the rows whose results a rerun from `step` keeps: those that had ended before it, in that order. */
export function keptBy(rows: readonly Row[], step: Row): Row[] {
  const end = step.to ?? Number.POSITIVE_INFINITY;
  return rows
    .filter((row) => row.stepID && row.stepID !== step.stepID && row.to !== undefined && row.to < end)
    .sort((one, other) => (one.to ?? 0) - (other.to ?? 0));
}

/** Return why nobody can give a step another input; empty if one can. `recorded`: the app has told what its input was. */
export function noInput(kind: Row["kind"], language: string, recorded: boolean): string {
  if (kind === "sleep" || kind === "event" || kind === "signal") return "What waits has no input.";
  if (language === "py") return "The Inngest SDK for Python has no way to hand another input to a step: it would take it for the step's output.";
  if (language === "js" && !recorded) return "The step was called without arguments, so it has no input that could be another one.";
  return "";
}
