import type { ButtonHTMLAttributes, ReactNode } from "react";

import { type Role, may, server } from "../data/server";
import styles from "./Button.module.css";

interface Props extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "disabled"> {
  kind?: "plain" | "primary" | "danger" | "quiet";
  small?: boolean;
  /** The role that the action needs: who has less sees why the button can't be pressed. */
  needs?: Role;
  /** Why it can't be pressed now. It stays focusable, so that the reason can be read. */
  blocked?: string | false | undefined;
  children: ReactNode;
}

/** A button. One that may not be pressed stays visible and says why. */
export function Button({ kind = "plain", small, needs, blocked, onClick, className, children, ...rest }: Props) {
  const why = needs && !may(needs) ? `This needs the role ${needs}; you are ${server.role}` : blocked;
  const names = [styles.button, styles[kind], small && styles.small, className].filter(Boolean).join(" ");
  return (
    <button
      type="button"
      {...rest}
      className={names}
      aria-disabled={why ? true : undefined}
      title={why || rest.title}
      onClick={(event) => (why ? event.preventDefault() : onClick?.(event))}
    >
      {children}
    </button>
  );
}
