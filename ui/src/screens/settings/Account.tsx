import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { changeOwnPassword } from "../../data/access";
import { server } from "../../data/server";
import { Button } from "../../parts/Button";
import { Field } from "../../parts/Field";
import styles from "./Settings.module.css";
import { ROLES } from "./roles";

/** Who is logged in, what they may do, and their password. */
export function Account() {
  const role = ROLES.find(([id]) => id === server.role)?.[1] ?? server.role;
  return (
    <section className={styles.section}>
      <h2>Your account</h2>
      <dl className={styles.self}>
        <dt>Name</dt>
        <dd>{server.user || "Nobody logs in here"}</dd>
        <dt>Role</dt>
        <dd>{role}</dd>
      </dl>
      {server.user ? <Password /> : null}
    </section>
  );
}

function Password() {
  const [old, setOld] = useState("");
  const [changed, setChanged] = useState("");
  const change = useMutation({
    mutationFn: () => changeOwnPassword(old, changed),
    onSuccess: () => {
      setOld("");
      setChanged("");
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (old && changed) change.mutate();
  };
  return (
    <form className={styles.password} onSubmit={submit}>
      <h2>Change your password</h2>
      <input type="text" name="username" autoComplete="username" value={server.user} readOnly hidden />
      <Field label="Old password" type="password" autoComplete="current-password" value={old} onChange={(event) => setOld(event.currentTarget.value)} />
      <Field
        label="New password"
        type="password"
        autoComplete="new-password"
        hint="Other sessions of yours end."
        value={changed}
        onChange={(event) => setChanged(event.currentTarget.value)}
      />
      <p role="status" className={change.error ? styles.bad : "soft"}>
        {change.error ? change.error.message : change.isSuccess ? "Your password is changed." : ""}
      </p>
      <div>
        <Button type="submit" kind="primary" blocked={!(old && changed) && "Fill in both passwords"}>
          Change it
        </Button>
      </div>
    </form>
  );
}
