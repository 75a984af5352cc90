import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import { type FunctionRow, functionsList } from "../../data/functions";
import { useLive } from "../../data/live";
import { queries, throttled } from "../../data/queries";
import { cronWords } from "../../logic/cron";
import { count, duration, ms, plural } from "../../logic/format";
import { list } from "../../logic/window";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import screen from "../../parts/ListScreen.module.css";
import { Pick } from "../../parts/Pick";
import { SearchField } from "../../parts/SearchField";
import { Status } from "../../parts/Status";
import { type Column, Table } from "../../parts/Table";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import { fits } from "../../shell/palette/commands";
import styles from "./Functions.module.css";

const AGAIN_MS = 5_000;

/** The list of functions, with how each of them does. */
export function Functions() {
  useTitle("Functions");
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const query = useQuery({ queryKey: ["functions", "list"], queryFn: ({ signal }) => functionsList(signal) });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey: ["functions", "list"] }), AGAIN_MS), []);
  useLive("apps", again);
  useLive("runs", again);
  const all = query.data ?? [];
  const apps = [...new Set(all.map((each) => each.app.name))].sort();
  const wanted = list(search["app"]);
  const rows = all.filter((each) => fits(`${each.name} ${each.slug} ${(each.triggers ?? []).map((trigger) => trigger.value).join(" ")}`, search["q"] ?? "") && (!wanted.length || wanted.includes(each.app.name)));
  const change = (given: Search) => void navigate({ to: "/functions", search: { ...search, ...given }, replace: true });
  return (
    <div className={screen.screen}>
      <div className={screen.title}>
        <h1>Functions</h1>
        {query.data ? <span className="soft number">{count(rows.length)}</span> : null}
      </div>
      <div className={screen.toolbar} role="search">
        <SearchField label="Search functions" hint="Name or trigger" value={search["q"] ?? ""} submit={(q) => change({ q })} eager />
        {apps.length > 1 ? <Pick label="App" options={apps.map((app) => [app, app])} chosen={wanted} choose={(chosen) => change({ app: chosen.join(",") })} /> : null}
      </div>
      <div className={screen.list}>
        {query.isError ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : query.isSuccess && !rows.length ? (
          all.length ? (
            <Empty title="No function fits" detail="Change the search, or clear it.">
              <Link to="/functions" search={{}}>
                Clear the filter
              </Link>
            </Empty>
          ) : (
            <Empty title="No functions yet" detail="They come with the apps that register.">
              <Link to="/apps" search={{}}>
                Connect an app
              </Link>
            </Empty>
          )
        ) : (
          <Table label="Functions" rows={rows} columns={COLUMNS} keyOf={(row) => row.id} target={(row) => ({ to: `/functions/${row.slug}` })} nameOf={(row) => row.name} />
        )}
      </div>
    </div>
  );
}

const COLUMNS: Column<FunctionRow>[] = [
  { id: "name", header: "Function", width: "minmax(130px, 1.5fr)", cell: (row) => <span className={`${styles.name} cut`} title={row.slug}>{row.name}</span> },
  { id: "triggers", header: "Triggers", width: "minmax(110px, 1.5fr)", from: 620, cell: (row) => <span className="cut soft">{triggersOf(row)}</span> },
  { id: "state", header: "State", width: "minmax(84px, 130px)", cell: (row) => <State row={row} /> },
  { id: "runs", header: "Runs, 24 h", width: "82px", from: 520, align: "right", cell: (row) => <span className="number">{count(row.health.completed + row.health.failed + row.health.cancelled)}</span> },
  { id: "failed", header: "Failed", width: "84px", align: "right", cell: (row) => <Failed row={row} /> },
  { id: "alive", header: "Unfinished", width: "80px", from: 860, align: "right", cell: (row) => <span className="number">{row.health.alive ? count(row.health.alive) : "–"}</span> },
  { id: "p95", header: "p95", width: "72px", from: 760, align: "right", cell: (row) => <span className="number">{row.health.p95 === null ? "–" : duration(row.health.p95)}</span> },
  { id: "next", header: "Next", width: "84px", from: 980, align: "right", cell: (row) => <Moment at={ms(row.nextRun)} as="relative" /> },
  { id: "app", header: "App", width: "minmax(70px, 0.6fr)", from: 1_080, cell: (row) => <span className="cut soft">{row.app.name}</span> },
];

function triggersOf(row: FunctionRow): string {
  return (row.triggers ?? []).map((trigger) => (trigger.type === "CRON" ? cronWords(trigger.value) : trigger.value)).join(", ");
}

function State({ row }: { row: FunctionRow }) {
  if (row.paused) return <Status look="waiting" label="Paused" title={row.paused === "skip" ? "New runs are skipped" : "New runs wait"} />;
  return row.health.failed && row.health.failed >= row.health.completed ? <Status look="failed" label="Failing" /> : <Status look="completed" label="Active" />;
}

function Failed({ row }: { row: FunctionRow }) {
  const { failed, completed } = row.health;
  if (!failed) return <span className="faint">–</span>;
  const share = Math.round((100 * failed) / (failed + completed));
  return (
    <Link to="/runs" search={{ function: row.slug, status: "FAILED" }} className={styles.failed} title={`${plural(failed, "failed run")} in 24 hours`}>
      {count(failed)} <span className="faint">{share} %</span>
    </Link>
  );
}
