import { useState } from "react";

import type { FunctionRef } from "../../data/functions";
import { Pick } from "../../parts/Pick";
import type { Search } from "../../router";
import styles from "./Runs.module.css";
import { DEFAULT_WINDOW, STATUSES, list } from "./filter";

interface Props {
  search: Search;
  functions: readonly FunctionRef[];
  change: (given: Search) => void;
}

const TIMES: [string, string][] = [
  ["15m", "Last 15 minutes"],
  ["1h", "Last hour"],
  ["6h", "Last 6 hours"],
  ["24h", "Last 24 hours"],
  ["7d", "Last 7 days"],
  ["30d", "Last 30 days"],
  ["all", "All time"],
];

/** The filters of the list. All of them live in the address. */
export function Toolbar({ search, functions, change }: Props) {
  const apps = [...new Set(functions.map((each) => each.appName))].sort();
  return (
    <div className={styles.toolbar} role="search">
      <SearchField value={search["q"] ?? ""} submit={(q) => change({ q })} />
      <Pick
        label="Status"
        options={STATUSES.map((status) => [status, status.charAt(0) + status.slice(1).toLowerCase()])}
        chosen={list(search["status"]).map((name) => name.toUpperCase())}
        choose={(chosen) => change({ status: chosen.join(",") })}
      />
      <Pick
        label="Function"
        options={functions.map((each) => [each.slug, each.name])}
        chosen={list(search["function"])}
        choose={(chosen) => change({ function: chosen.join(",") })}
      />
      {apps.length > 1 ? (
        <Pick label="App" options={apps.map((app) => [app, app])} chosen={list(search["app"])} choose={(chosen) => change({ app: chosen.join(",") })} />
      ) : null}
      <Pick
        label={search["from"] ? "Chosen time" : "Time"}
        options={TIMES}
        chosen={search["from"] ? [] : [search["last"] ?? DEFAULT_WINDOW]}
        choose={([last]) => change({ last: last === DEFAULT_WINDOW ? "" : last, from: "", until: "" })}
        single
      />
    </div>
  );
}

function SearchField({ value, submit }: { value: string; submit: (text: string) => void }) {
  const [text, setText] = useState(value);
  const [from, setFrom] = useState(value);
  if (from !== value) {
    setFrom(value);
    setText(value);
  }
  return (
    <input
      type="search"
      className={styles.search}
      aria-label="Search runs"
      placeholder='Search, as event.data.order == 7   ( / )'
      value={text}
      onInput={(event) => {
        setText(event.currentTarget.value);
        if (!event.currentTarget.value) submit("");
      }}
      onKeyDown={(event) => event.key === "Enter" && submit(text.trim())}
    />
  );
}
