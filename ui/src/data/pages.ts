// Pages of REST v2: `data`, and a cursor for the next page.

import { request } from "./http";

export interface RestPage<T> {
  data: T[];
  page?: { cursor?: string; hasMore?: boolean };
}

/** A page of a list. Parameters that are empty are left out, as the server leaves out a list without items. */
export async function restPage<T>(path: string, parameters: Record<string, string | undefined>, signal?: AbortSignal): Promise<RestPage<T>> {
  const given = Object.entries(parameters).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const query = new URLSearchParams(given).toString();
  const answer = await request<Partial<RestPage<T>>>("GET", query ? `${path}?${query}` : path, { signal, headers: ENVIRONMENT });
  return { ...answer, data: answer.data ?? [] };
}

/** Where the next page begins; undefined at the end. */
export function nextOf(page: RestPage<unknown>): string | undefined {
  return page.page?.hasMore ? page.page.cursor : undefined;
}

/** What some routes want to be told, though there is one environment only. */
export const ENVIRONMENT = { "X-Inngest-Env": "dev" };
