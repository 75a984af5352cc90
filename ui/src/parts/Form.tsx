import { useMutation } from "@tanstack/react-query";
import type { FormEvent, ReactNode } from "react";

import type { Role } from "../data/server";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import styles from "./Form.module.css";

interface Props {
  title: string;
  /** What the button says: a verb. */
  action: string;
  kind?: "primary" | "danger";
  needs?: Role;
  /** Why the form can't be sent as it is. */
  blocked?: string | false | undefined;
  submit: () => Promise<unknown>;
  close: () => void;
  /** Instead of closing, once it went well. */
  done?: () => void;
  children: ReactNode;
}

/** A dialog that asks, acts, and says what went wrong. Enter sends it, Escape leaves it. */
export function Form({ title, action, kind = "primary", needs, blocked, submit, close, done, children }: Props) {
  const act = useMutation({ mutationFn: submit, onSuccess: done ?? close });
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (!blocked && !act.isPending) act.mutate();
  };
  return (
    <Dialog title={title} close={close}>
      <form className={styles.form} onSubmit={send}>
        {children}
        {act.error ? (
          <p role="alert" className={styles.problem}>
            {act.error.message}
          </p>
        ) : null}
        <div className={styles.actions}>
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" kind={kind} needs={needs} blocked={blocked}>
            {act.isPending ? "One moment…" : action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
