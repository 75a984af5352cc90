// Publishes and subscribes with one of both TypeScript packages: `inngest`, or, if SDK is "older", `@inngest/realtime` with
// the `inngest` that it brings (the two can't share a process). PORT and SERVER_URL say where, SIGNING_KEY makes it `start`
// mode. `POST /subscribe?channel=&topics=` connects and answers with an id; `GET /kept?id=` tells what came since, and
// whether it has ended; `POST /publish?channel=` publishes its body.

import http from "node:http";
import { createRequire } from "node:module";

const { PORT, SERVER_URL, SIGNING_KEY, SDK } = process.env;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const shared = { baseUrl: SERVER_URL, eventKey: "test", signingKey: SIGNING_KEY, isDev: SIGNING_KEY === undefined, logger: silent };

async function newer() {
  const { Inngest } = await import("inngest");
  const { serve } = await import("inngest/node");
  const { channel } = await import("inngest/realtime");
  const client = new Inngest({ id: "realtime", ...shared });
  const chat = (name) => channel({ name, topics: { progress: {}, answer: {} } });

  async function* words() {
    for (const word of ["Grüße, ", "das ist ", "ein Strom ✓"]) {
      yield new TextEncoder().encode(word);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  const publisher = client.createFunction(
    { id: "publisher", triggers: [{ event: "realtime/publish" }] },
    async ({ event, step, runId }) => {
      const topics = chat(event.data.channel);
      await step.run("work", () => client.realtime.publish(topics.progress, { percent: 50 }));
      const said = await step.realtime.publish("say", topics.progress, { percent: 100, runId });
      await step.run("stream", () => client.realtime.publish(topics.answer, ReadableStream.from(words())));
      return said;
    },
  );

  return {
    handler: serve({ client, functions: [publisher] }),
    publish: (channel, text) => client.realtime.publish(chat(channel).progress, text),
    subscribe: async (channel, topics, key) =>
      client.realtime.subscribe({ channel, topics, ...(key ? { key } : await client.realtime.token({ channel, topics })) }),
  };
}

function older() {
  const require = createRequire(import.meta.url);
  const { getSubscriptionToken, subscribe } = require("@inngest/realtime");
  const { realtimeMiddleware } = require("@inngest/realtime/middleware");
  const requireIts = createRequire(require.resolve("@inngest/realtime"));
  const { Inngest } = requireIts("inngest");
  const { serve } = requireIts("inngest/node");
  const client = new Inngest({ id: "realtime-older", ...shared, middleware: [realtimeMiddleware()] });

  const publisher = client.createFunction(
    { id: "publisher" },
    { event: "realtime-older/publish" },
    async ({ event, step, publish }) => {
      const { channel } = event.data;
      await step.run("work", () => publish({ channel, topic: "progress", data: { percent: 50 } }));
      return publish({ channel, topic: "progress", data: { percent: 100 } });
    },
  );

  return {
    handler: serve({ client, functions: [publisher] }),
    subscribe: async (channel, topics) => subscribe({ app: client, ...(await getSubscriptionToken(client, { channel, topics })) }),
  };
}

const sdk = SDK === "older" ? older() : await newer();
const subscriptions = [];

async function follow(query) {
  const stream = await sdk.subscribe(query.get("channel"), query.get("topics").split(","), query.get("key"));
  const kept = { messages: [], closed: false };
  (async () => {
    for await (const message of stream) kept.messages.push(message);
    kept.closed = true;
  })();
  return subscriptions.push(kept) - 1;
}

const read = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
};

const controls = {
  "/ready": () => "ok",
  "/subscribe": (_, query) => follow(query),
  "/kept": (_, query) => subscriptions[Number(query.get("id"))],
  "/publish": async (request, query) => {
    await sdk.publish(query.get("channel"), await read(request));
    return "published";
  },
};

http
  .createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/api/inngest") return sdk.handler(request, response);
    if (!controls[url.pathname]) return response.writeHead(404).end();
    try {
      response.end(JSON.stringify(await controls[url.pathname](request, url.searchParams)));
    } catch (error) {
      response.writeHead(500).end(String(error?.message ?? error));
    }
  })
  .listen(Number(PORT), "127.0.0.1");
