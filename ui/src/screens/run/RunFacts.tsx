import { Link } from "@tanstack/react-router";

import type { RunDetails, SpanNode } from "../../data/trace";
import { ms, shortId } from "../../logic/format";
import { Copy } from "../../parts/Copy";
import { Moment } from "../../parts/Time";
import { Fact } from "./Facts";
import { Metadata } from "./Metadata";
import styles from "./Panel.module.css";

/** What there is to know of a run besides its steps. */
export function RunFacts({ run, trace }: { run: RunDetails; trace: SpanNode }) {
  return (
    <div className={styles.facts}>
      <dl>
        <Fact name="Run">
          <Copy text={run.id} what="the run's id">
            <code>{run.id}</code>
          </Copy>
        </Fact>
        <Fact name="Function">
          <code>{run.function.slug}</code>
        </Fact>
        <Fact name="App">{run.app.name}</Fact>
        <Fact name="Queued">
          <Moment at={ms(run.queuedAt)} />
        </Fact>
        <Fact name="Started">
          <Moment at={ms(run.startedAt)} />
        </Fact>
        <Fact name="Ended">
          <Moment at={ms(run.endedAt)} />
        </Fact>
        <Fact name="Trace">
          <Copy text={run.traceID} what="the id of its trace">
            <code>{run.traceID}</code>
          </Copy>
        </Fact>
        {run.deferredFrom.map((parent) => (
          <Fact key={parent.runID} name="Deferred by">
            <Link to="/runs/$runID" params={{ runID: parent.runID }} search={{}}>
              {parent.function.name} {shortId(parent.runID)}
            </Link>
          </Fact>
        ))}
        {run.defers.map((defer) => (
          <Fact key={defer.userlandDeferID} name="Deferred">
            {defer.runID ? (
              <Link to="/runs/$runID" params={{ runID: defer.runID }} search={{}}>
                {defer.fnSlug} {shortId(defer.runID)}
              </Link>
            ) : (
              `${defer.fnSlug}, ${defer.status.toLowerCase()}`
            )}
          </Fact>
        ))}
      </dl>
      <Metadata entries={trace.metadata} />
    </div>
  );
}
