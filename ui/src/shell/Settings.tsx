import { Suspense, lazy, useState } from "react";

import { Icon } from "../parts/Icon";
import styles from "./Settings.module.css";

const Menu = lazy(() => import("./SettingsMenu"));

const HALF = "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 2v12M10.500 3v10M13 5v6";

/** Theme and density. The menu is loaded when it is opened first. */
export function Settings() {
  const [wanted, setWanted] = useState(false);
  const button = (
    <button type="button" className={styles.button} aria-label="Appearance" onClick={() => setWanted(true)}>
      <Icon path={HALF} />
    </button>
  );
  return wanted ? (
    <Suspense fallback={button}>
      <Menu icon={<Icon path={HALF} />} />
    </Suspense>
  ) : (
    button
  );
}
