import type { FunctionRef } from "../../data/names";
import type { RunRow } from "../../data/runs";
import { countdown, stateOf } from "../../logic/state";
import { Status } from "../../parts/Status";
import type { Column } from "../../parts/Table";
import { Duration, Moment, Since } from "../../parts/Time";
import { useNow } from "../../parts/now";
import styles from "./Runs.module.css";

type Names = ReadonlyMap<string, FunctionRef>;

/** The columns of the list of runs. */
export function columns(functions: Names): Column<RunRow>[] {
  return [
    { id: "state", header: "State", width: "minmax(112px, 170px)", cell: (row) => <RunState row={row} /> },
    { id: "function", header: "Function", width: "minmax(120px, 1.4fr)", cell: (row) => <FunctionName row={row} functions={functions} /> },
    { id: "trigger", header: "Trigger", width: "minmax(90px, 1fr)", from: 700, cell: (row) => <Trigger row={row} /> },
    { id: "detail", header: "Error or state", width: "minmax(120px, 2fr)", from: 900, cell: (row) => <Detail row={row} /> },
    { id: "waited", header: "Queued for", width: "80px", from: 1_040, align: "right", cell: (row) => <Duration ms={row.startedAt === undefined ? undefined : row.startedAt - row.queuedAt} /> },
    { id: "duration", header: "Duration", width: "84px", from: 560, align: "right", cell: (row) => <Took row={row} /> },
    { id: "queued", header: "Queued at", width: "112px", from: 760, align: "right", cell: (row) => <Moment at={row.queuedAt} /> },
    { id: "ago", header: "", width: "62px", align: "right", cell: (row) => <span className="faint"><Moment at={row.queuedAt} as="relative" /></span> },
  ];
}

function RunState({ row }: { row: RunRow }) {
  const state = stateOf(row.status, row.doing);
  return (
    <>
      <Status look={state.look} label={state.label} title={state.detail} />
      {state.until ? <Countdown until={state.until} /> : null}
      {row.retries ? <Retries count={row.retries} ended={row.status === "COMPLETED"} /> : null}
    </>
  );
}

function Countdown({ until }: { until: number }) {
  return <span className="faint number">{countdown(until, useNow(1_000))}</span>;
}

function Retries({ count, ended }: { count: number; ended: boolean }) {
  const title = ended ? `Recovered: ${count} failed attempts before` : `${count} failed attempts so far`;
  return (
    <span className={styles.retries} title={title}>
      ↻{count}
    </span>
  );
}

function FunctionName({ row, functions }: { row: RunRow; functions: Names }) {
  const known = functions.get(row.functionID);
  return (
    <span className={`${styles.name} cut`} title={known?.slug}>
      {known?.name ?? ""}
    </span>
  );
}

function Trigger({ row }: { row: RunRow }) {
  const text = row.cron ? `cron ${row.cron}` : row.isBatch ? "batch of events" : (row.eventName ?? "–");
  return <span className="cut soft">{text}</span>;
}

function Detail({ row }: { row: RunRow }) {
  if (row.errorLine) {
    return (
      <span className={`${styles.error} cut`} title={row.errorLine}>
        {row.errorLine}
      </span>
    );
  }
  const { detail } = stateOf(row.status, row.doing);
  return detail ? <span className="cut soft">{detail}</span> : null;
}

function Took({ row }: { row: RunRow }) {
  if (row.startedAt === undefined) return <Duration ms={undefined} />;
  return row.endedAt === undefined ? <Since at={row.startedAt} /> : <Duration ms={row.endedAt - row.startedAt} />;
}
