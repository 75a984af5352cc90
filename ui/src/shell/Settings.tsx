import { Suspense, lazy, useState } from "react";

import { Icon } from "../parts/Icon";
import styles from "./Settings.module.css";

const Menu = lazy(() => import("./SettingsMenu"));

const SLIDERS = "M2 4.5h7M13 4.5h1M2 11.5h1M7 11.5h7M11 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM5 13.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z";

/** Theme, density, and who is logged in. The menu is loaded when it is opened first. */
export function Settings() {
  const [wanted, setWanted] = useState(false);
  const button = (
    <button type="button" className={styles.button} aria-label="Settings" onClick={() => setWanted(true)}>
      <Icon path={SLIDERS} />
    </button>
  );
  return wanted ? (
    <Suspense fallback={button}>
      <Menu icon={<Icon path={SLIDERS} />} />
    </Suspense>
  ) : (
    button
  );
}
