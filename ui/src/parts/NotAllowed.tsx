import type { ReactNode } from "react";

import { type Role, server } from "../data/server";
import { Empty } from "./Empty";

interface Props {
  /** What the screen shows: "Users and keys". */
  what: string;
  needs: Role;
  children?: ReactNode;
}

/** What stands where a screen's data may not be seen by this role. */
export function NotAllowed({ what, needs, children }: Props) {
  return (
    <Empty title={`${what} are for the role ${needs}`} detail={`You are ${server.user || "logged in"} with the role ${server.role}. Ask an admin for another role, or log in as somebody else.`}>
      {children}
    </Empty>
  );
}
