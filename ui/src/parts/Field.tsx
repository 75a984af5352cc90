import type { InputHTMLAttributes, ReactNode, SelectHTMLAttributes } from "react";

import styles from "./Field.module.css";

interface Props extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  hint?: ReactNode;
}

/** A labelled field of one line. */
export function Field({ label, hint, ...rest }: Props) {
  return (
    <label className={styles.field}>
      {label}
      <input className={styles.input} {...rest} />
      {hint ? <span className={styles.hint}>{hint}</span> : null}
    </label>
  );
}

interface ChoiceProps extends SelectHTMLAttributes<HTMLSelectElement> {
  label: string;
  hint?: ReactNode;
  options: readonly (readonly [string, string])[];
}

/** A labelled choice of one. */
export function ChoiceField({ label, hint, options, ...rest }: ChoiceProps) {
  return (
    <label className={styles.field}>
      {label}
      <select className={styles.input} {...rest}>
        {options.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
      {hint ? <span className={styles.hint}>{hint}</span> : null}
    </label>
  );
}
