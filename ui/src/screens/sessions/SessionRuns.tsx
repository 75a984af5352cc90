import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useMemo } from "react";

import { useLive } from "../../data/live";
import { nextOf } from "../../data/pages";
import { queries, throttled } from "../../data/queries";
import type { RunStatus } from "../../data/runs";
import { type SessionRun, sessionRuns } from "../../data/sessions";
import { ms, plural } from "../../logic/format";
import { stateOf } from "../../logic/state";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import screen from "../../parts/ListScreen.module.css";
import { Status } from "../../parts/Status";
import { type Column, Table } from "../../parts/Table";
import { Duration, Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";

const AGAIN_MS = 2_000;

/** One session: its runs, of whatever function. */
export function SessionRuns() {
  const { key = "", id = "" } = useParams({ strict: false }) as { key?: string; id?: string };
  useTitle(`${id}, session`);
  const queryKey = useMemo(() => ["session-runs", key, id], [key, id]);
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => sessionRuns(key, id, pageParam, signal),
    initialPageParam: "",
    getNextPageParam: nextOf,
  });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey }), AGAIN_MS), [queryKey]);
  useLive("runs", again);
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <div className={screen.screen}>
      <div className={screen.title}>
        <Link to="/sessions" search={{ key }} className="soft">
          Sessions
        </Link>
        <span className="faint">/ {key} /</span>
        <h1 className="cut">{id}</h1>
        {query.isSuccess && !query.hasNextPage ? <span className="soft">{plural(rows.length, "run")}</span> : null}
      </div>
      <div className={screen.list}>
        {query.isError ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : query.isSuccess && !rows.length ? (
          <Empty title="This session has no runs" detail={`No event has named ${key} = ${id} and started a run, or retention has removed its runs.`}>
            <Link to="/sessions" search={{ key }}>
              All sessions
            </Link>
          </Empty>
        ) : (
          <Table
            label="Runs of the session"
            rows={rows}
            columns={COLUMNS}
            keyOf={(row) => row.id}
            target={(row) => ({ to: `/runs/${row.id}` })}
            nameOf={(row) => `Run ${row.id} of ${row.function.name}`}
            more={query.hasNextPage ? () => void query.fetchNextPage({ cancelRefetch: false }) : undefined}
          />
        )}
      </div>
    </div>
  );
}

const COLUMNS: Column<SessionRun>[] = [
  { id: "state", header: "State", width: "minmax(112px, 150px)", cell: (row) => <State row={row} /> },
  { id: "function", header: "Function", width: "minmax(120px, 1.4fr)", cell: (row) => <span className="cut">{row.function.name || row.function.id}</span> },
  { id: "event", header: "Event", width: "minmax(90px, 1fr)", from: 640, cell: (row) => <span className="cut soft">{row.eventName ?? "–"}</span> },
  { id: "took", header: "Duration", width: "84px", from: 520, align: "right", cell: (row) => <Duration ms={took(row)} /> },
  { id: "queued", header: "Queued at", width: "112px", align: "right", cell: (row) => <Moment at={ms(row.queuedAt)} /> },
];

function State({ row }: { row: SessionRun }) {
  const state = stateOf(row.status.toUpperCase() as RunStatus, undefined);
  return <Status look={state.look} label={state.label} />;
}

function took(row: SessionRun): number | undefined {
  const [started, ended] = [ms(row.startedAt), ms(row.endedAt)];
  return started !== undefined && ended !== undefined ? ended - started : undefined;
}
