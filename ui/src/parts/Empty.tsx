import type { ReactNode } from "react";

import styles from "./Empty.module.css";

interface Props {
  title: string;
  detail?: ReactNode;
  children?: ReactNode;
}

/** What stands where there is nothing to show: what, why, and the next step. */
export function Empty({ title, detail, children }: Props) {
  return (
    <div className={styles.empty}>
      <h2>{title}</h2>
      {detail ? <p className="soft">{detail}</p> : null}
      {children ? <div className={styles.next}>{children}</div> : null}
    </div>
  );
}
