// Durable endpoints and deferred functions: runs that begin in a request of the app's own clients. PORT and SERVER_URL say where.

import http from "node:http";
import { Inngest, step } from "inngest";
import { endpointAdapter, serve, serveEndpoint } from "inngest/node";
import { createDefer } from "inngest/experimental";
import { stream } from "inngest/experimental/durable-endpoints";
import { fetchWithStream } from "inngest/experimental/durable-endpoints/client";

const { PORT, SERVER_URL } = process.env;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const client = new Inngest({ id: "endpoints", isDev: true, baseUrl: SERVER_URL, logger: silent, endpointAdapter });
let failures = 0;

const quick = client.endpoint(async () => {
  const one = await step.run("one", () => 1);
  const two = await step.run("two", () => one + 1);
  return new Response(`sum ${one + two}`, { status: 201, headers: { "x-own": "yes" } });
});

const slow = client.endpoint(async (request) => {
  const one = await step.run("one", () => 1);
  await step.sleep("nap", "500ms");
  const two = await step.run("flaky", () => {
    if (failures++ === 0) throw new Error("not yet");
    return one + 1;
  });
  return new Response(`slow ${two} ${new URL(request.url).searchParams.get("q")}`);
});

const streamed = client.endpoint(async () => {
  await step.run("direct", async () => stream.push({ part: "direct" }));
  await step.sleep("nap", "1s");
  await step.run("resumed", async () => {
    for (const word of ["grüße ", "✓"]) {
      stream.push(word);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  });
  return new Response("streamed to the end", { status: 202 });
});

// What a browser does: follow an endpoint over its redirect, and note what came when.
const watch = async (request, response) => {
  const began = Date.now();
  const seen = [];
  const note = (kind) => (told) => seen.push({ kind, at: Date.now() - began, ...told });
  try {
    const answer = await fetchWithStream(`http://127.0.0.1:${PORT}/streamed`, {
      onMetadata: note("metadata"),
      onData: note("data"),
      onCommit: note("commit"),
      onRollback: note("rollback"),
    });
    response.end(JSON.stringify({ status: answer.status, text: await answer.text(), seen }));
  } catch (error) {
    response.writeHead(500).end(String(error?.stack ?? error));
  }
};

const later = createDefer(client, { id: "later" }, async ({ event, parents, step }) => {
  await step.run("work", () => 1);
  return { data: event.data, parent: parents[0] };
});

const parent = client.createFunction(
  { id: "parent", triggers: [{ event: "endpoints/parent" }] },
  async ({ step, defer }) => {
    await defer("kept", { function: later, data: { order: 7 } });
    await step.run("own", () => 1);
    return "done";
  },
);

const routes = {
  "/api/inngest": serve({ client, functions: [parent, later] }),
  "/quick": serveEndpoint(quick),
  "/slow": serveEndpoint(slow),
  "/streamed": serveEndpoint(streamed),
  "/watch": watch,
  "/ready": (_, response) => response.end("ok"),
};
const missing = (_, response) => response.writeHead(404).end();
http.createServer((request, response) => (routes[request.url.split("?")[0]] ?? missing)(request, response)).listen(PORT);
