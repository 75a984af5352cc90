// The first thing that runs: it asks for what the first screen shows, before the libraries that draw it are read.

import { askEarly } from "./data/early";
import { NAMES_KEY, functionNames } from "./data/names";
import { runsPage } from "./data/runs";
import { runAndTrace } from "./data/trace";
import { filterOf, runsKey } from "./screens/runs/filter";

const RUN = /^\/runs\/([0-7][0-9A-HJKMNP-TV-Z]{25})$/i;

function begin(path: string, search: Record<string, string>): void {
  const id = RUN.exec(path)?.[1]?.toUpperCase();
  if (id) askEarly(["run", id], runAndTrace(id));
  if (path !== "/" && path !== "/runs") return;
  // A filter by names can be asked for only once they are known.
  if (!search["function"] && !search["app"]) askEarly(runsKey(search), runsPage(filterOf(search, [], Date.now()).filter, undefined));
  askEarly(NAMES_KEY, functionNames());
}

begin(location.pathname, Object.fromEntries(new URLSearchParams(location.search)));
