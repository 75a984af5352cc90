import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";

import { type Backlog, backlogOf, waitingOf } from "../../data/backlog";
import type { FunctionDetails } from "../../data/functions";
import { useLive } from "../../data/live";
import { askAgain, throttled } from "../../data/queries";
import { count, ms, plural, shortId } from "../../logic/format";
import { countdown } from "../../logic/state";
import { useNow } from "../../parts/now";
import styles from "./Backlog.module.css";

const AGAIN_MS = 1_000;
const HOLDERS = 3;

/** What waits of a function and for what, live: concurrency keys, clocks, what is gathered. */
export function BacklogView({ shown }: { shown: FunctionDetails }) {
  const queryKey = useMemo(() => ["backlog", shown.slug], [shown.slug]);
  const query = useQuery({ queryKey, queryFn: ({ signal }) => backlogOf(shown.slug, signal) });
  const again = useMemo(() => throttled(() => void askAgain(queryKey), AGAIN_MS), [queryKey]);
  const names = useMemo(() => new Set((shown.triggers ?? []).map((trigger) => trigger.value)), [shown.triggers]);
  const waiting = query.data ? waitingOf(query.data) : 0;
  // While something waits, the end of any run may let it go: keys and workers are shared.
  useLive("runs", (push) => (push.more || waiting || push.runs?.some((run) => run.function === shown.id)) && again());
  useLive("events", (push) => (push.more || push.events?.some((event) => names.has(event.name))) && again());
  if (!query.data) return null;
  return (
    <section aria-label="Queue">
      <h2>Queue</h2>
      <Summary backlog={query.data} />
      <Groups backlog={query.data} shown={shown} />
    </section>
  );
}

function Summary({ backlog }: { backlog: Backlog }) {
  const parts = [
    backlog.running ? `${count(backlog.running)} running` : "",
    backlog.waitingForKeys ? `${count(backlog.waitingForKeys)} waiting for a concurrency key` : "",
    backlog.waitingForThrottle ? `${count(backlog.waitingForThrottle)} waiting for the throttle` : "",
    backlog.waitingForWorkers ? `${count(backlog.waitingForWorkers)} waiting for one of ${count(backlog.workers)} worker slots` : "",
    backlog.heldByPause ? `${count(backlog.heldByPause)} held until it is resumed` : "",
  ].filter(Boolean);
  return <p className="soft">{parts.length ? parts.join(" · ") : "Nothing runs or waits right now."}</p>;
}

function Groups({ backlog, shown }: { backlog: Backlog; shown: FunctionDetails }) {
  const now = useNow(1_000);
  const { throttle, rateLimit, debounce, eventsBatch, singleton } = shown.configuration;
  const limited = backlog.rateLimits.filter((each) => at(each.nextAt) > now);
  return (
    <>
      <Group title="Concurrency" shown={backlog.keys} all={backlog.keyCount}>
        {backlog.keys.map((key) => (
          <li key={key.kind + (key.value ?? "")}>
            <span className={styles.name}>{keyName(key)}</span>
            <Fill of={key.held} most={key.limit} label={`${count(key.held)} of ${count(key.limit)} held`} />
            <span className={key.waiting ? styles.waiting : "faint"}>{key.waiting ? `${count(key.waiting)} waiting` : "none waits"}</span>
            <Holders runs={key.holders} held={key.held} />
          </li>
        ))}
      </Group>
      <Group title={`Throttle${keyed(throttle?.key)}`} shown={backlog.throttles} all={backlog.throttleCount}>
        {backlog.throttles.map((each, place) => (
          <li key={each.first ?? place}>
            <span>{at(each.nextAt) > now ? `next start ${countdown(at(each.nextAt), now)}` : "free"}</span>
            <span />
            <span className={each.waiting ? styles.waiting : "faint"}>{each.waiting ? `${count(each.waiting)} waiting` : "none waits"}</span>
            {each.first ? (
              <span>
                first <Run id={each.first} />
              </span>
            ) : null}
          </li>
        ))}
      </Group>
      <Group title={`Rate limit${keyed(rateLimit?.key)}`} shown={limited} all={backlog.rateLimitCount}>
        {limited.map((each, place) => (
          <li key={place}>
            <span>drops events; takes the next {countdown(at(each.nextAt), now)}</span>
          </li>
        ))}
      </Group>
      <Group title={`Debounces pending${keyed(debounce?.key)}`} shown={backlog.debounces} all={backlog.debounceCount}>
        {backlog.debounces.map((each) => (
          <li key={each.eventID}>
            <span className="cut">{each.value ?? "one for all"}</span>
            <span>starts {countdown(at(each.due), now) || "now"}</span>
            <span className="faint">{each.latest ? `at the latest ${countdown(at(each.latest), now)}` : ""}</span>
            <Link to="/events/$eventID" params={{ eventID: each.eventID }} search={{}} className="mono">
              {shortId(each.eventID)}
            </Link>
          </li>
        ))}
      </Group>
      <Group title={`Batches filling${keyed(eventsBatch?.key)}`} shown={backlog.batches} all={backlog.batchCount}>
        {backlog.batches.map((each, place) => (
          <li key={each.value ?? place}>
            <span className="cut">{each.value ?? "one for all"}</span>
            <Fill of={each.size} most={each.most} label={`${count(each.size)} of ${plural(each.most, "event")}`} />
            <span>starts {countdown(at(each.due), now) || "now"}</span>
          </li>
        ))}
      </Group>
      <Group title={`Singleton${keyed(singleton?.key)}`} shown={backlog.singletons} all={backlog.singletonCount}>
        {backlog.singletons.map((each) => (
          <li key={each.runID}>
            <span>
              held by <Run id={each.runID} />
            </span>
          </li>
        ))}
      </Group>
    </>
  );
}

interface GroupProps {
  title: string;
  shown: readonly unknown[];
  all: number;
  children: ReactNode;
}

/** One feature's items; nothing while there are none. */
function Group({ title, shown, all, children }: GroupProps) {
  if (!shown.length) return null;
  return (
    <div className={styles.group}>
      <h3>
        {title}
        {all > shown.length ? <span className="faint"> {`${shown.length} of ${count(all)}`}</span> : null}
      </h3>
      <ul>{children}</ul>
    </div>
  );
}

function keyName(key: Backlog["keys"][number]): string {
  if (key.kind === "app") return "calls to its app's workers";
  const what = key.kind === "run" ? "whole runs" : "steps";
  return key.expression ? `${what}, ${key.expression} = ${key.value}` : `${what} of this function`;
}

function keyed(key: string | null | undefined): string {
  return key ? `, for each ${key}` : "";
}

function at(time: string): number {
  return ms(time) ?? 0;
}

function Fill({ of, most, label }: { of: number; most: number; label: string }) {
  return (
    <span className={styles.fill}>
      <span className={styles.track} aria-hidden="true">
        <span data-full={of >= most || undefined} style={{ width: `${Math.min(100, (100 * of) / Math.max(1, most))}%` }} />
      </span>
      <span className="number">{label}</span>
    </span>
  );
}

function Holders({ runs, held }: { runs: readonly string[]; held: number }) {
  if (!runs.length) return null;
  const named = runs.slice(0, HOLDERS);
  return (
    <span className={styles.holders}>
      by
      {named.map((id) => (
        <Run key={id} id={id} />
      ))}
      {held > named.length ? ` and ${count(held - named.length)} more` : null}
    </span>
  );
}

function Run({ id }: { id: string }) {
  return (
    <Link to="/runs/$runID" params={{ runID: id }} search={{}} className="mono" title={id}>
      {shortId(id)}
    </Link>
  );
}
