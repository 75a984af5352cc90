// What the server pushes: one WebSocket for the page, for as long as somebody follows something.

import { useEffect, useRef, useSyncExternalStore } from "react";

/** Where a run stands, in words of the engine's reasons. */
export interface Doing {
  kind: string;
  step?: string | undefined;
  key?: string | undefined;
  value?: string | undefined;
  limit?: number | undefined;
  since?: number | undefined;
  until?: number | undefined;
  attempt?: number | undefined;
}

/** A run that changed, as its row in a list shows it. Times in ms. */
export interface ChangedRun {
  id: string;
  function: string;
  app: string;
  status: string;
  queued: number;
  started?: number;
  ended?: number;
  event?: string;
  cron?: string;
  batch?: boolean;
  deferred?: boolean;
  doing?: Doing;
  error?: string;
}

export interface ArrivedEvent {
  id: string;
  name: string;
  received: number;
}

/** One push. `more` counts what changed besides, too much to name: ask again. */
export interface Push {
  runs?: ChangedRun[];
  events?: ArrivedEvent[];
  apps?: boolean;
  /** The run that is followed has new steps. */
  run?: string;
  more?: number;
}

/** `runs`, `events`, `apps`, or `run:` and an id. */
export type Topic = "runs" | "events" | "apps" | `run:${string}`;

export type Connection = "idle" | "connecting" | "live" | "lost";

type Listener = (push: Push) => void;

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;

class Live {
  state: Connection = "idle";
  private socket: WebSocket | undefined;
  private readonly followers = new Map<Topic, Set<Listener>>();
  private readonly watchers = new Set<() => void>();
  private readonly openers = new Set<(again: boolean) => void>();
  private retryMs = FIRST_RETRY_MS;
  private timer: number | undefined;
  private wasLost = false;

  constructor() {
    addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
  }

  /** Follow a topic until the returned function is called. */
  follow(topic: Topic, listener: Listener): () => void {
    const listeners = this.followers.get(topic) ?? new Set();
    listeners.add(listener);
    this.followers.set(topic, listeners);
    if (listeners.size === 1) this.tell();
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.followers.get(topic) === listeners) {
        this.followers.delete(topic);
        this.tell();
      }
    };
  }

  /** Call when the connection is there, `again` after it was lost: what was missed is to be asked for. */
  onOpened(opened: (again: boolean) => void): void {
    this.openers.add(opened);
  }

  watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  /** Try again at once, if the connection is lost. */
  retryNow(): void {
    if (this.state !== "lost") return;
    clearTimeout(this.timer);
    this.open();
  }

  private tell(): void {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ follow: [...this.followers.keys()] }));
    } else if (!this.socket && this.state !== "lost" && this.followers.size) {
      this.open();
    }
  }

  private open(): void {
    this.become(this.wasLost ? "lost" : "connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/v0/live`);
    this.socket = socket;
    socket.onopen = () => this.opened();
    socket.onmessage = (message) => this.heard(JSON.parse(message.data as string) as Push & { topic: Topic });
    socket.onclose = () => this.closed(socket);
  }

  private opened(): void {
    this.retryMs = FIRST_RETRY_MS;
    this.tell();
    this.become("live");
    for (const opened of this.openers) opened(this.wasLost);
    this.wasLost = false;
  }

  private closed(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.socket = undefined;
    this.wasLost = true;
    this.become("lost");
    this.timer = window.setTimeout(() => this.open(), this.retryMs * (0.75 + Math.random() / 2));
    this.retryMs = Math.min(2 * this.retryMs, LONGEST_RETRY_MS);
  }

  private heard(push: Push & { topic: Topic }): void {
    for (const listener of this.followers.get(push.topic) ?? []) listener(push);
  }

  private become(state: Connection): void {
    if (this.state === state) return;
    this.state = state;
    for (const watcher of this.watchers) watcher();
  }
}

export const live = new Live();

/** Follow a topic while the component is shown. */
export function useLive(topic: Topic | null, listener: Listener): void {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => (topic ? live.follow(topic, (push) => latest.current(push)) : undefined), [topic]);
}

export function useConnection(): Connection {
  return useSyncExternalStore(live.watch, () => live.state);
}
