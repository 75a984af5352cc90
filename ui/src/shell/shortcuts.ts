// Keys that work everywhere. Those of one screen are its own: see parts/rows.ts.

import { useRouter } from "@tanstack/react-router";
import { useEffect, useRef } from "react";

import { PLACES } from "./navigation";

interface Actions {
  palette: () => void;
  help: () => void;
  close: () => void;
}

const SEQUENCE_MS = 1_000;

/** Ctrl/Cmd-K opens the palette, ? the list of keys, g and a letter a screen, / the screen's search field. */
export function useShortcuts(actions: Actions): void {
  const latest = useRef(actions);
  latest.current = actions;
  const router = useRouter();
  useEffect(() => {
    let wentAt = 0;
    const listen = (event: KeyboardEvent): void => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        latest.current.palette();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const place = PLACES.find((known) => known.key === event.key);
      if (place && event.timeStamp - wentAt < SEQUENCE_MS) void router.navigate({ to: place.to, search: {} });
      else if (event.key === "g") wentAt = event.timeStamp;
      else if (event.key === "?") latest.current.help();
      else if (event.key === "/") focusSearch(event);
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, [router]);
}

/** Whether keys are text now, or belong to something that lies above the page. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target instanceof HTMLElement ? event.target : null;
  if (!target) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || Boolean(target.closest("[role=dialog],[role=menu],.cm-editor"));
}

function focusSearch(event: KeyboardEvent): void {
  const field = document.querySelector<HTMLInputElement>("main input[type=search]");
  if (!field) return;
  event.preventDefault();
  field.focus();
  field.select();
}
