import { Suspense, lazy, useState } from "react";

import styles from "./Pick.module.css";

export interface PickProps {
  label: string;
  options: readonly (readonly [string, string])[];
  chosen: readonly string[];
  choose: (chosen: string[]) => void;
  /** One of them instead of any number. */
  single?: boolean;
}

const load = () => import("./PickMenu");
const PickMenu = lazy(load);

/** A filter: a button that says what is chosen, and a menu to choose from, which is loaded when it is wanted first. */
export function Pick(props: PickProps) {
  const [wanted, setWanted] = useState(false);
  const button = (
    <button
      type="button"
      aria-haspopup="menu"
      className={styles.trigger}
      data-set={isSet(props) || undefined}
      onPointerEnter={() => void load()}
      onFocus={() => void load()}
      onClick={() => setWanted(true)}
    >
      <PickLabel {...props} />
    </button>
  );
  return wanted ? (
    <Suspense fallback={button}>
      <PickMenu {...props} />
    </Suspense>
  ) : (
    button
  );
}

export function isSet({ chosen, single }: PickProps): boolean {
  return chosen.length > 0 && !single;
}

export function PickLabel({ label, options, chosen, single }: PickProps) {
  const names = options.filter(([value]) => chosen.includes(value)).map(([, name]) => name);
  const said = names.length > 2 ? `${names.length} chosen` : names.join(", ");
  return (
    <>
      {single ? null : <span className={styles.label}>{label}</span>}
      {said ? <span className="cut">{said}</span> : single ? label : null}
      <svg viewBox="0 0 10 6" width="9" height="6" aria-hidden="true">
        <path d="M1 1l4 4 4-4" fill="none" stroke="currentColor" strokeWidth="1.5" />
      </svg>
    </>
  );
}
