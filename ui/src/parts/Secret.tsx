import { useState } from "react";

import { Button } from "./Button";
import { Copy } from "./Copy";
import styles from "./Secret.module.css";

interface Props {
  text: string;
  what: string;
}

/** A secret: hidden until it is wanted, and copied without being seen. */
export function Secret({ text, what }: Props) {
  const [seen, setSeen] = useState(false);
  return (
    <span className={styles.secret}>
      <code className={seen ? styles.seen : "faint"}>{seen ? text : `${"•".repeat(12)}${text.slice(-4)}`}</code>
      <Button small kind="quiet" aria-label={`${seen ? "Hide" : "Show"} ${what}`} onClick={() => setSeen(!seen)}>
        {seen ? "Hide" : "Show"}
      </Button>
      <Copy text={text} what={what} />
    </span>
  );
}
