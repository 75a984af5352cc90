// Serves the JavaScript functions on node:http, once for each way of checkpointing. The environment says where: PORT,
// SERVER_URL, UPSTREAM_URL, and for `start` mode SIGNING_KEY and EVENT_KEY. `GET /calls?run=<run id>` tells which
// requests came from the server and which bodies ran.

import http from "node:http";
import { Readable } from "node:stream";
import { Inngest } from "inngest";
import { serve } from "inngest/node";
import { build, buildBuffered, buildStreamed, ran } from "./functions.mjs";

const { PORT, SERVER_URL, UPSTREAM_URL = "http://127.0.0.1:9", SIGNING_KEY, EVENT_KEY = "test" } = process.env;
const silent = { debug() {}, info() {}, warn: console.warn, error() {} };
const calls = [];

const makeClient = (id, options = {}) =>
  new Inngest({
    id,
    appVersion: "1.2.3",
    baseUrl: SERVER_URL,
    eventKey: EVENT_KEY,
    signingKey: SIGNING_KEY,
    isDev: SIGNING_KEY === undefined,
    logger: silent,
    ...options,
  });

const endpoint = (id, servePath, options, functions, serving = {}) => {
  const client = makeClient(id, options);
  return [servePath, serve({ client, functions: functions(client, id), servePath, ...serving })];
};

const full = (client, id) => build(client, id, UPSTREAM_URL);
const routes = new Map([
  endpoint("js", "/api/inngest", {}, full),
  endpoint("js-plain", "/api/plain", { checkpointing: false }, full),
  endpoint("js-stream", "/api/stream", {}, (client) => buildStreamed(client, "js"), { streaming: true }),
  endpoint("js-plain-stream", "/api/plain-stream", { checkpointing: false }, (client) => buildStreamed(client, "js-plain"), { streaming: true }),
  endpoint("js-buffered", "/api/buffered", { checkpointing: { bufferedSteps: 2, maxRuntime: "1s" } }, buildBuffered),
]);

const read = async (request) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const record = (request, url, body, response) => {
  const { ctx, steps, version, use_api, event } = JSON.parse(body.toString("utf8"));
  const call = {
    run: ctx.run_id,
    function: url.searchParams.get("fnId"),
    step: url.searchParams.get("stepId"),
    ctx,
    steps: Object.keys(steps).sort(),
    version,
    use_api,
    event_user: event.user,
    headers: request.headers,
    status: null,
  };
  calls.push(call);
  response.on("finish", () => {
    call.status = response.statusCode;
  });
};

const report = (run) => {
  const pick = (items) => (run ? items.filter((item) => item.run === run) : items);
  return JSON.stringify({ calls: pick(calls), ran: pick(ran) });
};

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, `http://${request.headers.host}`);
  if (url.pathname === "/calls") return response.end(report(url.searchParams.get("run")));
  const handler = routes.get(url.pathname);
  if (!handler) return response.writeHead(404).end();
  const body = await read(request);
  if (request.method === "POST") record(request, url, body, response);
  const { method, headers, socket } = request;
  handler(Object.assign(Readable.from([body]), { method, url: request.url, headers, socket }), response);
});

server.listen(Number(PORT), "127.0.0.1");
