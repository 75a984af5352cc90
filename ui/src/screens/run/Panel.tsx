import { useQuery } from "@tanstack/react-query";
import { Suspense, lazy, useState } from "react";
import { useNavigate } from "@tanstack/react-router";

import { type RunDetails, type SpanNode, triggerOf } from "../../data/trace";
import type { Row, Timeline } from "../../logic/timeline";
import { Button } from "../../parts/Button";
import { Icon } from "../../parts/Icon";
import { Tabs } from "../../parts/Tabs";
import type { Search } from "../../router";
import { Facts } from "./Facts";
import { Metadata } from "./Metadata";
import { Output } from "./Output";
import styles from "./Panel.module.css";
import { RunFacts } from "./RunFacts";
import { TriggerView } from "./TriggerView";

const Rerun = lazy(() => import("./Rerun"));

interface Props {
  run: RunDetails;
  trace: SpanNode;
  row: Row | undefined;
  shown: Timeline;
  search: Search;
  change: (given: Search) => void;
}

/** What is known of the chosen step, or of the run. */
export function Panel(props: Props) {
  return (
    <aside className={styles.panel} aria-label={props.row ? `Step ${props.row.name}` : "Run"}>
      {props.row ? <StepPanel {...props} row={props.row} /> : <RunPanel {...props} />}
    </aside>
  );
}

function RunPanel({ run, trace, search, change }: Props) {
  const failed = run.status === "FAILED";
  const trigger = useQuery({ queryKey: ["trigger", run.id], queryFn: ({ signal }) => triggerOf(run.id, signal), staleTime: Number.POSITIVE_INFINITY });
  const tabs = [
    ["input", run.isBatch ? "Events" : run.cronSchedule ? "Trigger" : "Event"],
    ["output", failed ? "Error" : "Output"],
    ["about", "About"],
  ] as const;
  const chosen = search["tab"] ?? (run.endedAt && run.status !== "CANCELLED" ? "output" : "input");
  return (
    <Tabs label="Run" tabs={tabs} chosen={chosen} choose={(tab) => change({ tab })}>
      {chosen === "input" ? <TriggerView query={trigger} /> : null}
      {chosen === "output" ? <Output outputID={run.endedAt ? (trace.outputID ?? undefined) : undefined} none={run.endedAt ? "The function returned nothing." : "The run goes on."} /> : null}
      {chosen === "about" ? <RunFacts run={run} trace={trace} /> : null}
    </Tabs>
  );
}

function StepPanel({ run, row, shown, search, change }: Props & { row: Row }) {
  const [asking, setAsking] = useState(false);
  const navigate = useNavigate();
  const number = Number(search["attempt"]) || row.attempts.length;
  const attempt = row.attempts.find((each) => each.number === number) ?? row.attempts.at(-1);
  const outputID = attempt?.outputID ?? row.outputID;
  const failed = (attempt?.status ?? row.status) === "failed";
  const input = useHasInput(row);
  const tabs: [string, string][] = [["output", failed ? "Error" : "Output"]];
  if (input) tabs.push(["input", "Input"]);
  if (attempt?.headers) tabs.push(["request", "Request"]);
  if (row.metadata.length) tabs.push(["metadata", "Metadata"]);
  const chosen = tabs.some(([id]) => id === search["tab"]) ? (search["tab"] as string) : "output";
  return (
    <>
      <header className={styles.head}>
        <h2 className="cut" title={row.name}>
          {row.name}
        </h2>
        {row.stepID ? (
          <Button small needs="operator" onClick={() => setAsking(true)} blocked={run.endedAt === null && "The run goes on: rerun it once it has ended"}>
            Rerun from here
          </Button>
        ) : null}
        <button type="button" className={styles.close} aria-label="Close the step" onClick={() => change({ step: "", tab: "", attempt: "" })}>
          <Icon path="M4 4l8 8M12 4l-8 8" />
        </button>
      </header>
      <Facts row={row} attempt={attempt} choose={(chosenAttempt) => change({ attempt: String(chosenAttempt) })} />
      <Tabs label="Step" tabs={tabs} chosen={chosen} choose={(tab) => change({ tab })}>
        {chosen === "output" ? <Output outputID={outputID} none={noOutput(row)} /> : null}
        {chosen === "input" ? <Output outputID={outputID} part="input" none="The step has no input." /> : null}
        {chosen === "request" && attempt?.headers ? <Headers status={attempt.httpStatus} headers={attempt.headers} /> : null}
        {chosen === "metadata" ? <Metadata entries={row.metadata} /> : null}
      </Tabs>
      {asking ? (
        <Suspense fallback={null}>
          <Rerun run={run} step={row} shown={shown} close={() => setAsking(false)} done={(id) => void navigate({ to: `/runs/${id}`, search: {} })} />
        </Suspense>
      ) : null}
    </>
  );
}

function useHasInput(row: Row): boolean {
  return row.kind === "ai" || row.kind === "invoke" || row.info?.__typename === "RunStepInfo";
}

function noOutput(row: Row): string {
  if (row.status === "waiting") return row.kind === "sleep" ? "A sleep has no output." : "It still waits.";
  if (row.status === "running" || row.status === "queued" || row.status === "retrying") return "There is none yet.";
  return row.kind === "sleep" ? "A sleep has no output." : "The step returned nothing.";
}

function Headers({ status, headers }: { status: number | undefined; headers: Record<string, string | string[]> }) {
  return (
    <>
      <p className={styles.status}>
        {status ? `The app answered with HTTP ${status}` : "The app did not answer"}
      </p>
      <dl className={styles.headers}>
        {Object.entries(headers)
          .sort()
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{Array.isArray(value) ? value.join(", ") : value}</dd>
            </div>
          ))}
      </dl>
    </>
  );
}
