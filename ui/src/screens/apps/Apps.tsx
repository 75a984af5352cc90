import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Suspense, lazy, useState } from "react";

import { type App, addApp, removeApp, useApps } from "../../data/apps";
import { plural } from "../../logic/format";
import { Button } from "../../parts/Button";
import { Failure } from "../../parts/Failure";
import { Status } from "../../parts/Status";
import { useTitle } from "../../parts/title";
import styles from "./Apps.module.css";
import { mendOf } from "./mend";

const Onboarding = lazy(() => import("./Onboarding"));

const SHOWN_FUNCTIONS = 12;

/** The apps: whether each is in sync, and what to do if it isn't. Without any, how to make the first. */
export function Apps() {
  useTitle("Apps");
  const apps = useApps();
  if (apps.isError) return <Failure error={apps.error} retry={() => void apps.refetch()} />;
  if (!apps.data) return null;
  const named = apps.data.filter((app) => app.name);
  return (
    <div className={styles.screen}>
      <header className={styles.title}>
        <h1>Apps</h1>
        {apps.data.length ? <AddApp /> : null}
      </header>
      {named.length ? null : (
        <Suspense fallback={null}>
          <Onboarding />
        </Suspense>
      )}
      <ul className={styles.apps}>
        {apps.data.map((app) => (
          <AppCard key={app.id} app={app} />
        ))}
      </ul>
    </div>
  );
}

export function AddApp() {
  const [url, setUrl] = useState("");
  const add = useMutation({ mutationFn: addApp, onSuccess: () => setUrl("") });
  return (
    <form
      className={styles.add}
      onSubmit={(event) => {
        event.preventDefault();
        if (url.trim()) add.mutate(url.trim());
      }}
    >
      <input aria-label="Address of an app" placeholder="http://localhost:8000/api/inngest" value={url} onChange={(event) => setUrl(event.currentTarget.value)} />
      <Button needs="admin" blocked={!url.trim() && "Write the app's address first"} onClick={() => add.mutate(url.trim())}>
        {add.isPending ? "Asking it…" : "Add app"}
      </Button>
      {add.error ? (
        <p role="alert" className={styles.problem}>
          {mendOf(add.error.message).what}. {mendOf(add.error.message).next}
        </p>
      ) : null}
    </form>
  );
}

function AppCard({ app }: { app: App }) {
  const remove = useMutation({ mutationFn: () => removeApp(app.id) });
  const [sure, setSure] = useState(false);
  const mend = app.error ? mendOf(app.error) : undefined;
  return (
    <li className={styles.app}>
      <header className={styles.head}>
        <h2 className="cut">{app.name || "Not registered yet"}</h2>
        <Status look={app.error ? "failed" : "completed"} label={app.error ? "Not in sync" : "In sync"} />
        <span className={styles.actions}>
          {sure ? (
            <>
              <span className="soft">No new runs of it will start.</span>
              <Button small onClick={() => setSure(false)}>
                Keep
              </Button>
              <Button small kind="danger" needs="admin" onClick={() => remove.mutate()}>
                Remove
              </Button>
            </>
          ) : (
            <Button small kind="quiet" needs="admin" onClick={() => setSure(true)}>
              Remove
            </Button>
          )}
        </span>
      </header>
      {mend ? (
        <div className={styles.mend} role="status">
          <p>
            <b>{mend.what}.</b> {mend.next}
          </p>
        </div>
      ) : null}
      <dl className={styles.facts}>
        <Fact name={app.method === "CONNECT" ? "Connects" : "Address"} value={app.url ?? ""} code />
        <Fact name="SDK" value={app.sdkLanguage ? `${LANGUAGES[app.sdkLanguage] ?? app.sdkLanguage} ${app.sdkVersion}` : ""} />
        <Fact name="Framework" value={app.framework ?? ""} />
        <Fact name="Version" value={app.appVersion ?? ""} />
        <Fact name="Found" value={app.autodiscovered ? "by autodiscovery" : ""} />
      </dl>
      {app.functions.length ? (
        <p className={styles.functions}>
          <Link to="/functions" search={{ app: app.name }}>
            {plural(app.functionCount, "function")}
          </Link>
          {": "}
          {app.functions.slice(0, SHOWN_FUNCTIONS).map((each, index) => (
            <span key={each.slug}>
              {index ? ", " : ""}
              <Link to="/functions/$slug" params={{ slug: each.slug }} search={{}} className="soft">
                {each.name}
              </Link>
            </span>
          ))}
          {app.functions.length > SHOWN_FUNCTIONS ? ", …" : ""}
        </p>
      ) : null}
      {remove.error ? (
        <p role="alert" className={styles.problem}>
          {remove.error.message}
        </p>
      ) : null}
    </li>
  );
}

const LANGUAGES: Record<string, string> = { py: "Python", js: "TypeScript", go: "Go" };

function Fact({ name, value, code }: { name: string; value: string; code?: boolean }) {
  if (!value) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{code ? <code>{value}</code> : value}</dd>
    </div>
  );
}
