import type { ReactNode } from "react";

import styles from "./Tabs.module.css";

interface Props {
  label: string;
  tabs: readonly (readonly [string, ReactNode])[];
  chosen: string;
  choose: (tab: string) => void;
  children: ReactNode;
}

/** Tabs over a panel; the arrow keys move between them. */
export function Tabs({ label, tabs, chosen, choose, children }: Props) {
  const steer = (event: { key: string; currentTarget: EventTarget & HTMLElement }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tabs.findIndex(([id]) => id === chosen);
    const next = step && tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    choose(next[0]);
    event.currentTarget.querySelector<HTMLElement>(`[data-tab="${next[0]}"]`)?.focus();
  };
  return (
    <>
      <div role="tablist" aria-label={label} className={styles.tabs} onKeyDown={steer}>
        {tabs.map(([id, name]) => (
          <button
            key={id}
            type="button"
            role="tab"
            data-tab={id}
            aria-selected={id === chosen}
            tabIndex={id === chosen ? 0 : -1}
            className={styles.tab}
            onClick={() => choose(id)}
          >
            {name}
          </button>
        ))}
      </div>
      <div role="tabpanel" aria-label={chosen} className={styles.panel}>
        {children}
      </div>
    </>
  );
}
