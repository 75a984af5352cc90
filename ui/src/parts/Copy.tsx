import { type ReactNode, useState } from "react";

import styles from "./Copy.module.css";

interface Props {
  text: string | (() => string);
  /** What is copied, for the button's name. */
  what: string;
  children?: ReactNode;
}

/** Copies a text when it is clicked. */
export function Copy({ text, what, children }: Props) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(typeof text === "string" ? text : text());
    setDone(true);
    setTimeout(() => setDone(false), 1_200);
  };
  return (
    <button type="button" className={styles.copy} title={`Copy ${what}`} onClick={() => void copy()}>
      {children ?? "Copy"}
      <span className={styles.done} role="status">
        {done ? "Copied" : ""}
      </span>
    </button>
  );
}
