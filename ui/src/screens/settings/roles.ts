import type { Role } from "../../data/server";

/** The roles and what each may do. */
export const ROLES: readonly (readonly [Role, string])[] = [
  ["viewer", "Viewer: reads everything but secrets"],
  ["operator", "Operator: also sends, cancels, reruns, pauses"],
  ["admin", "Admin: also users, tokens, keys and apps"],
];
