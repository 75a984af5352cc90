// Events: lists, one, and sending.

import type { ResultOf } from "gql.tada";

import type { Page } from "../logic/pages";
import { ask, graphql } from "./graphql";
import { request } from "./http";

const ROW = graphql(`
  fragment EventRow on EventV2 {
    id
    name
    receivedAt
    excerpt
    runs {
      id
      status
      function {
        name
      }
    }
  }
`);

const EVENTS = graphql(
  `
    query Events($first: Int!, $after: String, $filter: EventsFilter!) {
      eventsV2(first: $first, after: $after, filter: $filter) {
        edges {
          node {
            ...EventRow
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [ROW],
);

const EVENT = graphql(`
  query Event($id: ULID!) {
    eventV2(id: $id) {
      id
      name
      receivedAt
      occurredAt
      idempotencyKey
      raw
      runs {
        id
        status
        queuedAt
        startedAt
        endedAt
        errorLine
        function {
          name
          slug
        }
        doing {
          kind
          step
          key
          value
          limit
          until
        }
      }
    }
  }
`);

const LAST = graphql(`
  query LastEvent($filter: EventsFilter!) {
    eventsV2(first: 1, filter: $filter) {
      edges {
        node {
          raw
        }
      }
    }
  }
`);

const NAMES = graphql(`
  query EventNames {
    functions {
      triggers {
        type
        value
      }
    }
  }
`);

export type EventRow = ResultOf<typeof ROW>;
export type EventDetails = ResultOf<typeof EVENT>["eventV2"];

export interface EventFilter {
  from: string;
  until?: string | undefined;
  names?: string[] | undefined;
  internal: boolean;
  query?: string | undefined;
  text?: string | undefined;
}

const PAGE = 40;

function given(filter: EventFilter) {
  return {
    from: filter.from,
    until: filter.until ?? null,
    eventNames: filter.names ?? null,
    includeInternalEvents: filter.internal,
    query: filter.query ?? null,
    text: filter.text ?? null,
  };
}

/** A page of events, the newest first. */
export async function eventsPage(filter: EventFilter, after: string | undefined, signal?: AbortSignal): Promise<Page<EventRow>> {
  const { eventsV2 } = await ask(EVENTS, { first: PAGE, after: after ?? null, filter: given(filter) }, signal);
  const { hasNextPage, endCursor } = eventsV2.pageInfo;
  return { rows: eventsV2.edges.map(({ node }) => node), next: hasNextPage ? (endCursor ?? undefined) : undefined };
}

export async function eventOf(id: string, signal?: AbortSignal): Promise<EventDetails> {
  return (await ask(EVENT, { id }, signal)).eventV2;
}

/** The newest event of a name as JSON, for who wants to send another one; undefined if there is none. */
export async function lastEvent(name: string, signal?: AbortSignal): Promise<string | undefined> {
  const filter = given({ from: "1980-01-01T00:00:00Z", names: [name], internal: true });
  return (await ask(LAST, { filter }, signal)).eventsV2.edges[0]?.node.raw;
}

/** The names that functions listen to. */
export async function eventNames(signal?: AbortSignal): Promise<string[]> {
  const { functions } = await ask(NAMES, {}, signal);
  const names = (functions ?? []).flatMap((each) => (each.triggers ?? []).filter((trigger) => trigger.type === "EVENT").map((trigger) => trigger.value));
  return [...new Set(names)].sort();
}

export interface Outcome {
  kind: string;
  text: string;
  function?: string;
  run_id?: string;
}

/** What became of an event: a reason for each function that could have listened. */
export async function becameOf(id: string, signal?: AbortSignal): Promise<Outcome[]> {
  const answer = await request<{ data: { reasons: Outcome[] } }>("GET", `/v1/events/${id}/why`, { signal });
  return answer.data.reasons;
}

/** Send an event, an object with a name; returns its id. */
export async function sendEvent(event: unknown): Promise<string> {
  const body = JSON.stringify(event);
  const answer = await request<{ data: { eventId: string } }>("POST", "/v2/events", { body });
  return answer.data.eventId;
}
