// An app with extended traces: the SDK sends the OpenTelemetry spans of its functions to the server. PORT and SERVER_URL
// as for app.mjs. The client comes first: its middleware instruments what is imported after it.

import { Inngest } from "inngest";
import { extendedTracesMiddleware } from "inngest/experimental";

const { PORT, SERVER_URL, UPSTREAM_URL } = process.env;
const silent = { debug() {}, info() {}, warn: console.warn, error: console.error };
const middleware = [extendedTracesMiddleware({ behaviour: "createProvider" })];
const makeClient = (id, options) =>
  new Inngest({ id, baseUrl: SERVER_URL, eventKey: "test", isDev: true, logger: silent, middleware, ...options });

const clients = [makeClient("traced", {}), makeClient("traced-plain", { checkpointing: false })];
const { createServer } = await import("node:http");
const { serve } = await import("inngest/node");
const { trace, context } = await import("@opentelemetry/api");

const tracer = trace.getTracer("shop", "3.1");

const answer = (span) => {
  span.setAttributes({
    "gen_ai.system": "acme",
    "gen_ai.request.model": "m-1",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 4,
  });
  span.end();
};

const build = (client) => [
  client.createFunction({ id: "shop", triggers: [{ event: `${client.id}/shop` }], retries: 1 }, async ({ step, attempt }) => {
    await step.run("price", async () => {
      await tracer.startActiveSpan("look up", async (span) => {
        await fetch(`${UPSTREAM_URL}/price`);
        tracer.startActiveSpan("ask the model", answer);
        span.end();
      });
      return 1;
    });
    await step.run("pay", async () => {
      if (attempt === 0) {
        const span = tracer.startSpan("declined");
        span.setStatus({ code: 2, message: "no money" });
        span.end();
        throw new Error("declined");
      }
      tracer.startSpan("paid", {}, context.active()).end();
    });
    return "done";
  }),
];

const routes = new Map(clients.map((client) => [`/api/${client.id}`, serve({ client, functions: build(client), servePath: `/api/${client.id}` })]));
createServer((request, response) => {
  const route = routes.get(new URL(request.url, "http://localhost").pathname);
  if (route) return route(request, response);
  response.writeHead(request.url === "/health" ? 200 : 404).end();
}).listen(Number(PORT), "127.0.0.1");
