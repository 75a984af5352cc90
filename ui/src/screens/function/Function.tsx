import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type ReactNode, Suspense, lazy, useMemo } from "react";

import { type FunctionDetails, functionBySlug, pauseFunction, resumeFunction } from "../../data/functions";
import { useLive } from "../../data/live";
import { askAgain, throttled } from "../../data/queries";
import { cronWords } from "../../logic/cron";
import { count, duration, ms } from "../../logic/format";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { Status } from "../../parts/Status";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import { BacklogView } from "./BacklogView";
import { Recent } from "./Recent";
import styles from "./Function.module.css";
import { settingsOf } from "./settings";

const Invoke = lazy(() => import("./Invoke"));

const AGAIN_MS = 3_000;

/** One function: how it does, what starts it, and all its settings. */
export function Function() {
  const { slug = "" } = useParams({ strict: false }) as { slug?: string };
  const queryKey = useMemo(() => ["functions", "one", slug], [slug]);
  const query = useQuery({ queryKey, queryFn: ({ signal }) => functionBySlug(slug, signal) });
  const again = useMemo(() => throttled(() => void askAgain(queryKey), AGAIN_MS), [queryKey]);
  useLive("apps", again);
  useLive("runs", (push) => (push.more || push.runs?.some((run) => run.function === query.data?.id)) && again());
  useTitle(query.data?.name ?? "Function");
  if (query.isError) {
    return /no rows|no such/i.test(query.error.message) ? (
      <Empty title="There is no such function" detail={`No app has registered ${slug}.`}>
        <Link to="/functions" search={{}}>
          All functions
        </Link>
      </Empty>
    ) : (
      <Failure error={query.error} retry={() => void query.refetch()} />
    );
  }
  return query.data ? <Shown shown={query.data} /> : null;
}

function Shown({ shown }: { shown: FunctionDetails }) {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const invoke = (open: boolean) => void navigate({ to: "/functions/$slug", params: { slug: shown.slug }, search: open ? { ...search, invoke: "yes" } : {}, replace: true });
  const pause = useMutation({ mutationFn: () => (shown.paused ? resumeFunction(shown.slug) : pauseFunction(shown.slug, "queue")) });
  const { health } = shown;
  return (
    <div className={styles.screen}>
      <header className={styles.head}>
        <Link to="/functions" search={{}} className="soft">
          Functions
        </Link>
        <span className="faint">/</span>
        <h1 className="cut">{shown.name}</h1>
        {shown.paused ? <Status look="waiting" label={shown.paused === "skip" ? "Paused, new runs are skipped" : "Paused, new runs wait"} /> : null}
        <span className={styles.actions}>
          {pause.error ? <span className={styles.problem}>{pause.error.message}</span> : null}
          <Button small needs="operator" onClick={() => pause.mutate()}>
            {shown.paused ? "Resume" : "Pause"}
          </Button>
          <Button small kind="primary" needs="operator" onClick={() => invoke(true)}>
            Invoke
          </Button>
        </span>
      </header>
      <dl className={styles.figures}>
        <Figure name="Unfinished">{count(health.alive)}</Figure>
        <Figure name="Completed, 24 h">{count(health.completed)}</Figure>
        <Figure name="Failed, 24 h" bad={health.failed > 0}>
          {count(health.failed)}
        </Figure>
        <Figure name="p50">{health.p50 === null ? "–" : duration(health.p50)}</Figure>
        <Figure name="p95">{health.p95 === null ? "–" : duration(health.p95)}</Figure>
        {shown.nextRun ? (
          <Figure name="Next">
            <Moment at={ms(shown.nextRun)} as="relative" />
          </Figure>
        ) : null}
      </dl>
      <div className={styles.body}>
        <div className={styles.column}>
          <BacklogView shown={shown} />
          <section>
            <h2>
              Newest runs
              <Link to="/runs" search={{ function: shown.slug }} className={styles.all}>
                All runs
              </Link>
            </h2>
            <Recent functionID={shown.id} />
          </section>
        </div>
        <section>
          <h2>Triggers</h2>
          <ul className={styles.triggers}>
            {(shown.triggers ?? []).map((trigger) => (
              <li key={trigger.type + trigger.value}>
                {trigger.type === "CRON" ? (
                  <>
                    {cronWords(trigger.value)} <code className="faint">{trigger.value}</code>
                  </>
                ) : (
                  <>
                    <Link to="/events" search={{ name: trigger.value }}>
                      {trigger.value}
                    </Link>
                    {trigger.condition ? (
                      <>
                        {" "}
                        <span className="soft">if</span> <code>{trigger.condition}</code>
                      </>
                    ) : null}
                  </>
                )}
              </li>
            ))}
          </ul>
          <h2>Settings</h2>
          <dl className={styles.settings}>
            {settingsOf(shown).map(([name, said]) => (
              <div key={name + said}>
                <dt>{name}</dt>
                <dd>{said}</dd>
              </div>
            ))}
            <div>
              <dt>Id</dt>
              <dd>
                <code>{shown.slug}</code>
              </dd>
            </div>
            <div>
              <dt>App</dt>
              <dd>{shown.app.name}</dd>
            </div>
            <div>
              <dt>Address</dt>
              <dd>
                <code>{shown.url}</code>
              </dd>
            </div>
          </dl>
        </section>
      </div>
      {search["invoke"] ? (
        <Suspense fallback={null}>
          <Invoke slug={shown.slug} name={shown.name} functionID={shown.id} event={(shown.triggers ?? []).find((trigger) => trigger.type === "EVENT")?.value} close={() => invoke(false)} />
        </Suspense>
      ) : null}
    </div>
  );
}

function Figure({ name, bad, children }: { name: string; bad?: boolean; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={`number ${bad ? styles.problem : ""}`}>{children}</dd>
    </div>
  );
}
