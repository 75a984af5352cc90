// Who this server is, and who looks at it: the page brings both along.

export type Role = "viewer" | "operator" | "admin";

export interface Server {
  kind: "dev" | "cloud";
  version: string;
  /** Nobody logs in: a dev server. */
  open: boolean;
  user: string;
  role: Role;
  /** What allows a style that a script makes. */
  nonce: string;
}

const RANKS: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

function read(): Server {
  const content = document.querySelector<HTMLMetaElement>('meta[name="holdfast"]')?.content;
  const nobody: Server = { kind: "dev", version: "", open: true, user: "", role: "admin", nonce: "" };
  return content ? { ...nobody, ...(JSON.parse(content) as Partial<Server>) } : nobody;
}

export const server = read();

/** Whether the person may do what this role may. */
export function may(role: Role): boolean {
  return RANKS[server.role] >= RANKS[role];
}
