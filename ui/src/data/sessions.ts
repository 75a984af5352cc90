// Sessions: runs by what their events belong to, such as a chat or an order.

import { type RestPage, restPage } from "./pages";

export interface OwnedFunction {
  id: string;
  name: string;
  app: { id: string; name?: string };
}

export interface Session {
  id: string;
  runCount: number;
  failedRunCount: number;
  failureRate: number;
  lastActiveAt: string;
  functions: OwnedFunction[];
}

export interface SessionRun {
  id: string;
  function: OwnedFunction;
  eventName?: string;
  status: string;
  queuedAt: string;
  startedAt?: string;
  endedAt?: string;
}

const PAGE = "50";
const MOST_KEYS = "100";

/** The keys by which events name sessions. */
export async function sessionKeys(signal?: AbortSignal): Promise<string[]> {
  return (await restPage<{ id: string }>("/v2/sessions", { limit: MOST_KEYS }, signal)).data.map((key) => key.id);
}

/** A page of a key's sessions with runs since a moment, the one that was active last first. */
export function sessionsPage(key: string, search: string, from: string, cursor: string, signal?: AbortSignal): Promise<RestPage<Session>> {
  return restPage(`/v2/sessions/${encodeURIComponent(key)}`, { search, from, cursor, limit: PAGE }, signal);
}

/** A page of a session's runs, the newest first. */
export function sessionRuns(key: string, id: string, cursor: string, signal?: AbortSignal): Promise<RestPage<SessionRun>> {
  return restPage(`/v2/sessions/${encodeURIComponent(key)}/${encodeURIComponent(id)}/runs`, { cursor, limit: PAGE }, signal);
}
