import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import { useLive } from "../../data/live";
import { nextOf } from "../../data/pages";
import { queries, throttled } from "../../data/queries";
import { type Session, sessionKeys, sessionsPage } from "../../data/sessions";
import { count, ms } from "../../logic/format";
import { TIMES, windowOf } from "../../logic/window";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import screen from "../../parts/ListScreen.module.css";
import { Pick } from "../../parts/Pick";
import { SearchField } from "../../parts/SearchField";
import { type Column, Table } from "../../parts/Table";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import styles from "./Sessions.module.css";

const DEFAULT_WINDOW = "7d";
const AGAIN_MS = 3_000;

/** Sessions of a key: what several runs belong to. */
export function Sessions() {
  useTitle("Sessions");
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const keys = useQuery({ queryKey: ["session-keys"], queryFn: ({ signal }) => sessionKeys(signal) });
  const key = search["key"] ?? keys.data?.[0] ?? "";
  const queryKey = useMemo(() => ["sessions", key, search["q"] ?? "", search["last"] ?? ""], [key, search["q"], search["last"]]);
  const from = () => {
    const at = windowOf(search, Date.now(), DEFAULT_WINDOW).from;
    return at ? new Date(at).toISOString() : "";
  };
  const query = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) => sessionsPage(key, search["q"] ?? "", from(), pageParam, signal),
    initialPageParam: "",
    getNextPageParam: nextOf,
    enabled: Boolean(key),
  });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey: key ? queryKey : ["session-keys"] }), AGAIN_MS), [queryKey]);
  useLive("runs", again);
  const change = (given: Search) => void navigate({ to: "/sessions", search: { ...search, ...given }, replace: true });
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  const columns = useMemo(() => columnsOf(), []);
  return (
    <div className={screen.screen}>
      <div className={screen.title}>
        <h1>Sessions</h1>
      </div>
      <div className={screen.toolbar} role="search">
        <SearchField label="Search sessions" hint="Part of the id" value={search["q"] ?? ""} submit={(q) => change({ q })} />
        {key ? <Pick label="Key" options={(keys.data ?? []).map((each) => [each, each])} chosen={[key]} choose={([one]) => change({ key: one ?? "" })} single /> : null}
        <Pick label="Time" options={TIMES} chosen={[search["last"] ?? DEFAULT_WINDOW]} choose={([last]) => change({ last: last === DEFAULT_WINDOW ? "" : last })} single />
      </div>
      <div className={screen.list}>
        {keys.isError || query.isError ? (
          <Failure error={keys.error ?? query.error} retry={() => void (keys.isError ? keys.refetch() : query.refetch())} />
        ) : keys.isSuccess && !key ? (
          <Empty title="No event has named a session" detail="A session is what several runs belong to: a chat, an order, a user. Events name theirs by key.">
            <pre className={styles.example}>{EXAMPLE}</pre>
          </Empty>
        ) : query.isSuccess && !rows.length ? (
          <Empty title="No session fits this filter" detail="Widen the time, or take a condition away.">
            <Link to="/sessions" search={{ key, last: "all" }}>
              Show sessions of all time
            </Link>
          </Empty>
        ) : (
          <Table
            label="Sessions"
            rows={rows}
            columns={columns}
            keyOf={(row) => row.id}
            target={(row) => ({ to: `/sessions/${encodeURIComponent(key)}/${encodeURIComponent(row.id)}` })}
            nameOf={(row) => `Session ${row.id}`}
            more={query.hasNextPage ? () => void query.fetchNextPage({ cancelRefetch: false }) : undefined}
          />
        )}
      </div>
    </div>
  );
}

const EXAMPLE = `{"name": "chat/asked", "data": {"text": "…"},
 "meta": {"sessions": {"chat": "c-17", "user": "ada"}}}`;

function columnsOf(): Column<Session>[] {
  return [
    { id: "id", header: "Session", width: "minmax(140px, 1.5fr)", cell: (row) => <span className={`${styles.id} cut`}>{row.id}</span> },
    { id: "functions", header: "Functions", width: "minmax(110px, 2fr)", from: 640, cell: (row) => <span className="cut soft">{row.functions.map((each) => each.name || each.id).join(", ")}</span> },
    { id: "runs", header: "Runs", width: "64px", align: "right", cell: (row) => <span className="number">{count(row.runCount)}</span> },
    { id: "failed", header: "Failed", width: "92px", align: "right", cell: (row) => <Failed row={row} /> },
    { id: "active", header: "Last active", width: "96px", from: 420, align: "right", cell: (row) => <Moment at={ms(row.lastActiveAt)} as="relative" /> },
  ];
}

function Failed({ row }: { row: Session }) {
  if (!row.failedRunCount) return <span className="faint">–</span>;
  return (
    <span className={styles.failed}>
      {count(row.failedRunCount)} <span className="faint">{Math.round(100 * row.failureRate)} %</span>
    </span>
  );
}
