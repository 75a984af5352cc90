import { useQuery } from "@tanstack/react-query";

import { type StepOutput, outputOf } from "../../data/trace";
import { Copy } from "../../parts/Copy";
import { Failure } from "../../parts/Failure";
import { Json } from "../../parts/Json";
import styles from "./Panel.module.css";

interface Props {
  outputID: string | undefined;
  /** What to say if there is nothing. */
  none: string;
  part?: "output" | "input";
}

/** The output of a step or a run, or its error. */
export function Output({ outputID, none, part = "output" }: Props) {
  const query = useQuery({
    queryKey: ["output", outputID],
    queryFn: ({ signal }) => outputOf(outputID as string, signal),
    enabled: outputID !== undefined,
    staleTime: 60_000,
  });
  if (outputID === undefined) return <p className="soft">{none}</p>;
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <p className="faint">Loading…</p>;
  if (part === "input") return query.data.input ? <Json text={query.data.input} label="Input" /> : <p className="soft">{none}</p>;
  if (query.data.error) return <ErrorView error={query.data.error} />;
  return query.data.data ? <Json text={query.data.data} label="Output" /> : <p className="soft">{none}</p>;
}

type StepError = NonNullable<StepOutput["error"]>;

/** An error: its name, its message in full, and where it was raised in the user's own code. */
export function ErrorView({ error }: { error: StepError }) {
  const frame = error.stack ? ownFrame(error.stack) : "";
  return (
    <section className={styles.error} aria-label="Error">
      <h3>{error.name ?? "Error"}</h3>
      <p className={styles.message}>{error.message}</p>
      {frame ? (
        <p className={styles.frame}>
          <span className="soft">raised at</span> <code>{frame}</code>
        </p>
      ) : null}
      {error.stack ? (
        <details open={!frame}>
          <summary>Stack</summary>
          <Copy text={error.stack} what="the stack" />
          <pre className={styles.stack} tabIndex={0}>
            {error.stack}
          </pre>
        </details>
      ) : null}
      {error.cause ? <Json text={JSON.stringify(error.cause)} label="Cause" /> : null}
    </section>
  );
}

const LIBRARY = /site-packages|node_modules|node:internal|dist-packages|\/lib\/python/;

/** The innermost frame of a stack that isn't a library's. */
function ownFrame(stack: string): string {
  const python = [...stack.matchAll(/File "([^"]+)", line (\d+), in (\S+)/g)].filter((match) => !LIBRARY.test(match[1] ?? ""));
  const last = python.at(-1);
  if (last) return `${last[1]?.split("/").slice(-2).join("/")}:${last[2]} in ${last[3]}`;
  const js = stack.split("\n").find((line) => /^\s+at /.test(line) && !LIBRARY.test(line));
  return js?.trim().replace(/^at /, "") ?? "";
}
