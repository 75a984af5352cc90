import { memo } from "react";

import type { FunctionRef } from "../../data/names";
import { TIMES, list } from "../../logic/window";
import styles from "../../parts/ListScreen.module.css";
import { Pick } from "../../parts/Pick";
import { SearchField } from "../../parts/SearchField";
import type { Search } from "../../router";
import { DEFAULT_WINDOW, STATUSES } from "./filter";

interface Props {
  search: Search;
  functions: readonly FunctionRef[];
  change: (given: Search) => void;
}

/** The filters of the list. All of them live in the address. */
export const Toolbar = memo(function Toolbar({ search, functions, change }: Props) {
  const apps = [...new Set(functions.map((each) => each.appName))].sort();
  return (
    <div className={styles.toolbar} role="search">
      <SearchField label="Search runs" hint="Text, an id, or event.data.order == 7" value={search["q"] ?? ""} submit={(q) => change({ q })} />
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
});
