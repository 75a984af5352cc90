import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";

import { type Entry, auditPage } from "../../data/access";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { SearchField } from "../../parts/SearchField";
import { type ShortColumn, ShortTable } from "../../parts/ShortTable";
import { Moment } from "../../parts/Time";
import type { Search } from "../../router";
import styles from "./Settings.module.css";

/** Who did what, to what, from where, and what came of it. */
export function Audit() {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const filter = { actor: search["actor"] ?? "", action: search["action"] ?? "" };
  const log = useInfiniteQuery({
    queryKey: ["access", "audit", filter.actor, filter.action],
    queryFn: ({ pageParam, signal }) => auditPage(filter, pageParam, signal),
    initialPageParam: "",
    getNextPageParam: (page) => page.cursor ?? undefined,
  });
  const change = (given: Search) => void navigate({ to: "/settings/$section", params: { section: "audit" }, search: { ...search, ...given }, replace: true });
  const rows = log.data?.pages.flatMap((page) => page.data) ?? [];
  if (log.isError) return <Failure error={log.error} retry={() => void log.refetch()} />;
  return (
    <section className={styles.section} aria-busy={log.isPending}>
      <div className={styles.head}>
        <h2>Audit log</h2>
        <Button small onClick={() => void log.refetch()}>
          Look again
        </Button>
      </div>
      <div className={styles.filter}>
        <SearchField label="Actor" hint="Actor, as user:anna" value={filter.actor} submit={(actor) => change({ actor })} />
        <SearchField label="Action" hint="Action, as run.cancelled" value={filter.action} submit={(action) => change({ action })} />
      </div>
      {rows.length ? (
        <ShortTable label="Audit log" rows={rows} columns={columns(change)} keyOf={(entry) => entry.id} />
      ) : log.isSuccess ? (
        <Empty title="No entry fits" detail={filter.actor || filter.action ? "Both must be written in full: an actor as user:anna, an action as run.cancelled." : "Nobody has changed anything yet."} />
      ) : null}
      {log.hasNextPage ? (
        <Button className={styles.more} onClick={() => void log.fetchNextPage()}>
          {log.isFetchingNextPage ? "Loading…" : "Older entries"}
        </Button>
      ) : null}
    </section>
  );
}

function columns(filter: (given: Search) => void): ShortColumn<Entry>[] {
  return [
    { header: "When", cell: (entry) => <Moment at={entry.at} /> },
    {
      header: "Who",
      cell: (entry) => (
        <Button small kind="quiet" className={styles.filterLink} title="Only this actor" onClick={() => filter({ actor: entry.actor })}>
          {entry.actor}
        </Button>
      ),
    },
    {
      header: "Did",
      cell: (entry) => (
        <Button small kind="quiet" className={styles.filterLink} title="Only this action" onClick={() => filter({ action: entry.action })}>
          {entry.action}
        </Button>
      ),
    },
    { header: "To", cell: (entry) => entry.target || <span className="faint">–</span> },
    { header: "Outcome", cell: (entry) => <span className={entry.outcome === "ok" ? "soft" : styles.bad}>{entry.outcome}</span> },
    { header: "From", cell: (entry) => <span className="faint">{entry.address || "–"}</span> },
  ];
}
