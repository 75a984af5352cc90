import { useState } from "react";

import { server } from "../../data/server";
import { Copy } from "../../parts/Copy";
import { Tabs } from "../../parts/Tabs";
import { AddApp } from "./Apps";
import styles from "./Apps.module.css";

const PYTHON = `# pip install inngest fastapi uvicorn
import fastapi, inngest, inngest.fast_api

client = inngest.Inngest(app_id="my-app", is_production=False)
app = fastapi.FastAPI()

@client.create_function(fn_id="hello", trigger=inngest.TriggerEvent(event="demo/hello"))
async def hello(ctx: inngest.Context) -> str:
    name = await ctx.step.run("find name", lambda: "world")
    return f"hello, {name}"

inngest.fast_api.serve(app, client, [hello])
# INNGEST_DEV=${location.origin} uvicorn main:app --port 8000`;

const TYPESCRIPT = `// npm install inngest express
import express from "express";
import { Inngest } from "inngest";
import { serve } from "inngest/express";

const client = new Inngest({ id: "my-app", isDev: true, baseUrl: "${location.origin}" });

const hello = client.createFunction({ id: "hello" }, { event: "demo/hello" }, async ({ step }) => {
  const name = await step.run("find name", () => "world");
  return \`hello, \${name}\`;
});

express().use(express.json()).use("/api/inngest", serve({ client, functions: [hello] })).listen(8000);`;

const CODE = { python: PYTHON, typescript: TYPESCRIPT };

/** What to do first. The page goes on by itself once an app has registered. */
export default function Onboarding() {
  const [language, setLanguage] = useState<string>("python");
  const code = CODE[language as keyof typeof CODE];
  return (
    <section className={styles.onboarding}>
      <h2>Connect your first app</h2>
      <ol>
        <li>
          <p>Write an app with one function. Any of your own does as well.</p>
          <div className={styles.code}>
            <Tabs label="Language" tabs={[["python", "Python"], ["typescript", "TypeScript"]]} chosen={language} choose={setLanguage}>
              <pre tabIndex={0}>{code}</pre>
              <Copy text={code} what="the code" />
            </Tabs>
          </div>
        </li>
        <li>
          <p>
            Start it.{" "}
            {server.kind === "dev"
              ? "This dev server looks for apps on the usual ports of this machine, so it may appear here by itself. Else give its address:"
              : "Have it register by a PUT request to its own address, or give the address here:"}
          </p>
          <AddApp />
        </li>
        <li>
          <p>It appears here as soon as it has registered. Then send the event demo/hello, and watch its run.</p>
          <p className={styles.waiting} role="status">
            Waiting for an app…
          </p>
        </li>
      </ol>
    </section>
  );
}
