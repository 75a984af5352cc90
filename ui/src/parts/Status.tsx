import styles from "./Status.module.css";

/** How a state looks. Several states of the server share one. */
export type Look = "completed" | "failed" | "running" | "queued" | "waiting" | "retrying" | "cancelled";

interface Props {
  look: Look;
  label: string;
  title?: string | undefined;
}

/** A state: a mark whose shape differs as well as its colour, and a word. */
export function Status({ look, label, title }: Props) {
  return (
    <span className={`${styles.status} ${styles[look]}`} title={title}>
      <Mark look={look} />
      <span className="cut">{label}</span>
    </span>
  );
}

const SHAPES: Record<Look, string> = {
  completed: "M2.5 6.5 5 9l4.5-5.5",
  failed: "M3 3l6 6M9 3 3 9",
  running: "M6 1.5a4.5 4.5 0 1 1-4.5 4.5",
  queued: "M2.5 6h7",
  waiting: "M6 3v3l2 1.5M6 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9",
  retrying: "M9.5 6A3.5 3.5 0 1 1 8 3.1M9.5 1.5v2.2H7.3",
  cancelled: "M3 9l6-6",
};

export function Mark({ look }: { look: Look }) {
  return (
    <svg className={`${styles.mark} ${styles[look]}`} viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
      <path d={SHAPES[look]} />
    </svg>
  );
}
