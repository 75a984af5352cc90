import { useQueries } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";

import { savedSteps } from "../../data/compare";
import { useLive } from "../../data/live";
import { askAgain, queries, throttled } from "../../data/queries";
import { type RunAndTrace, runAndTrace } from "../../data/trace";
import { type Pair, type Saved, type Side, type Verdict, pairs } from "../../logic/compare";
import { bytes, duration, ms, plural, shortId } from "../../logic/format";
import { stateOf } from "../../logic/state";
import { timeline } from "../../logic/timeline";
import { Failure } from "../../parts/Failure";
import { Status } from "../../parts/Status";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import styles from "./Compare.module.css";
import { Outputs } from "./Outputs";

const AGAIN_MS = 500;

const WORDS: Record<Verdict, string> = {
  same: "the same",
  kept: "kept",
  edited: "edited",
  differs: "differs",
  "only-left": "only here",
  "only-right": "only here",
  open: "not done",
};

/** Two runs side by side, step by step. Which steps are open is in the address. */
export function Compare() {
  const { runID = "", otherID = "" } = useParams({ strict: false }) as { runID?: string; otherID?: string };
  useTitle("Compare two runs");
  const ids = [runID.toUpperCase(), otherID.toUpperCase()];
  const results = useQueries({
    queries: ids.flatMap((id) => [
      { queryKey: ["run", id], queryFn: ({ signal }: { signal: AbortSignal }) => runAndTrace(id, signal) },
      { queryKey: ["run", id, "saved"], queryFn: ({ signal }: { signal: AbortSignal }) => savedSteps(id, signal) },
    ]),
  });
  const again = useMemo(() => ids.map((id) => throttled(() => void askAgain(["run", id]), AGAIN_MS)), [runID, otherID]);
  useLive(`run:${ids[0]}`, () => again[0]?.());
  useLive(`run:${ids[1]}`, () => again[1]?.());
  const failed = results.find((result) => result.isError);
  if (failed) return <Failure title="These runs can't be compared" error={failed.error} retry={() => void queries.invalidateQueries({ queryKey: ["run"] })} />;
  const [left, leftSaved, right, rightSaved] = results.map((result) => result.data);
  if (!left || !leftSaved || !right || !rightSaved) return <div aria-busy="true" />;
  return <Shown left={{ ...(left as RunAndTrace), saved: leftSaved as Saved[] }} right={{ ...(right as RunAndTrace), saved: rightSaved as Saved[] }} />;
}

type Loaded = RunAndTrace & { saved: Saved[] };

function Shown({ left, right }: { left: Loaded; right: Loaded }) {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const found = useMemo(() => {
    const [one, other] = [left, right].map((each) => ({ rows: timeline(each.trace, each.run.why, Date.now()).rows, saved: each.saved }));
    return one && other ? pairs(one, other) : [];
  }, [left, right]);
  const different = found.filter((pair) => !["same", "kept", "open"].includes(pair.verdict)).length;
  const only = search["show"] === "differences";
  const open = search["step"];
  const change = (given: Search) => void navigate({ to: `/compare/${left.run.id}/${right.run.id}`, search: { ...search, ...given }, replace: true });
  const shown = only ? found.filter((pair) => !["same", "kept"].includes(pair.verdict)) : found;
  return (
    <div className={styles.screen}>
      <header className={styles.head}>
        <h1>
          Compare <span className="soft">{left.run.function.name}</span>
        </h1>
        {left.run.function.id === right.run.function.id ? null : <p className={styles.warning}>These are runs of two functions: {left.run.function.name} and {right.run.function.name}.</p>}
        <p className="soft">
          {plural(found.length, "step")}, {different ? `${different} of them different` : "none different"}
        </p>
        <label className={styles.only}>
          <input type="checkbox" checked={only} onChange={(event) => change({ show: event.currentTarget.checked ? "differences" : "" })} /> Differences only
        </label>
        <Link to="/compare/$runID/$otherID" params={{ runID: right.run.id, otherID: left.run.id }} search={search} replace>
          Swap sides
        </Link>
      </header>
      <div className={styles.grid} role="table" aria-label="Steps of both runs">
        <div role="row" className={`${styles.row} ${styles.runs}`}>
          <span role="columnheader">Step</span>
          <RunHead {...left} right={right.run.originalRunID === left.run.id ? "original" : undefined} />
          <RunHead {...right} right={right.run.originalRunID === left.run.id ? "rerun" : undefined} />
        </div>
        {shown.map((pair) => (
          <PairRow key={pair.stepID} pair={pair} ids={[left.run.id, right.run.id]} open={open === pair.stepID} toggle={() => change({ step: open === pair.stepID ? "" : pair.stepID })} />
        ))}
        {shown.length ? null : <p className={styles.none}>{only ? "Their steps came to the same." : "Neither run has a step yet."}</p>}
        <Result left={left} right={right} open={open === "result"} toggle={() => change({ step: open === "result" ? "" : "result" })} />
      </div>
    </div>
  );
}

function RunHead({ run, right }: RunAndTrace & { right: string | undefined }) {
  const state = stateOf(run.status, undefined);
  const [from, to] = [ms(run.startedAt), ms(run.endedAt)];
  return (
    <span role="columnheader" className={styles.run}>
      <Link to="/runs/$runID" params={{ runID: run.id }} search={{}} title={run.id}>
        {shortId(run.id)}
      </Link>
      {right ? <span className={styles.tag}>{right}</span> : null}
      <Status look={state.look} label={state.label} />
      {from !== undefined && to !== undefined ? <span className="soft number">{duration(to - from)}</span> : null}
      <span className={`faint ${styles.when}`}>
        <Moment at={ms(run.queuedAt)} />
      </span>
    </span>
  );
}

function PairRow({ pair, ids, open, toggle }: { pair: Pair; ids: readonly [string, string]; open: boolean; toggle: () => void }) {
  return (
    <>
      <div role="row" className={styles.row} data-verdict={pair.verdict} data-open={open || undefined}>
        <span role="cell" className={styles.name}>
          <button type="button" aria-expanded={open} className={styles.toggle} onClick={toggle}>
            <i aria-hidden="true">{open ? "▾" : "▸"}</i>
            <span className="cut">{pair.name}</span>
          </button>
          <span className={styles.verdict}>{WORDS[pair.verdict]}</span>
        </span>
        <SideCell side={pair.left} />
        <SideCell side={pair.right} edited={pair.verdict === "edited"} />
      </div>
      {open ? <Outputs ids={ids} pair={pair} /> : null}
    </>
  );
}

function SideCell({ side, edited }: { side: Side | undefined; edited?: boolean }) {
  if (!side) return <span role="cell" className={`faint ${styles.absent}`}>not run</span>;
  const { row, saved } = side;
  const worked = row?.attempts.at(-1);
  const took = worked?.started !== undefined && worked.ended !== undefined ? worked.ended - worked.started : row?.to !== undefined ? row.to - row.from : undefined;
  return (
    <span role="cell" className={styles.side}>
      {row ? <Status look={row.status} label={row.status} /> : <span className="soft">{edited ? "kept, with an edited output" : "kept from the run before"}</span>}
      {took === undefined || !row ? null : <span className="soft number">{duration(took)}</span>}
      {row && row.attempts.length > 1 ? <span className="soft number">{row.attempts.length} attempts</span> : null}
      {saved ? <span className="faint number">{bytes(saved.size)}</span> : null}
    </span>
  );
}

function Result({ left, right, open, toggle }: { left: RunAndTrace; right: RunAndTrace; open: boolean; toggle: () => void }) {
  return (
    <>
      <div role="row" className={styles.row} data-open={open || undefined}>
        <span role="cell" className={styles.name}>
          <button type="button" aria-expanded={open} className={styles.toggle} onClick={toggle}>
            <i aria-hidden="true">{open ? "▾" : "▸"}</i>
            <b>Result of the run</b>
          </button>
        </span>
        {[left, right].map(({ run }) => (
          <span key={run.id} role="cell" className={`${styles.side} cut`}>
            {run.errorLine ? <span className={styles.error}>{run.errorLine}</span> : <span className="soft">{run.endedAt ? "returned" : "goes on"}</span>}
          </span>
        ))}
      </div>
      {open ? <Outputs ids={[left.run.id, right.run.id]} outputs={[left, right].map(({ run, trace }) => (run.endedAt ? (trace.outputID ?? undefined) : undefined))} /> : null}
    </>
  );
}
