import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo } from "react";

import { early } from "../../data/early";
import { useLive } from "../../data/live";
import { queries, throttled } from "../../data/queries";
import { type RunAndTrace, runAndTrace } from "../../data/trace";
import { timeline } from "../../logic/timeline";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { useNow } from "../../parts/now";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import { Head } from "./Head";
import { Panel } from "./Panel";
import styles from "./Run.module.css";
import { Trace } from "./Trace";
import { Why } from "./Why";

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;
const AGAIN_MS = 250;

/** The page of one run. The step that is chosen is in the address. */
export function Run() {
  const { runID = "" } = useParams({ strict: false }) as { runID?: string };
  useTitle(`Run …${runID.slice(-8)}`);
  if (!ULID.test(runID)) {
    return (
      <Empty title="This is no id of a run" detail={`${runID}: an id has 26 letters and digits.`}>
        <Link to="/runs">All runs</Link>
      </Empty>
    );
  }
  return <Known id={runID.toUpperCase()} />;
}

function Known({ id }: { id: string }) {
  const queryKey = useMemo(() => ["run", id], [id]);
  const query = useQuery({
    queryKey,
    queryFn: ({ signal }) => early(queryKey, () => runAndTrace(id, signal)),
    placeholderData: keepPreviousData,
  });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey }), AGAIN_MS), [queryKey]);
  useLive(`run:${id}`, again);
  if (query.isError) {
    const missing = /no rows|no such|not found/i.test(query.error.message);
    return missing ? <Missing id={id} /> : <Failure error={query.error} retry={() => void query.refetch()} />;
  }
  return query.data && query.data.run.id === id ? <Shown {...query.data} /> : <div className={styles.loading} aria-busy="true" />;
}

function Missing({ id }: { id: string }) {
  return (
    <Empty title="There is no such run" detail={`Nothing is known of ${id}. Its id may be wrong, or the server's retention has removed it.`}>
      <Link to="/runs">All runs</Link>
    </Empty>
  );
}

function Shown({ run, trace }: RunAndTrace) {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const open = run.endedAt === null;
  const now = useNow(open ? 1_000 : 3_600_000);
  const shown = useMemo(() => timeline(trace, run.why, Math.max(now, Date.now())), [trace, run.why, open ? now : 0]);
  const change = (given: Search) => void navigate({ to: `/runs/${run.id}`, search: { ...search, ...given }, replace: true });
  // Links name the step by its key; people write its name.
  const chosen = shown.rows.find((row) => row.key === search["step"]) ?? shown.rows.find((row) => row.name === search["step"]);
  useEffect(() => {
    const listen = (event: KeyboardEvent) => event.key === "Escape" && !event.defaultPrevented && search["step"] && change({ step: "", tab: "", attempt: "" });
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });
  return (
    <div className={styles.screen}>
      <Head run={run} trace={trace} shown={shown} />
      <Why run={run} />
      <div className={styles.body}>
        <Trace shown={shown} open={open} chosen={chosen?.key} choose={(key) => change({ step: key, tab: "", attempt: "" })} />
        <Panel run={run} trace={trace} shown={shown} row={chosen} search={search} change={change} />
      </div>
    </div>
  );
}
