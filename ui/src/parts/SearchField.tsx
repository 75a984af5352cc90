import { useState } from "react";

import styles from "./ListScreen.module.css";

interface Props {
  label: string;
  hint: string;
  value: string;
  submit: (text: string) => void;
  /** At each letter instead of at Enter: for what is searched on the page itself. */
  eager?: boolean;
}

/** A list's search field. `/` leads to it. */
export function SearchField({ label, hint, value, submit, eager }: Props) {
  const [text, setText] = useState(value);
  const [from, setFrom] = useState(value);
  if (from !== value) {
    setFrom(value);
    setText(value);
  }
  const type = (typed: string) => {
    setText(typed);
    if (eager || !typed) submit(typed);
  };
  return (
    <input
      type="search"
      className={styles.search}
      aria-label={label}
      aria-keyshortcuts="/"
      placeholder={hint}
      value={text}
      onChange={(event) => type(event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Enter" && submit(text.trim())}
    />
  );
}
