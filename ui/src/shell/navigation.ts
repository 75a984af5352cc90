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
];
