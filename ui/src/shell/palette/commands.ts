// What the palette offers for a text.

import type { FunctionRef } from "../../data/names";
import { PLACES } from "../navigation";
import { setTheme, theme } from "../theme";

export interface Command {
  id: string;
  label: string;
  kind: string;
  icon: string;
  to?: string;
  search?: Record<string, string>;
  act?: () => void;
}

const FUNCTION = "M6 2.5c-1.5 0-2 .8-2 2.2V6c0 1-.5 2-1.5 2C3.500 8 4 9 4 10v1.300c0 1.400.5 2.200 2 2.200M10 2.500c1.500 0 2 .8 2 2.200V6c0 1 .5 2 1.500 2-1 0-1.500 1-1.500 2v1.300c0 1.400-.5 2.200-2 2.200";
const SEARCH = "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM14 14l-3.5-3.5";
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;
const MOST_FUNCTIONS = 8;

/** Return the commands that fit a text, the likeliest first. */
export function commandsFor(text: string, functions: readonly FunctionRef[]): Command[] {
  const wanted = text.trim();
  const places = PLACES.filter((place) => fits(place.label, wanted)).map(
    (place): Command => ({ id: place.to, label: place.label, kind: `g ${place.key}`, icon: place.icon, to: place.to }),
  );
  const found = functions
    .filter((each) => fits(`${each.name} ${each.slug}`, wanted))
    .slice(0, MOST_FUNCTIONS)
    .map((each): Command => ({ id: each.slug, label: each.name, kind: each.appName, icon: FUNCTION, to: `/functions/${each.slug}` }));
  return [...ofId(wanted), ...places, ...found, ...themes(wanted), ...search(wanted)];
}

function ofId(text: string): Command[] {
  if (!ULID.test(text)) return [];
  const id = text.toUpperCase();
  return [
    { id: `run ${id}`, label: `Run ${id}`, kind: "Open", icon: SEARCH, to: `/runs/${id}` },
    { id: `event ${id}`, label: `Event ${id}`, kind: "Open", icon: SEARCH, to: `/events/${id}` },
  ];
}

function themes(text: string): Command[] {
  if (!text || !fits("Switch theme dark light", text)) return [];
  const next = document.documentElement.dataset["theme"] === "dark" ? "light" : "dark";
  const label = `Switch to the ${next} theme`;
  return [{ id: "theme", label, kind: theme(), icon: "M8 2a6 6 0 1 0 0 12Z", act: () => setTheme(next) }];
}

function search(text: string): Command[] {
  if (!text || ULID.test(text)) return [];
  return [
    { id: "search", label: `Search runs for “${text}”`, kind: "Runs", icon: SEARCH, to: "/runs", search: { q: text } },
    { id: "search events", label: `Search events for “${text}”`, kind: "Events", icon: SEARCH, to: "/events", search: { q: text } },
  ];
}

/** Whether all words of `wanted` are in `text`. */
export function fits(text: string, wanted: string): boolean {
  const lower = text.toLowerCase();
  return wanted
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
}
