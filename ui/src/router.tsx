// All addresses of the UI. Each screen is loaded when it is opened first; its filters live in the address.

import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";

import { Failure } from "./parts/Failure";
import { Nowhere } from "./shell/Nowhere";
import { Shell } from "./shell/Shell";

/** Parameters of an address: always text, so that links stay readable and work when typed. */
export type Search = Record<string, string | undefined>;

const root = createRootRoute({
  component: Shell,
  notFoundComponent: Nowhere,
  errorComponent: ({ error }) => <Failure error={error} />,
  validateSearch: (given: Record<string, unknown>): Search =>
    Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)])),
});

const under = { getParentRoute: () => root };

const routes = [
  createRoute({
    ...under,
    path: "/",
    beforeLoad: () => {
      throw redirect({ to: "/runs", search: {} });
    },
  }),
  createRoute({ ...under, path: "/runs", component: lazyRouteComponent(() => import("./screens/runs/Runs"), "Runs") }),
  createRoute({ ...under, path: "/runs/$runID", component: lazyRouteComponent(() => import("./screens/run/Run"), "Run") }),
  createRoute({ ...under, path: "/events", component: lazyRouteComponent(() => import("./screens/events/Events"), "Events") }),
  createRoute({ ...under, path: "/events/$eventID", component: lazyRouteComponent(() => import("./screens/event/Event"), "Event") }),
  createRoute({ ...under, path: "/functions", component: lazyRouteComponent(() => import("./screens/functions/Functions"), "Functions") }),
  createRoute({ ...under, path: "/functions/$slug", component: lazyRouteComponent(() => import("./screens/function/Function"), "Function") }),
  createRoute({ ...under, path: "/apps", component: lazyRouteComponent(() => import("./screens/apps/Apps"), "Apps") }),
  createRoute({ ...under, path: "/compare/$runID/$otherID", component: lazyRouteComponent(() => import("./screens/compare/Compare"), "Compare") }),
  createRoute({ ...under, path: "/lineage/$eventID", component: lazyRouteComponent(() => import("./screens/lineage/Lineage"), "Lineage") }),
  createRoute({ ...under, path: "/performance", component: lazyRouteComponent(() => import("./screens/metrics/Metrics"), "Metrics") }),
  createRoute({ ...under, path: "/sessions", component: lazyRouteComponent(() => import("./screens/sessions/Sessions"), "Sessions") }),
  createRoute({ ...under, path: "/sessions/$key/$id", component: lazyRouteComponent(() => import("./screens/sessions/SessionRuns"), "SessionRuns") }),
  createRoute({ ...under, path: "/experiments", component: lazyRouteComponent(() => import("./screens/experiments/Experiments"), "Experiments") }),
  createRoute({ ...under, path: "/experiments/$app/$slug/$id", component: lazyRouteComponent(() => import("./screens/experiments/Experiment"), "Experiment") }),
  createRoute({ ...under, path: "/sources", component: lazyRouteComponent(() => import("./screens/webhooks/Webhooks"), "Webhooks") }),
  createRoute({ ...under, path: "/settings", component: lazyRouteComponent(() => import("./screens/settings/Settings"), "Settings") }),
  createRoute({ ...under, path: "/settings/$section", component: lazyRouteComponent(() => import("./screens/settings/Settings"), "Settings") }),
];

function parse(text: string): Search {
  return Object.fromEntries(new URLSearchParams(text));
}

function stringify(search: Search): string {
  const given = Object.entries(search).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const text = new URLSearchParams(given).toString();
  return text ? `?${text.replaceAll("%2C", ",").replaceAll("%2F", "/").replaceAll("%3A", ":")}` : "";
}

export const router = createRouter({
  routeTree: root.addChildren(routes),
  parseSearch: parse,
  stringifySearch: stringify,
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
