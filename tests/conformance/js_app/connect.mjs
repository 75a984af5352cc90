// A worker of the official TypeScript SDK. The environment says which: APP_ID, INSTANCE, SERVER_URL, SIGNING_KEY, LIMIT.

import { setTimeout as sleep } from "node:timers/promises";
import { Inngest, NonRetriableError, RetryAfterError } from "inngest";
import { connect } from "inngest/connect";

const { APP_ID, INSTANCE, SERVER_URL, SIGNING_KEY, EVENT_KEY = "test", LIMIT } = process.env;
const client = new Inngest({
  id: APP_ID,
  appVersion: "1.2.3",
  baseUrl: SERVER_URL,
  eventKey: EVENT_KEY,
  signingKey: SIGNING_KEY,
  isDev: SIGNING_KEY === undefined,
});

const made = (id, retries, body) =>
  client.createFunction({ id, retries, triggers: [{ event: `${APP_ID}/${id}` }] }, body);

const functions = [
  made("two-steps", 0, async ({ step }) => {
    const first = await step.run("first", () => 1);
    await step.sleep("nap", 50);
    return { first, second: await step.run("second", () => "é".repeat(3)) };
  }),
  made("parallel", 0, ({ step }) => Promise.all([step.run("a", () => 1), step.run("b", () => 2)])),
  made("retried", 1, async ({ attempt }) => {
    if (attempt === 0) throw new RetryAfterError("once more", "1s");
    return attempt;
  }),
  made("fails", 3, async () => {
    throw new NonRetriableError("never");
  }),
  made("large", 0, async ({ step }) => {
    const text = await step.run("text", () => "x".repeat(1_500_000));
    const more = await step.run("more", () => "y".repeat(1_500_000));
    const also = await step.run("also", () => "z".repeat(1_500_000));
    return text.length + more.length + also.length;
  }),
  made("slow", 0, async ({ event }) => {
    await sleep(event.data.seconds * 1_000);
    return INSTANCE;
  }),
];

const connection = await connect({
  apps: [{ client, functions }],
  instanceId: INSTANCE,
  maxWorkerConcurrency: LIMIT ? Number(LIMIT) : undefined,
});
await connection.closed;
process.exit(0);
