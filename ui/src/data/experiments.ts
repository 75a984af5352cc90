// Experiments: which variants runs got, and what their scores come to.

import { request } from "./http";
import { type RestPage, restPage } from "./pages";
import type { OwnedFunction } from "./sessions";

export interface ExperimentSummary {
  id: string;
  function: OwnedFunction;
  selectionStrategy: string;
  variants: string[];
  totalRuns: number;
  firstSeen?: string;
  lastSeen?: string;
}

export interface Metric {
  key: string;
  avg: number;
  min: number;
  max: number;
}

export interface Variant {
  variantName: string;
  runCount: number;
  metrics: Metric[];
}

export interface Experiment {
  id: string;
  variants: Variant[];
  variantWeights?: { variantName: string; weight: number }[];
  selectionStrategy?: string;
  firstSeen?: string;
  lastSeen?: string;
}

/** A page of the experiments of all functions. */
export function experimentsPage(cursor: string, signal?: AbortSignal): Promise<RestPage<ExperimentSummary>> {
  return restPage("/v2/experiments", { cursor, limit: "50" }, signal);
}

/** One experiment, with the runs since a moment. */
export async function experimentOf(app: string, slug: string, id: string, from: string, signal?: AbortSignal): Promise<Experiment> {
  const path = [app, "functions", slug, "experiments", id].map(encodeURIComponent).join("/");
  const query = from ? `?from=${encodeURIComponent(from)}` : "";
  return (await request<{ data: Experiment }>("GET", `/v2/apps/${path}${query}`, { signal })).data;
}
