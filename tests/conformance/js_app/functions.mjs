// What the JavaScript app serves: the same function ids, events and outputs as python_functions.py, plus what only this SDK has
// (signals, fetch, wrapped AI calls, buffered checkpoints). Every function listens to `<app id>/<function id>`.

import { NonRetriableError, RetryAfterError, cron, experiment, openai, referenceFunction } from "inngest";

export const ran = [];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const note = (runId, step, attempt, value = null) => {
  ran.push({ run: runId, step, attempt, at: Date.now() / 1000, value });
  return value;
};

const boom = (message, Kind = Error) => {
  throw new Kind(message);
};

export function build(client, app, upstream) {
  const functions = [];
  const byId = {};
  const event = (name) => `${app}/${name}`;

  const define = (id, options, handler) => {
    const wrapped = (ctx) => {
      const run = (name, value = null) => ctx.step.run(name, () => note(ctx.runId, name, ctx.attempt, value));
      const mark = (name, value) => note(ctx.runId, name, ctx.attempt, value);
      return handler({ ...ctx, run, mark });
    };
    byId[id] = client.createFunction({ id, triggers: [{ event: event(id) }], retries: 0, ...options }, wrapped);
    functions.push(byId[id]);
  };

  // Steps and values

  define("no-step", { retries: undefined }, ({ attempt, runId }) => ({ hello: "world", attempt, run: runId }));

  define("echo", {}, ({ event: received, events, mark }) => {
    mark("echo", received.data);
    const { id, name, data, ts } = received;
    return { id, name, data, ts, count: events.length };
  });

  define("two-steps", {}, async ({ run }) => {
    const a = await run("first", 1);
    return { a, b: await run("second", { sum: a + 1 }) };
  });

  define("experiment", {}, async ({ event: received, group, run }) => {
    const chosen = await group.experiment("model", {
      variants: { small: () => run("small", 1), large: () => run("large", 2) },
      select: received.data.variant ? experiment.fixed(received.data.variant) : experiment.weighted({ small: 1, large: 0 }),
    });
    return { variant: chosen.variant, result: chosen.result };
  });

  define("return-null", {}, ({ mark }) => {
    mark("return-null");
    return null;
  });

  define("exact-numbers", {}, async ({ event: received, run }) => {
    await run("row", { price: 1.5 });
    return run("shown", [String(received.data.id)]);
  });

  define("values", {}, async ({ run }) => {
    const samples = {
      null: null,
      "ünïcødé ✓": '日本語 𝄞 <>&\u2028 "quoted"',
      numbers: [0, -1, 1.5, 1e21, 9007199254740991, true, false],
      empty: {},
      wrapped: { data: { inner: 1 } },
      list: [[], [{}], ""],
    };
    const results = [];
    for (const [name, value] of Object.entries(samples)) results.push(await run(name, value));
    return results;
  });

  define("same-id", {}, async ({ run }) => [await run("again", 0), await run("again", 1), await run("again", 2)]);

  define("odd id/✓ & co", {}, async ({ run }) => [await run("a b/c?d=é&f", 0), await run("🚀", 1), await run("x".repeat(300), 2)]);

  define("limited", {}, async ({ run }) => {
    const results = [];
    for (let n = 0; n < 3; n++) results.push(await run(`s${n}`, "x".repeat(1000)));
    return results;
  });

  define("large-state", {}, async ({ run, step }) => {
    const a = await step.run("a", () => "a".repeat(2_200_000));
    const b = await step.run("b", () => "b".repeat(2_200_000));
    await step.sleep("nap", "1s"); // ends the checkpointed call, so that the next one must fetch the state
    return run("size", a.length + b.length);
  });

  // Parallel

  define("parallel", {}, async ({ run }) => {
    const results = await Promise.all([0, 1, 2].map((n) => run(`p${n}`, n)));
    return run("join", results[0] + results[1] + results[2]);
  });

  define("parallel-one-fails", { retries: 1 }, ({ run, step, mark }) => {
    const bad = step
      .run("bad", () => {
        mark("bad");
        boom("one of three");
      })
      .catch((error) => `caught ${error.message}`);
    return Promise.all([run("good", 1), bad, step.sleep("nap", "1s").then(() => null)]);
  });

  define("parallel-race", {}, async ({ run, step, mark, group }) => {
    const slow = async () => {
      await pause(400);
      return mark("p1", 1);
    };
    const winner = await group.parallel({ mode: "race" }, () => Promise.race([run("p0", 0), step.run("p1", slow)]));
    return run("join", winner);
  });

  define("parallel-mixed", {}, async ({ run, step }) => {
    const [answer, sent, , child, plain] = await Promise.all([
      step.waitForEvent("wait", { event: event("mixed-answer"), timeout: "5s" }),
      step.sendEvent("send", { name: event("mixed-answer"), data: { n: 7 } }),
      step.sleep("nap", "1s"),
      step.invoke("call", { function: byId["child-ok"], data: { n: 4 } }),
      run("plain", "p"),
    ]);
    return { answer: answer?.data.n ?? null, sent: sent.ids.length, child, plain };
  });

  define("parallel-chains", {}, async ({ run }) => {
    const chain = async (name, length) => {
      const results = [];
      for (let n = 0; n < length; n++) results.push(await run(`${name}.${n}`, `${name}${n}`));
      return results;
    };
    const groups = await Promise.all([chain("a", 2), chain("b", 3), chain("c", 1)]);
    return [groups, await run("after", "end")];
  });

  // Errors and retries

  define("step-retry", { retries: 3 }, async ({ step, attempt, mark }) => {
    const flaky = await step.run("flaky", () => {
      mark("flaky");
      return attempt < 2 ? boom(`attempt ${attempt}`) : "third time lucky";
    });
    return { flaky, after: await step.run("after", () => attempt) };
  });

  const alwaysBad = (step, mark) =>
    step.run("bad", () => {
      mark("bad");
      boom("always");
    });

  define("step-fails", { retries: 1 }, async ({ run, step, mark }) => {
    await run("ok", 1);
    return alwaysBad(step, mark);
  });

  define("step-fails-caught", { retries: 1 }, ({ step, mark }) => alwaysBad(step, mark).catch((error) => `caught ${error.message}`));

  define("fn-retry", { retries: 2 }, ({ attempt, mark }) => {
    mark("body");
    return attempt === 0 ? boom("first attempt") : { attempt };
  });

  const onFailure = ({ event: received, step, runId, attempt, error }) => {
    const { run_id: failed_run, function_id, event: origin } = received.data;
    note(runId, "handler", attempt, { failed_run, function: function_id, origin: origin.data });
    return step.run("tidy", () => note(runId, "tidy", attempt, error.message));
  };

  define("fails-with-handler", { retries: 0, onFailure }, async ({ run }) => {
    await run("ok", 1);
    boom("function failed");
  });

  define("non-retriable", { retries: 3 }, ({ mark }) => {
    mark("body");
    boom("not again", NonRetriableError);
  });

  define("non-retriable-in-step", { retries: 3 }, ({ step, mark }) =>
    step.run("fatal", () => {
      mark("fatal");
      boom("not again", NonRetriableError);
    }),
  );

  const busy = (mark, attempt, name) => {
    mark(name);
    if (attempt === 0) throw new RetryAfterError("busy", "3s");
    return "done";
  };

  define("retry-after", { retries: 1 }, ({ mark, attempt }) => busy(mark, attempt, "body"));

  define("retry-after-in-step", { retries: 1 }, ({ step, mark, attempt }) => step.run("busy", () => busy(mark, attempt, "busy")));

  // Sleeps and waits

  define("sleep", {}, async ({ run, step, event: received }) => {
    await run("before");
    await step.sleep("nap", received.data.ms ?? 1000);
    await run("after");
    return "awake";
  });

  define("sleep-until", {}, async ({ step, event: received }) => {
    await step.sleepUntil("nap", new Date(received.data.until));
    return "awake";
  });

  define("wait", {}, async ({ step }) => {
    const answer = await step.waitForEvent("answer", { event: event("answer"), if: "event.data.id == async.data.id", timeout: "30s" });
    return answer && { name: answer.name, data: answer.data };
  });

  define("wait-timeout", {}, async ({ step }) => (await step.waitForEvent("answer", { event: event("never"), timeout: "1s" })) === null);

  define("wait-bad-if", { retries: 2 }, ({ step }) =>
    step.waitForEvent("answer", { event: event("answer"), if: "event.data.id === async.data.id", timeout: "1s" }),
  );

  // Invocation and events

  define("child-ok", {}, ({ run, event: received }) => run("double", received.data.n * 2));
  define("child-null", {}, () => null);
  define("child-fails", {}, () => boom("child failed"));

  define("child-slow", {}, async ({ step }) => {
    await step.sleep("nap", "2s");
    return "late";
  });

  const target = (id) => byId[id] ?? referenceFunction({ appId: app, functionId: id });
  const invoke = (step, id, options = {}) => step.invoke("call", { function: target(id), ...options });

  define("invoke-ok", {}, async ({ step }) => ({ double: await invoke(step, "child-ok", { data: { n: 21 } }) }));
  define("invoke-null", {}, async ({ step }) => [await invoke(step, "child-null")]);
  define("invoke-child-fails", {}, ({ step }) => invoke(step, "child-fails"));
  define("invoke-child-caught", {}, ({ step }) => invoke(step, "child-fails").catch((error) => `caught ${error.message}`));
  define("invoke-timeout", {}, ({ step }) => invoke(step, "child-slow", { timeout: "1s" }));
  define("invoke-unknown", {}, ({ step }) => invoke(step, "no-such-function"));

  define("send-event", {}, ({ step, runId }) =>
    step.sendEvent(
      "send",
      [1, 2].map((n) => ({ name: event("received"), data: { n, from: runId } })),
    ),
  );

  define("receiver", { triggers: [{ event: event("received") }] }, ({ event: received, mark }) => mark("receiver", received.data));

  const filters = [{ event: event("filtered"), if: "event.data.n > 1" }, { event: event("wild/*") }];
  define("filtered", { triggers: filters }, ({ event: received }) => ({ name: received.name, n: received.data.n ?? null }));

  define("cron", { triggers: [cron("* * * * *")] }, ({ event: { name, id, data }, mark }) => mark("cron", { name, id, data }));

  // Cancellation

  define("cancellable", { cancelOn: [{ event: event("cancel"), if: "event.data.id == async.data.id" }] }, async ({ run, step }) => {
    await run("before");
    await step.sleep("nap", "1h");
    return run("after");
  });

  define("slow-step", {}, async ({ run, step, mark }) => {
    const slow = async () => {
      mark("slow");
      await pause(600);
      mark("slow done");
      return "slow";
    };
    return [await step.run("slow", slow), await run("next", 1)];
  });

  // Flow control

  const key = "event.data.key";
  const number = ({ event: received }) => received.data.n;
  const nap = async (ctx) => {
    await ctx.step.sleep("nap", "1s");
    return number(ctx);
  };

  define("batch", { batchEvents: { maxSize: 2, timeout: "2s" } }, ({ events }) => events.map((item) => item.data.n));
  define("debounce", { debounce: { period: "1s", key } }, number);
  define("rate-limit", { rateLimit: { limit: 1, period: "60s", key } }, number);
  define("idempotency", { idempotency: key }, number);
  define("singleton-skip", { singleton: { mode: "skip", key } }, nap);
  define("singleton-cancel", { singleton: { mode: "cancel", key } }, nap);

  define("throttle", { throttle: { limit: 1, period: "1s", key } }, (ctx) => {
    ctx.mark("body");
    return number(ctx);
  });

  define("concurrency", { concurrency: [{ limit: 1, key }] }, async (ctx) => {
    await ctx.step.run("exclusive", async () => {
      ctx.mark("enter", number(ctx));
      await pause(200);
      ctx.mark("leave", number(ctx));
    });
    return number(ctx);
  });

  define("priority", { priority: { run: "event.data.p" }, concurrency: [{ limit: 1 }] }, async (ctx) => {
    ctx.mark("body", number(ctx));
    await pause(300);
    return null;
  });

  define("timeout-finish", { timeouts: { finish: "1s" } }, async ({ run, step }) => {
    await run("before");
    await step.sleep("nap", "1h");
  });

  // Gateways

  const ask = (step, baseUrl) =>
    step.ai.infer("ask", {
      model: openai({ model: "gpt-test", apiKey: "sk-test", baseUrl }),
      body: { messages: [{ role: "user", content: "hi" }] },
    });

  define("ai-infer", { retries: 1 }, ({ step }) => ask(step, `${upstream}/v1/`));
  define("ai-infer-fails", { retries: 1 }, ({ step }) => ask(step, `${upstream}/broken/`).catch(({ name, message }) => ({ name, message })));

  defineJavaScriptOnly(define, event, upstream);
  return functions;
}

function defineJavaScriptOnly(define, event, upstream) {
  const waitForSignal = (onConflict) => ({ step, event: received }) =>
    step.waitForSignal("ask", { signal: received.data.signal, timeout: received.data.timeout ?? "30s", onConflict });

  define("signal", {}, waitForSignal("fail"));
  define("signal-replace", {}, waitForSignal("replace"));

  define("send-signal", {}, ({ step, event: received }) =>
    step.sendSignal("tell", { signal: received.data.signal, data: { n: 1 } }).then((answer) => answer ?? null),
  );

  define("ai-wrap", {}, ({ step }) => step.ai.wrap("wrapped", async (n) => ({ twice: n * 2 }), 4));

  define("fetch", {}, async ({ step }) => {
    const echo = await step.fetch(`${upstream}/echo?x=1`, { method: "POST", body: '{"a":1}', headers: { "x-mine": "1" } });
    const missing = await step.fetch(`${upstream}/missing`);
    return { status: echo.status, body: await echo.json(), missing: missing.status };
  });

  define("fetch-fails", { retries: 1 }, ({ step }) =>
    step.fetch("http://127.0.0.1:1/nothing").then(
      (response) => response.status,
      ({ name, message }) => ({ name, message }),
    ),
  );

  define("return-nothing", {}, () => undefined);
}

export function buildStreamed(client, app) {
  return [
    client.createFunction({ id: "streamed", triggers: [{ event: `${app}/streamed` }], retries: 1 }, async ({ step, attempt }) => {
      const first = await step.run("slow", () => 1);
      return attempt === 0 ? boom("streamed failure") : first;
    }),
  ];
}

export function buildBuffered(client, app) {
  const loop = (count, ms) => async ({ step, runId, attempt }) => {
    const results = [];
    for (let n = 0; n < count; n++) {
      const body = async () => {
        await pause(ms);
        return note(runId, `s${n}`, attempt, n);
      };
      results.push(await step.run(`s${n}`, body));
    }
    return results;
  };
  return [
    client.createFunction({ id: "buffered", triggers: [{ event: `${app}/buffered` }], retries: 0 }, loop(5, 0)),
    client.createFunction({ id: "max-runtime", triggers: [{ event: `${app}/max-runtime` }], retries: 0 }, loop(4, 400)),
  ];
}
