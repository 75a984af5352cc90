import { type AnyRouter, useRouter } from "@tanstack/react-router";
import type { MouseEvent } from "react";

import styles from "./Table.module.css";

export interface Target {
  to: string;
  search?: Record<string, string | undefined>;
}

/** The link that is a row of a table. It follows nothing of the router, as `Link` does: rows are made by the hundred. */
export function RowLink({ target, label }: { target: Target; label: string }) {
  const router: AnyRouter = useRouter();
  const { to, search = {} } = target;
  const follow = (event: MouseEvent<HTMLAnchorElement>): void => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    void router.navigate({ to, search });
  };
  return <a href={to + (router.options.stringifySearch?.(search) ?? "")} className={styles.link} aria-label={label} onClick={follow} />;
}
