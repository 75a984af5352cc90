import { Suspense, lazy, useState } from "react";

import { server } from "../data/server";
import styles from "./Account.module.css";

const Menu = lazy(() => import("./AccountMenu"));

/** Who is logged in, with a menu that is loaded when it is opened first. Nothing where nobody logs in. */
export function Account() {
  const [wanted, setWanted] = useState(false);
  if (server.open) return null;
  const button = (
    <button type="button" className={styles.button} aria-haspopup="menu" aria-label={`Account of ${server.user}`} onClick={() => setWanted(true)}>
      <Initial />
    </button>
  );
  return wanted ? (
    <Suspense fallback={button}>
      <Menu />
    </Suspense>
  ) : (
    button
  );
}

export function Initial() {
  return (
    <span className={styles.initial} aria-hidden="true">
      {server.user.charAt(0).toUpperCase() || "?"}
    </span>
  );
}
