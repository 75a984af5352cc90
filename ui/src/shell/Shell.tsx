import { Link, Outlet } from "@tanstack/react-router";
import { Suspense, lazy, useState } from "react";

import { server } from "../data/server";
import { Icon } from "../parts/Icon";
import { Account } from "./Account";
import { Connection } from "./Connection";
import { Settings } from "./Settings";
import styles from "./Shell.module.css";
import { PLACES } from "./navigation";
import { useShortcuts } from "./shortcuts";

const Palette = lazy(() => import("./palette/Palette"));
const Help = lazy(() => import("./Help"));

const GROUPS = ["Watch", "Build", "Set up"] as const;
const IS_MAC = navigator.platform.startsWith("Mac");

/** The frame of all screens: side bar, search, connection, settings. */
export function Shell() {
  const [open, setOpen] = useState<"palette" | "help" | "menu" | null>(null);
  useShortcuts({ palette: () => setOpen("palette"), help: () => setOpen("help"), close: () => setOpen(null) });
  const close = () => setOpen(null);
  return (
    <div className={styles.frame}>
      <a className={styles.skip} href="#main">
        Skip to the content
      </a>
      <header className={styles.bar}>
        <button
          type="button"
          className={styles.menu}
          aria-expanded={open === "menu"}
          aria-label="Navigation"
          onClick={() => setOpen(open === "menu" ? null : "menu")}
        >
          <Icon path="M2 4h12M2 8h12M2 12h12" />
        </button>
        <Link to="/runs" className={styles.brand}>
          <Logo />
          Holdfast
        </Link>
        {server.kind === "dev" ? <span className={styles.kind}>dev</span> : null}
        <button type="button" className={styles.search} onClick={() => setOpen("palette")}>
          <Icon path="M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM14 14l-3.5-3.5" size={14} />
          <span>Search or jump to…</span>
          <kbd>{IS_MAC ? "⌘" : "Ctrl "}K</kbd>
        </button>
        <span className={styles.right}>
          <Connection />
          <Settings />
          <Account />
        </span>
      </header>
      <nav className={styles.side} data-open={open === "menu" || undefined} aria-label="Screens" onClick={close}>
        {GROUPS.map((group) => (
          <Group key={group} name={group} />
        ))}
        <span className={styles.version}>{server.version}</span>
      </nav>
      <main id="main" className={styles.main} tabIndex={-1}>
        <Suspense fallback={null}>
          <Outlet />
        </Suspense>
      </main>
      <Suspense fallback={null}>
        {open === "palette" ? <Palette close={close} /> : null}
        {open === "help" ? <Help close={close} /> : null}
      </Suspense>
    </div>
  );
}

function Group({ name }: { name: string }) {
  const places = PLACES.filter((place) => place.group === name);
  if (!places.length) return null;
  return (
    <section>
      <h2 className={styles.group}>{name}</h2>
      {places.map((place) => (
        <Link key={place.to} to={place.to} className={styles.place} activeProps={{ "data-active": true }}>
          <Icon path={place.icon} />
          {place.label}
        </Link>
      ))}
    </section>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--accent)" />
      <path d="M9 6v20M23 6v20M9 16h14" fill="none" stroke="var(--on-accent)" strokeWidth="4" strokeLinecap="round" />
    </svg>
  );
}
