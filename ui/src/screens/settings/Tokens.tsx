import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type Token, createToken, revokeToken, tokensOf } from "../../data/access";
import { queries } from "../../data/queries";
import type { Role } from "../../data/server";
import { Button } from "../../parts/Button";
import { Copy } from "../../parts/Copy";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { ChoiceField, Field } from "../../parts/Field";
import { Form } from "../../parts/Form";
import { type ShortColumn, ShortTable } from "../../parts/ShortTable";
import { Moment } from "../../parts/Time";
import styles from "./Settings.module.css";
import { ROLES } from "./roles";

const again = () => queries.invalidateQueries({ queryKey: ["access", "tokens"] });
const EXPIRIES = [
  ["30", "in 30 days"],
  ["90", "in 90 days"],
  ["365", "in a year"],
  ["", "never"],
] as const;

/** Tokens with which scripts and tools use the API. */
export function Tokens() {
  const tokens = useQuery({ queryKey: ["access", "tokens"], queryFn: ({ signal }) => tokensOf(signal) });
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<Token>();
  const [secret, setSecret] = useState("");
  if (tokens.isError) return <Failure error={tokens.error} retry={() => void tokens.refetch()} />;
  return (
    <section className={styles.section} aria-busy={tokens.isPending}>
      <div className={styles.head}>
        <div>
          <h2>API tokens</h2>
          <p className="soft">
            For scripts, CI and <code>holdfast api</code>: sent as <code>Authorization: Bearer …</code>
          </p>
        </div>
        <Button kind="primary" needs="admin" onClick={() => setMaking(true)}>
          Create a token
        </Button>
      </div>
      {secret ? <Fresh secret={secret} close={() => setSecret("")} /> : null}
      {tokens.data?.length ? (
        <ShortTable label="API tokens" rows={tokens.data} columns={columns(setEnding)} keyOf={(token) => token.id} />
      ) : tokens.isSuccess ? (
        <Empty title="There are no tokens" detail="A token has a role of its own, and can be revoked without touching anybody's login." />
      ) : null}
      {making ? <Make close={() => setMaking(false)} made={setSecret} /> : null}
      {ending ? <Revoke token={ending} close={() => setEnding(undefined)} /> : null}
    </section>
  );
}

function Fresh({ secret, close }: { secret: string; close: () => void }) {
  return (
    <div className={styles.fresh} role="status">
      <b>Copy the token now: it is not shown again.</b>
      <span>
        <code>{secret}</code> <Copy text={secret} what="the token" />
      </span>
      <span>
        <Button small onClick={close}>
          I have it
        </Button>
      </span>
    </div>
  );
}

function columns(end: (token: Token) => void): ShortColumn<Token>[] {
  return [
    {
      header: "Name",
      cell: (token) => (
        <>
          <b>{token.name}</b> <code className="faint">{token.hint}…</code>
        </>
      ),
    },
    { header: "Role", cell: (token) => token.role },
    { header: "Created by", cell: (token) => token.created_by },
    { header: "Last used", cell: (token) => (token.used_at ? <Moment at={token.used_at} as="relative" /> : <span className="faint">never</span>) },
    { header: "Ends", cell: (token) => <Ends token={token} /> },
    {
      header: "",
      align: "right",
      cell: (token) => (
        <Button small kind="danger" blocked={token.revoked_at !== null && "It is revoked already"} onClick={() => end(token)}>
          Revoke
        </Button>
      ),
    },
  ];
}

function Ends({ token }: { token: Token }) {
  if (token.revoked_at) {
    return (
      <span className={styles.bad}>
        revoked <Moment at={token.revoked_at} as="relative" />
      </span>
    );
  }
  return token.expires_at ? <Moment at={token.expires_at} as="relative" /> : <span className="faint">never</span>;
}

function Make({ close, made }: { close: () => void; made: (secret: string) => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [days, setDays] = useState<string>("90");
  const submit = async () => {
    made(await createToken({ name: name.trim(), role, ...(days ? { days: Number(days) } : {}) }));
    await again();
  };
  return (
    <Form title="Create a token" action="Create" needs="admin" blocked={!name.trim() && "A token needs a name"} submit={submit} close={close}>
      <Field label="Name" autoFocus placeholder="ci" hint="What uses it: the audit log names it so." value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <ChoiceField label="Role" options={ROLES} value={role} onChange={(event) => setRole(event.currentTarget.value as Role)} />
      <ChoiceField label="Expires" options={EXPIRIES} value={days} onChange={(event) => setDays(event.currentTarget.value)} />
    </Form>
  );
}

function Revoke({ token, close }: { token: Token; close: () => void }) {
  const submit = async () => {
    await revokeToken(token.id);
    await again();
  };
  return (
    <Form title={`Revoke ${token.name}?`} action="Revoke" kind="danger" needs="admin" submit={submit} close={close}>
      <p>What uses this token is refused at once. This can't be undone.</p>
    </Form>
  );
}
