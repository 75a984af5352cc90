import { Link, useParams } from "@tanstack/react-router";
import type { ComponentType } from "react";

import { type Role, may, server } from "../../data/server";
import { NotAllowed } from "../../parts/NotAllowed";
import { useTitle } from "../../parts/title";
import { Account } from "./Account";
import { Audit } from "./Audit";
import { Keys } from "./Keys";
import styles from "./Settings.module.css";
import { Tokens } from "./Tokens";
import { Users } from "./Users";

interface Section {
  id: string;
  label: string;
  needs: Role;
  Content: ComponentType;
}

const SECTIONS: readonly Section[] = [
  { id: "account", label: "Account", needs: "viewer", Content: Account },
  { id: "users", label: "Users", needs: "admin", Content: Users },
  { id: "tokens", label: "API tokens", needs: "admin", Content: Tokens },
  { id: "keys", label: "Keys", needs: "admin", Content: Keys },
  { id: "audit", label: "Audit log", needs: "admin", Content: Audit },
];

/** Settings of the server: who may use it, and what they did. */
export function Settings() {
  const { section = may("admin") ? "users" : "account" } = useParams({ strict: false }) as { section?: string };
  const chosen = SECTIONS.find((each) => each.id === section) ?? SECTIONS[0];
  useTitle(chosen ? `${chosen.label}, settings` : "Settings");
  if (!chosen) return null;
  return (
    <div className={styles.screen}>
      <h1 className={styles.title}>Settings</h1>
      <nav className={styles.tabs} aria-label="Settings">
        {SECTIONS.map((each) => (
          <Link key={each.id} to="/settings/$section" params={{ section: each.id }} search={{}} className={styles.tab} aria-current={each === chosen ? "page" : undefined}>
            {each.label}
          </Link>
        ))}
      </nav>
      <div className={styles.content}>
        {server.open && chosen.id !== "audit" ? (
          <p className={styles.note}>
            This is <code>holdfast dev</code>: nobody logs in, and no key is checked. What you set up here counts once the server runs with <code>holdfast start</code>.
          </p>
        ) : null}
        {may(chosen.needs) ? <chosen.Content /> : <NotAllowed what={chosen.label} needs={chosen.needs} />}
      </div>
    </div>
  );
}
