import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type User, addUser, changeUser, removeUser, usersOf } from "../../data/access";
import { queries } from "../../data/queries";
import { type Role, server } from "../../data/server";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { ChoiceField, Field } from "../../parts/Field";
import { Form } from "../../parts/Form";
import { type ShortColumn, ShortTable } from "../../parts/ShortTable";
import { Moment } from "../../parts/Time";
import styles from "./Settings.module.css";
import { ROLES } from "./roles";

const KEY = ["access", "users"];
const again = () => queries.invalidateQueries({ queryKey: ["access"] });

type Asked = { what: "add" } | { what: "role" | "password" | "remove"; user: User };

/** The people who may log in. */
export function Users() {
  const users = useQuery({ queryKey: KEY, queryFn: ({ signal }) => usersOf(signal) });
  const [asked, setAsked] = useState<Asked>();
  const close = () => setAsked(undefined);
  if (users.isError) return <Failure error={users.error} retry={() => void users.refetch()} />;
  return (
    <section className={styles.section} aria-busy={users.isPending}>
      <div className={styles.head}>
        <h2>Users</h2>
        <Button kind="primary" needs="admin" onClick={() => setAsked({ what: "add" })}>
          Add a user
        </Button>
      </div>
      {users.data?.length ? (
        <ShortTable label="Users" rows={users.data} columns={columns(setAsked)} keyOf={(user) => user.id} />
      ) : users.isSuccess ? (
        <Empty title="There are no users" detail="Add the first one: an admin, so that somebody can add the others." />
      ) : null}
      {asked?.what === "add" ? <Add close={close} /> : null}
      {asked?.what === "role" ? <ChangeRole user={asked.user} close={close} /> : null}
      {asked?.what === "password" ? <NewPassword user={asked.user} close={close} /> : null}
      {asked?.what === "remove" ? <Remove user={asked.user} close={close} /> : null}
    </section>
  );
}

function columns(ask: (asked: Asked) => void): ShortColumn<User>[] {
  return [
    { header: "Name", cell: (user) => <Name user={user} /> },
    { header: "Role", cell: (user) => user.role },
    { header: "Logs in with", cell: (user) => (user.kind === "oidc" ? "single sign-on" : "a password") },
    { header: "Last login", cell: (user) => (user.last_login_at ? <Moment at={user.last_login_at} as="relative" /> : <span className="faint">never</span>) },
    { header: "Added", cell: (user) => <Moment at={user.created_at} as="relative" /> },
    {
      header: "",
      align: "right",
      cell: (user) => (
        <span className={styles.actions}>
          <Button small onClick={() => ask({ what: "role", user })}>
            Role
          </Button>
          <Button small blocked={user.kind === "oidc" && "The identity provider has the password"} onClick={() => ask({ what: "password", user })}>
            Password
          </Button>
          <Button small kind="danger" blocked={user.name === server.user && "You can't remove yourself"} onClick={() => ask({ what: "remove", user })}>
            Remove
          </Button>
        </span>
      ),
    },
  ];
}

function Name({ user }: { user: User }) {
  return (
    <>
      <b>{user.name}</b> {user.name === server.user ? <span className={styles.tag}>you</span> : null}
    </>
  );
}

function Add({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [password, setPassword] = useState("");
  const submit = async () => {
    await addUser({ name: name.trim(), role, password });
    await again();
  };
  return (
    <Form title="Add a user" action="Add" needs="admin" blocked={!(name.trim() && password) && "A user needs a name and a password"} submit={submit} close={close}>
      <Field label="Name" autoComplete="off" autoFocus value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <ChoiceField label="Role" options={ROLES} value={role} onChange={(event) => setRole(event.currentTarget.value as Role)} />
      <Field label="Password" type="password" autoComplete="new-password" hint="They can change it after the first login." value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
    </Form>
  );
}

function ChangeRole({ user, close }: { user: User; close: () => void }) {
  const [role, setRole] = useState<Role>(user.role);
  const submit = async () => {
    await changeUser(user.name, { role });
    await again();
  };
  return (
    <Form title={`Role of ${user.name}`} action="Change the role" needs="admin" blocked={role === user.role && "Choose another role"} submit={submit} close={close}>
      <ChoiceField label="Role" hint="Their sessions end: they log in again." options={ROLES} value={role} onChange={(event) => setRole(event.currentTarget.value as Role)} />
    </Form>
  );
}

function NewPassword({ user, close }: { user: User; close: () => void }) {
  const [password, setPassword] = useState("");
  const submit = () => changeUser(user.name, { password });
  return (
    <Form title={`New password for ${user.name}`} action="Set it" needs="admin" blocked={!password && "Type a password"} submit={submit} close={close}>
      <Field label="Password" type="password" autoComplete="new-password" autoFocus hint="Their sessions end." value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
    </Form>
  );
}

function Remove({ user, close }: { user: User; close: () => void }) {
  const submit = async () => {
    await removeUser(user.name);
    await again();
  };
  return (
    <Form title={`Remove ${user.name}?`} action="Remove" kind="danger" needs="admin" submit={submit} close={close}>
      <p>They are logged out at once and can't log in again. Tokens that they created stay good: revoke those on their own.</p>
    </Form>
  );
}
