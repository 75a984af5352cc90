// A function's settings as sentences.

import type { FunctionDetails } from "../../data/functions";

type Configuration = FunctionDetails["configuration"];

const SCOPES = { FUNCTION: "this function", ENVIRONMENT: "all functions", ACCOUNT: "all functions" } as const;

/** Return name and sentence of each setting that is set. */
export function settingsOf(shown: FunctionDetails): [string, string][] {
  const { configuration: given } = shown;
  return [
    ["Retries", `${given.retries.value}${given.retries.isDefault ? " (the default)" : ""}`],
    ...concurrency(given),
    ...limits(given),
    ...(given.priority ? [["Priority", given.priority] as [string, string]] : []),
    ...(given.singleton ? [["Singleton", `one run at a time${per(given.singleton.key)}; ${given.singleton.mode === "SKIP" ? "others are skipped" : "a new one cancels it"}`] as [string, string]] : []),
    ...given.cancellations.map((each): [string, string] => ["Cancelled by", `${each.event}${each.condition ? ` if ${each.condition}` : ""}${each.timeout ? `, within ${each.timeout}` : ""}`]),
    ...(shown.failureHandler ? [["On failure", shown.failureHandler.name] as [string, string]] : []),
  ];
}

function concurrency(given: Configuration): [string, string][] {
  return given.concurrency
    .filter((each) => !each.limit.isPlanLimit)
    .map((each) => ["Concurrency", `${each.limit.value} ${each.limit.value === 1 ? "step" : "steps"} at a time${per(each.key)}, in ${SCOPES[each.scope]}`]);
}

function limits(given: Configuration): [string, string][] {
  const found: [string, string][] = [];
  const { throttle, rateLimit, debounce, eventsBatch } = given;
  if (throttle) found.push(["Throttle", `${throttle.limit} starts in ${throttle.period}${throttle.burst > 1 ? `, bursts of ${throttle.burst}` : ""}${per(throttle.key)}; others wait`]);
  if (rateLimit) found.push(["Rate limit", `${rateLimit.limit} runs in ${rateLimit.period}${per(rateLimit.key)}; others are dropped`]);
  if (debounce) found.push(["Debounce", `after ${debounce.period} without another event${per(debounce.key)}`]);
  if (eventsBatch) found.push(["Batch", `up to ${eventsBatch.maxSize} events, or what came in ${eventsBatch.timeout}${per(eventsBatch.key)}`]);
  return found;
}

function per(key: string | null): string {
  return key ? ` for each ${key}` : "";
}
