// What the server finds for a text: runs and events of the last week.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { eventsPage } from "../../data/events";
import { useFunctions } from "../../data/functions";
import { runsPage } from "../../data/runs";
import { relative } from "../../logic/format";
import { wantedOf } from "../../logic/search";
import { stateOf } from "../../logic/state";
import type { Command } from "./commands";

const PAUSE_MS = 200;
const SHORTEST = 3;
const SHOWN = 5;
const WEEK_MS = 7 * 86_400_000;
const RUN = "M2 4h8M2 8h12M2 12h6";
const EVENT = "M8.5 1.5 3 9h4l-.5 5.500L13 7H8.500Z";
const NONE: Command[] = [];

/** The runs and events that hold a text, once the typing pauses. */
export function useFound(text: string): Command[] {
  const wanted = useSettled(text.trim());
  const functions = useFunctions();
  const query = useQuery({
    queryKey: ["palette", wanted],
    queryFn: ({ signal }) => search(wanted, signal),
    enabled: wanted.length >= SHORTEST,
    placeholderData: keepPreviousData,
  });
  if (!query.data || wanted.length < SHORTEST) return NONE;
  const names = new Map((functions.data ?? []).map((each) => [each.id, each.name]));
  const now = Date.now();
  const runs = query.data.runs.map((run): Command => {
    const state = stateOf(run.status, run.doing).label.toLowerCase();
    return { id: run.id, label: `${names.get(run.functionID) ?? "Run"}, ${state} ${run.errorLine ?? ""}`.trim(), kind: `Run, ${relative(run.queuedAt, now)}`, icon: RUN, to: `/runs/${run.id}` };
  });
  const events = query.data.events.map(
    (event): Command => ({ id: event.id, label: `${event.name} ${event.excerpt}`, kind: `Event, ${relative(Date.parse(event.receivedAt), now)}`, icon: EVENT, to: `/events/${event.id}` }),
  );
  return [...runs, ...events];
}

async function search(typed: string, signal: AbortSignal) {
  const from = new Date(Date.now() - WEEK_MS).toISOString();
  const wanted = wantedOf(typed);
  const [runs, events] = await Promise.all([runsPage({ from, ...wanted }, undefined, signal), eventsPage({ from, internal: false, ...wanted }, undefined, signal)]);
  return { runs: runs.rows.slice(0, SHOWN), events: events.rows.slice(0, SHOWN) };
}

/** A text once it has not changed for a moment. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}
