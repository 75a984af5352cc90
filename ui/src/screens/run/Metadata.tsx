import type { SpanNode } from "../../data/trace";
import { count } from "../../logic/format";
import styles from "./Panel.module.css";

type Entry = SpanNode["metadata"][number];

const HIDDEN = new Set(["inngest.http.timing", "inngest.timing"]);

/** What was measured and reported: tokens of models first, then whatever user code said. */
export function Metadata({ entries }: { entries: readonly Entry[] }) {
  const shown = entries.filter((entry) => !HIDDEN.has(entry.kind));
  const timing = entries.filter((entry) => HIDDEN.has(entry.kind));
  return (
    <>
      {[...shown, ...timing].map((entry, index) => (
        <section key={index} className={styles.metadata}>
          <h3>{NAMES[entry.kind] ?? entry.kind}</h3>
          <dl className={styles.headers}>
            {Object.entries(entry.values).map(([name, value]) => (
              <div key={name}>
                <dt>{name.replaceAll("_", " ")}</dt>
                <dd className="number">{said(value)}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </>
  );
}

const NAMES: Record<string, string> = {
  "inngest.ai": "Model",
  "inngest.http": "Request",
  "inngest.http.timing": "Request, in ms",
  "inngest.timing": "Times, in ms",
  "inngest.experiment": "Experiment",
};

function said(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
