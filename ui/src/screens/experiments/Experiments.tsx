import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo } from "react";

import { type ExperimentSummary, experimentsPage } from "../../data/experiments";
import { useLive } from "../../data/live";
import { nextOf } from "../../data/pages";
import { queries, throttled } from "../../data/queries";
import { count, ms } from "../../logic/format";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import screen from "../../parts/ListScreen.module.css";
import { type Column, Table } from "../../parts/Table";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import styles from "./Experiments.module.css";

const AGAIN_MS = 3_000;
const QUERY = ["experiments"];

/** Experiments of all functions. */
export function Experiments() {
  useTitle("Experiments");
  const query = useInfiniteQuery({
    queryKey: QUERY,
    queryFn: ({ pageParam, signal }) => experimentsPage(pageParam, signal),
    initialPageParam: "",
    getNextPageParam: nextOf,
  });
  const again = useMemo(() => throttled(() => void queries.invalidateQueries({ queryKey: QUERY }), AGAIN_MS), []);
  useLive("runs", again);
  const rows = query.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <div className={screen.screen}>
      <div className={screen.title}>
        <h1>Experiments</h1>
      </div>
      <div className={screen.list}>
        {query.isError ? (
          <Failure error={query.error} retry={() => void query.refetch()} />
        ) : query.isSuccess && !rows.length ? (
          <Empty title="No experiments yet" detail="A function chooses between variants with group.experiment of the TypeScript SDK; or a score names the variant that it is about, with any SDK.">
            <pre className={styles.example}>{EXAMPLE}</pre>
          </Empty>
        ) : (
          <Table
            label="Experiments"
            rows={rows}
            columns={COLUMNS}
            keyOf={(row) => `${row.function.app.id} ${row.function.id} ${row.id}`}
            target={(row) => ({ to: `/experiments/${[row.function.app.id, row.function.id, row.id].map(encodeURIComponent).join("/")}` })}
            nameOf={(row) => `Experiment ${row.id} of ${row.function.name}`}
            more={query.hasNextPage ? () => void query.fetchNextPage({ cancelRefetch: false }) : undefined}
          />
        )}
      </div>
    </div>
  );
}

const EXAMPLE = `holdfast api create-score RUN_ID --body '[{"name": "helpful", "value": true,
  "experiment": {"id": "model", "variant": "small"}}]'`;

const COLUMNS: Column<ExperimentSummary>[] = [
  { id: "id", header: "Experiment", width: "minmax(120px, 1fr)", cell: (row) => <span className={`${styles.name} cut`}>{row.id}</span> },
  { id: "function", header: "Function", width: "minmax(110px, 1fr)", cell: (row) => <span className="cut soft">{row.function.name || row.function.id}</span> },
  { id: "variants", header: "Variants", width: "minmax(110px, 1.5fr)", from: 600, cell: (row) => <span className="cut soft">{row.variants.join(", ")}</span> },
  { id: "runs", header: "Runs", width: "70px", align: "right", cell: (row) => <span className="number">{count(row.totalRuns)}</span> },
  { id: "seen", header: "Last seen", width: "90px", from: 480, align: "right", cell: (row) => <Moment at={ms(row.lastSeen)} as="relative" /> },
];
