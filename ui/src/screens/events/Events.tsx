import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Suspense, lazy, useMemo } from "react";

import { type EventFilter, type EventRow, eventNames } from "../../data/events";
import { TIMES, list, windowOf } from "../../logic/window";
import { ms, plural } from "../../logic/format";
import { wantedOf } from "../../logic/search";
import { stateOf } from "../../logic/state";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import screen from "../../parts/ListScreen.module.css";
import { Pick } from "../../parts/Pick";
import { SearchField } from "../../parts/SearchField";
import { Mark } from "../../parts/Status";
import { type Column, Table } from "../../parts/Table";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import styles from "./Events.module.css";
import { useEvents } from "./useEvents";

const SendEvent = lazy(() => import("../event/SendEvent"));

const DEFAULT_WINDOW = "24h";
const SHOWN_RUNS = 3;

/** The list of events, and what each of them started. */
export function Events() {
  useTitle("Events");
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const names = useQuery({ queryKey: ["functions", "events"], queryFn: ({ signal }) => eventNames(signal), staleTime: Number.POSITIVE_INFINITY });
  const key = ["last", "from", "until", "name", "internal", "q"].map((name) => search[name] ?? "");
  const events = useEvents(key, () => filterOf(search));
  const change = (given: Search) => void navigate({ to: "/events", search: { ...search, ...given }, replace: true });
  const known = [...new Set([...(names.data ?? []), ...list(search["name"]), ...events.rows.map((row) => row.name)])].sort();
  const columns = useMemo(() => COLUMNS, []);
  return (
    <div className={screen.screen}>
      <div className={screen.title}>
        <h1>Events</h1>
        <Button small kind="primary" needs="operator" className={styles.send} onClick={() => change({ send: "new" })}>
          Send event
        </Button>
      </div>
      <div className={screen.toolbar} role="search">
        <SearchField label="Search events" hint="Text, an id, or event.data.order == 7" value={search["q"] ?? ""} submit={(q) => change({ q })} />
        <Pick label="Name" options={known.map((name) => [name, name])} chosen={list(search["name"])} choose={(chosen) => change({ name: chosen.join(",") })} />
        <Pick
          label={search["from"] ? "Chosen time" : "Time"}
          options={TIMES}
          chosen={search["from"] ? [] : [search["last"] ?? DEFAULT_WINDOW]}
          choose={([last]) => change({ last: last === DEFAULT_WINDOW ? "" : last, from: "", until: "" })}
          single
        />
        <label className={styles.internal}>
          <input type="checkbox" checked={search["internal"] === "yes"} onChange={(event) => change({ internal: event.currentTarget.checked ? "yes" : "" })} />
          The server&apos;s own
        </label>
      </div>
      <div className={screen.list}>
        {events.isError ? (
          <Failure error={events.error} retry={() => void events.refetch()} />
        ) : events.isSuccess && !events.rows.length ? (
          <Nothing filtered={key.some(Boolean)} send={() => change({ send: "new" })} />
        ) : (
          <Table
            label="Events"
            rows={events.rows}
            columns={columns}
            keyOf={(row) => row.id}
            target={(row) => ({ to: `/events/${row.id}` })}
            nameOf={(row) => `Event ${row.name}`}
            more={events.more}
            foot={events.isFetchingNextPage ? "Loading…" : events.isSuccess && !events.hasNextPage ? `${plural(events.rows.length, "event")}, no more in this time` : null}
          />
        )}
      </div>
      {search["send"] ? (
        <Suspense fallback={null}>
          <SendEvent name={search["send"] === "new" ? undefined : search["send"]} close={() => change({ send: "" })} />
        </Suspense>
      ) : null}
    </div>
  );
}

function filterOf(search: Search): EventFilter {
  const { from, until } = windowOf(search, Date.now(), DEFAULT_WINDOW);
  return {
    from: from > 0 ? new Date(from).toISOString() : "1980-01-01T00:00:00Z",
    until: until ? new Date(until).toISOString() : undefined,
    names: search["name"] ? list(search["name"]) : undefined,
    internal: search["internal"] === "yes",
    ...wantedOf(search["q"]),
  };
}

const COLUMNS: Column<EventRow>[] = [
  { id: "name", header: "Name", width: "minmax(130px, 1.2fr)", cell: (row) => <span className={`${styles.name} cut`}>{row.name}</span> },
  { id: "data", header: "Data", width: "minmax(120px, 2fr)", from: 700, cell: (row) => <code className={`${styles.data} cut`}>{row.excerpt}</code> },
  { id: "runs", header: "Runs", width: "minmax(110px, 1.4fr)", cell: (row) => <Runs row={row} /> },
  { id: "received", header: "Received at", width: "112px", from: 760, align: "right", cell: (row) => <Moment at={ms(row.receivedAt)} /> },
  { id: "ago", header: "", width: "62px", from: 480, align: "right", cell: (row) => <span className="faint"><Moment at={ms(row.receivedAt)} as="relative" /></span> },
];

function Runs({ row }: { row: EventRow }) {
  if (!row.runs.length) return <span className="faint">started nothing</span>;
  return (
    <>
      {row.runs.slice(0, SHOWN_RUNS).map((run) => {
        const state = stateOf(run.status, undefined);
        return (
          <Link key={run.id} to="/runs/$runID" params={{ runID: run.id }} search={{}} className={styles.run} title={`${run.function.name}: ${state.label}`}>
            <Mark look={state.look} />
            <span className="cut">{run.function.name}</span>
          </Link>
        );
      })}
      {row.runs.length > SHOWN_RUNS ? <span className="faint">+{row.runs.length - SHOWN_RUNS}</span> : null}
    </>
  );
}

function Nothing({ filtered, send }: { filtered: boolean; send: () => void }) {
  return filtered ? (
    <Empty title="No event fits this filter" detail="Widen the time, or take a condition away.">
      <Link to="/events" search={{}}>
        Clear the filter
      </Link>
    </Empty>
  ) : (
    <Empty title="No events in the last 24 hours" detail="Events come from your apps, from webhooks, or from here.">
      <Button kind="primary" needs="operator" onClick={send}>
        Send an event
      </Button>
    </Empty>
  );
}
