// The time of day, for what counts on the screen: one timer for all, and none while nothing counts or nobody looks.

import { useEffect, useState } from "react";

const watchers = new Map<number, Set<() => void>>();
const timers = new Map<number, number>();

/** The time in ms, renewed every `every` ms while the page is visible. */
export function useNow(every: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => watch(every, () => setNow(Date.now())), [every]);
  return now;
}

function watch(every: number, watcher: () => void): () => void {
  const set = watchers.get(every) ?? new Set();
  watchers.set(every, set.add(watcher));
  if (!timers.has(every)) timers.set(every, window.setInterval(() => document.hidden || tick(set), every));
  return () => {
    set.delete(watcher);
    if (set.size) return;
    clearInterval(timers.get(every));
    timers.delete(every);
  };
}

function tick(set: Set<() => void>): void {
  for (const watcher of set) watcher();
}
