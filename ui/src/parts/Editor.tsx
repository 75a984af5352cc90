import { Suspense, lazy, useRef } from "react";

import styles from "./Editor.module.css";

export interface EditorProps {
  label: string;
  text: string;
  change: (text: string) => void;
  placeholder?: string;
  /** Rows of text that are seen at once. */
  rows?: number;
}

const CodeEditor = lazy(() => import("./CodeEditor"));

/** An editor for JSON. It is loaded when it is shown first; until then, a plain field takes what is typed, and then hands on the caret. */
export function Editor(props: EditorProps) {
  const typing = useRef<HTMLTextAreaElement | null>(null);
  const plain = (
    <textarea
      className={styles.plain}
      aria-label={props.label}
      rows={props.rows ?? 12}
      value={props.text}
      placeholder={props.placeholder}
      onFocus={(event) => (typing.current = event.currentTarget)}
      onChange={(event) => props.change(event.currentTarget.value)}
    />
  );
  return (
    <Suspense fallback={plain}>
      <CodeEditor {...props} before={typing} />
    </Suspense>
  );
}
