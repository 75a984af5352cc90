// The screens that the side bar and the command palette lead to.

export interface Place {
  to: string;
  label: string;
  icon: string; // path data of a 16 px icon, drawn as lines
  /** Two keys that lead there: g, then this. */
  key: string;
  group: "Watch" | "Build" | "Set up";
}

export const PLACES: readonly Place[] = [
  { to: "/runs", label: "Runs", icon: "M2 4h8M2 8h12M2 12h6", key: "r", group: "Watch" },
  { to: "/events", label: "Events", icon: "M8.500 1.500 3 9h4l-.5 5.500L13 7H8.500Z", key: "e", group: "Watch" },
  { to: "/performance", label: "Metrics", icon: "M2 13.5h12M3.500 11V8M6.500 11V4.500M9.500 11V6.500M12.500 11V2.500", key: "m", group: "Watch" },
  { to: "/sessions", label: "Sessions", icon: "M2.500 3.500h11v7h-6l-3 2.500v-2.500h-2Z", key: "n", group: "Watch" },
  { to: "/experiments", label: "Experiments", icon: "M6 2h4M6.500 2v4L3 12.500c-.4.8.1 1.500 1 1.500h8c.9 0 1.400-.7 1-1.500L9.500 6V2M5 10h6", key: "v", group: "Watch" },
  {
    to: "/functions",
    label: "Functions",
    icon: "M6 2.500c-1.500 0-2 .8-2 2.200V6c0 1-.5 2-1.500 2 1 0 1.500 1 1.500 2v1.300c0 1.400.5 2.200 2 2.200M10 2.500c1.500 0 2 .8 2 2.200V6c0 1 .5 2 1.500 2-1 0-1.500 1-1.500 2v1.300c0 1.400-.5 2.200-2 2.200",
    key: "f",
    group: "Build",
  },
  { to: "/apps", label: "Apps", icon: "M2.500 2.500h4v4h-4ZM9.500 2.500h4v4h-4ZM2.500 9.500h4v4h-4ZM9.500 9.500h4v4h-4Z", key: "a", group: "Build" },
  { to: "/sources", label: "Webhooks", icon: "M8 8V2.500M8 8l4.500 3M8 8l-4.500 3M8 4a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3ZM13 13a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3ZM3 13a1.500 1.500 0 1 0 0-3 1.500 1.500 0 0 0 0 3Z", key: "w", group: "Set up" },
  { to: "/settings", label: "Settings", icon: "M2 4.5h7M13 4.5h1M2 11.5h1M7 11.5h7M11 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM5 13.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z", key: "s", group: "Set up" },
];
