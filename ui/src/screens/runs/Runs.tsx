import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useState } from "react";

import { useFunctions } from "../../data/functions";
import { useLive } from "../../data/live";
import type { FunctionRef } from "../../data/names";
import { queries, throttled } from "../../data/queries";
import { countRuns } from "../../data/runs";
import { may } from "../../data/server";
import { count, plural } from "../../logic/format";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import styles from "../../parts/ListScreen.module.css";
import { Table } from "../../parts/Table";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import { isTyping } from "../../shell/shortcuts";
import { Bulk } from "./Bulk";
import { Histogram } from "./Histogram";
import { Toolbar } from "./Toolbar";
import { columns } from "./columns";
import { filterOf, runsKey } from "./filter";
import { useRuns } from "./useRuns";

/** At most so often are the runs counted again while they change. */
const RECOUNT_MS = 4_000;
const NONE: readonly FunctionRef[] = [];

/** The list of runs. */
export function Runs() {
  useTitle("Runs");
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const functions = useFunctions();
  const known = functions.data ?? NONE;
  const needsNames = Boolean(search["function"] || search["app"]);
  const filter = useCallback(() => filterOf(search, known, Date.now()).filter, [search, known]);
  const key = useMemo(() => runsKey(search).slice(1), [search]);
  const ready = !needsNames || functions.isSuccess;
  const runs = useRuns(key, filter, ready);
  const total = useQuery({ queryKey: ["runs-count", ...key], queryFn: ({ signal }) => countRuns(filter(), signal), enabled: ready && !runs.isPending });
  const recount = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey: ["runs-count"] }), RECOUNT_MS), []);
  useLive(search["q"] || search["event"] ? null : "runs", recount);
  const names = useMemo(() => new Map(known.map((each) => [each.id, each])), [known]);
  const shape = useMemo(() => columns(names), [names]);
  const change = useCallback((given: Search) => void navigate({ to: "/runs", search: { ...search, ...given }, replace: true }), [search, navigate]);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const pick = (id: string, on: boolean) => setPicked((known) => (on ? new Set(known).add(id) : new Set([...known].filter((each) => each !== id))));
  useEffect(() => setPicked(new Set()), [key.join(" ")]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => event.key === "Escape" && !isTyping(event) && setPicked(new Set());
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
  const { unknown } = filterOf(search, known, 0);
  return (
    <div className={styles.screen}>
      <div className={styles.title}>
        <h1>Runs</h1>
        {total.data === undefined ? null : <span className="soft number">{count(total.data)}</span>}
      </div>
      <Toolbar search={search} functions={known} change={change} />
      {ready && unknown.length && functions.isSuccess ? (
        <p role="status" className={styles.unknown}>
          The address names what isn't there: {unknown.join(", ")}. <Link to="/runs" search={{}}>Clear the filter</Link>
        </p>
      ) : null}
      <Histogram queryKey={key} filter={filter} search={search} ready={ready && !runs.isPending} change={change} />
      {picked.size ? (
        <Bulk picked={picked} rows={runs.rows} filter={filter} total={total.data ?? 0} clear={() => setPicked(new Set())} />
      ) : null}
      <div className={styles.list}>
        {runs.isError ? (
          <Failure error={runs.error} retry={() => void runs.refetch()} />
        ) : runs.isSuccess && !runs.rows.length ? (
          <Nothing filtered={Object.values(search).some(Boolean)} />
        ) : (
          <Table
            label="Runs"
            rows={runs.rows}
            columns={shape}
            keyOf={(row) => row.id}
            target={(row) => ({ to: `/runs/${row.id}` })}
            nameOf={(row) => `Run ${row.id} of ${names.get(row.functionID)?.name ?? "a function"}, ${row.status.toLowerCase()}`}
            selected={picked}
            onSelect={may("operator") ? pick : undefined}
            more={runs.more}
            foot={runs.isFetchingNextPage ? "Loading…" : runs.isSuccess && !runs.hasNextPage ? `${plural(runs.rows.length, "run")}, no more in this time` : null}
          />
        )}
      </div>
    </div>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  return filtered ? (
    <Empty title="No run fits this filter" detail="Widen the time, or take a condition away.">
      <Link to="/runs" search={{}}>
        Clear the filter
      </Link>
    </Empty>
  ) : (
    <Empty title="No runs in the last 24 hours" detail="Send an event that a function listens to, and its run appears here at once.">
      <Link to="/runs" search={{ last: "all" }}>
        Show runs of all time
      </Link>
    </Empty>
  );
}
