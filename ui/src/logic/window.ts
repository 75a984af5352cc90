// Windows of time, and lists, as they stand in an address.

type Search = Record<string, string | undefined>;

const MINUTE = 60_000;
const WINDOWS: Record<string, number> = {
  "15m": 15 * MINUTE,
  "1h": 60 * MINUTE,
  "6h": 360 * MINUTE,
  "24h": 1_440 * MINUTE,
  "7d": 10_080 * MINUTE,
  "30d": 43_200 * MINUTE,
};

/** The choices of a list's time. */
export const TIMES: readonly (readonly [string, string])[] = [
  ["15m", "Last 15 minutes"],
  ["1h", "Last hour"],
  ["6h", "Last 6 hours"],
  ["24h", "Last 24 hours"],
  ["7d", "Last 7 days"],
  ["30d", "Last 30 days"],
  ["all", "All time"],
];

/** Parts of an address's list, `a,b,c`. */
export function list(text: string | undefined): string[] {
  return text ? text.split(",").filter(Boolean) : [];
}

/** Return the window of time that is wanted: ms, open at the end unless the address has one. */
export function windowOf(search: Search, now: number, usual: string): { from: number; until: number | undefined } {
  if (search["from"]) {
    return { from: Date.parse(search["from"]) || 0, until: Date.parse(search["until"] ?? "") || undefined };
  }
  const last = search["last"] ?? usual;
  return { from: last === "all" ? 0 : now - (WINDOWS[last] ?? WINDOWS[usual] ?? 0), until: undefined };
}
