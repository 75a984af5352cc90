// Who may use the server: users, API tokens, keys, and the audit log of what they did. Times in ms.

import { request } from "./http";
import type { Role } from "./server";

export interface User {
  id: string;
  name: string;
  role: Role;
  /** `oidc`: the identity provider vouches for them, and they have no password here. */
  kind: "local" | "oidc";
  created_at: number;
  last_login_at: number | null;
}

export interface Token {
  id: string;
  name: string;
  /** The beginning of the secret. */
  hint: string;
  role: Role;
  created_by: string;
  created_at: number;
  expires_at: number | null;
  used_at: number | null;
  revoked_at: number | null;
}

export interface EventKey {
  id: string;
  name: string;
  key: string;
  created_at: number;
  origin: "config" | "database";
}

export interface SigningKey {
  id: string;
  key: string;
  created_at: number;
  origin: "config" | "database";
  /** The one that signs; the other one is the fallback. */
  current: boolean;
}

export interface Entry {
  id: string;
  at: number;
  actor: string;
  action: string;
  target: string;
  outcome: string;
  address: string;
}

const BASE = "/v0/access";

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request<{ data: T }>("GET", BASE + path, { signal })).data;
}

async function send<T>(method: string, path: string, body: object = {}): Promise<T> {
  return request<T>(method, BASE + path, { body: JSON.stringify(body) });
}

export const usersOf = (signal?: AbortSignal): Promise<User[]> => get("/users", signal);
export const tokensOf = (signal?: AbortSignal): Promise<Token[]> => get("/tokens", signal);
export const eventKeysOf = (signal?: AbortSignal): Promise<EventKey[]> => get("/keys/events", signal);
export const signingKeysOf = (signal?: AbortSignal): Promise<SigningKey[]> => get("/keys/signing", signal);

export async function addUser(user: { name: string; role: Role; password: string }): Promise<void> {
  await send("POST", "/users", user);
}

export async function changeUser(name: string, change: { role?: Role; password?: string }): Promise<void> {
  await send("PATCH", `/users/${encodeURIComponent(name)}`, change);
}

export async function removeUser(name: string): Promise<void> {
  await send("DELETE", `/users/${encodeURIComponent(name)}`);
}

export async function changeOwnPassword(old: string, changed: string): Promise<void> {
  await send("POST", "/me/password", { old, new: changed });
}

/** Create a token and return its secret, which the server shows this one time. */
export async function createToken(token: { name: string; role: Role; days?: number }): Promise<string> {
  return (await send<{ data: { token: string } }>("POST", "/tokens", token)).data.token;
}

export async function revokeToken(id: string): Promise<void> {
  await send("DELETE", `/tokens/${id}`);
}

export async function createEventKey(name: string): Promise<void> {
  await send("POST", "/keys/events", { name });
}

export async function revokeEventKey(id: string): Promise<void> {
  await send("DELETE", `/keys/events/${encodeURIComponent(id)}`);
}

/** Make a new signing key the current one; the one before becomes the fallback. */
export async function rotateSigningKey(key: string): Promise<void> {
  await send("POST", "/keys/signing/rotate", { key });
}

export async function retireFallback(): Promise<void> {
  await send("DELETE", "/keys/signing/fallback");
}

export interface AuditPage {
  data: Entry[];
  cursor: string | null;
}

/** A page of the audit log, the newest first; of one actor and one action, if they are given. */
export async function auditPage(filter: { actor: string; action: string }, cursor: string, signal?: AbortSignal): Promise<AuditPage> {
  const given = new URLSearchParams({ limit: "100", cursor, ...filter });
  return request<AuditPage>("GET", `${BASE}/audit?${given.toString()}`, { signal });
}
