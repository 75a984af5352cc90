// Numbers, times and durations as people read them. The same everywhere: list, bar, card and panel.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `7 ms`, `1.24 s`, `2 m 05 s`, `3 h 10 m`, `2 d 4 h`. */
export function duration(ms: number): string {
  const value = Math.max(0, ms);
  if (value < 1) return "0 ms";
  if (Math.round(value) < SECOND) return `${Math.round(value)} ms`;
  if (value < 9.995 * SECOND) return `${(value / SECOND).toFixed(2)} s`;
  if (value < 59.95 * SECOND) return `${(value / SECOND).toFixed(1)} s`;
  const seconds = Math.round(value / SECOND);
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), "m", seconds % 60, "s");
  const minutes = Math.round(value / MINUTE);
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "m");
  const hours = Math.round(value / HOUR);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small ? `${large} ${largeUnit} ${String(small).padStart(2, "0")} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** `now`, `12 s ago`, `in 3 m`: one unit, rounded down. */
export function relative(at: number, now: number): string {
  const distance = at - now;
  const size = Math.abs(distance);
  if (size < SECOND) return "now";
  const [unit, word] = ([[DAY, "d"], [HOUR, "h"], [MINUTE, "m"], [SECOND, "s"]] as const).find(([ms]) => size >= ms) ?? [
    SECOND,
    "s",
  ];
  const text = `${Math.floor(size / unit)} ${word}`;
  return distance < 0 ? `${text} ago` : `in ${text}`;
}

/** `14:03:27.123`, with the day before it if that is another one than today. */
export function clock(at: number, now: number): string {
  const date = new Date(at);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  return new Date(now).toDateString() === date.toDateString() ? time : `${day(at)} ${time}`;
}

/** `2026-11-30`, in the reader's own zone. */
export function day(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** `1,234`, and from ten thousand on `12.3 k`, `4.5 M`. */
export function count(value: number): string {
  if (value < 10_000) return value.toLocaleString("en");
  if (value < 999_950) return `${trim(value / 1_000)} k`;
  return `${trim(value / 1_000_000)} M`;
}

function trim(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}

/** `812 B`, `4.2 KB`, `1.0 MB`. */
export function bytes(size: number): string {
  if (size < 1_024) return `${size} B`;
  if (size < 1_024 * 1_024) return `${(size / 1_024).toFixed(1)} KB`;
  return `${(size / 1_024 / 1_024).toFixed(1)} MB`;
}

/** `1 run`, `2 runs`. */
export function plural(value: number, word: string): string {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** The end of an id, which tells neighbours apart: their beginnings are the time. */
export function shortId(id: string): string {
  return id.length > 12 ? `…${id.slice(-8)}` : id;
}

/** A GraphQL time in ms since the epoch. */
export function ms(time: string | null | undefined): number | undefined {
  return time ? Date.parse(time) : undefined;
}
