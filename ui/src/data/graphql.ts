// Asks the server over GraphQL. Documents are checked against the schema while typing, and sent as they are written.

import type { TadaDocumentNode, initGraphQLTada } from "gql.tada";

import { Problem, request } from "./http";
import type { introspection } from "./schema";

interface Setup {
  introspection: introspection;
  disableMasking: true;
  scalars: {
    Time: string;
    ULID: string;
    UUID: string;
    Bytes: string;
    Map: Record<string, unknown>;
    Unknown: unknown;
    Uint: number;
    Int64: number;
    SpanMetadataKind: string;
    SpanMetadataScope: string;
    SpanMetadataValues: Record<string, unknown>;
    HTTPHeaders: Record<string, string | string[]>;
  };
}

function text(document: string, fragments: string[] = []): string {
  return [document, ...fragments].join("\n");
}

/** A GraphQL document. Its result and variables are typed after the schema; at run time it is its text. */
export const graphql = text as unknown as ReturnType<typeof initGraphQLTada<Setup>>;

interface Answer<T> {
  data: T | null;
  errors?: { message: string; path?: (string | number)[] }[];
}

/** Ask the server. Throws a Problem if it refuses, or if it answers with errors. */
export async function ask<Result, Variables>(
  document: TadaDocumentNode<Result, Variables>,
  variables: Variables,
  signal?: AbortSignal,
): Promise<Result> {
  const body = JSON.stringify({ query: document, variables });
  const answer = await request<Answer<Result>>("POST", "/v0/gql", { body, signal });
  const errors = answer.errors ?? [];
  if (errors.length || !answer.data) {
    throw new Problem(200, errors.map((error) => error.message).join("; ") || "The server answered nothing");
  }
  return answer.data;
}
