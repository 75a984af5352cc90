// Durable endpoints and deferred functions: runs that begin in a request of the app's own clients. PORT and SERVER_URL say where.

import http from "node:http";
import { Inngest, step } from "inngest";
import { endpointAdapter, serve, serveEndpoint } from "inngest/node";
import { createDefer } from "inngest/experimental";

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
  "/ready": (_, response) => response.end("ok"),
};
const missing = (_, response) => response.writeHead(404).end();
http.createServer((request, response) => (routes[request.url.split("?")[0]] ?? missing)(request, response)).listen(PORT);
