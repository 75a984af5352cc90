import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { type EventKey, type SigningKey, createEventKey, eventKeysOf, retireFallback, revokeEventKey, rotateSigningKey, signingKeysOf } from "../../data/access";
import { queries } from "../../data/queries";
import { server } from "../../data/server";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { Field } from "../../parts/Field";
import { Form } from "../../parts/Form";
import { Secret } from "../../parts/Secret";
import { type ShortColumn, ShortTable } from "../../parts/ShortTable";
import { Moment } from "../../parts/Time";
import styles from "./Settings.module.css";

const again = () => queries.invalidateQueries({ queryKey: ["access", "keys"] });

/** The keys of apps: those that send events, and the one that signs. */
export function Keys() {
  return (
    <>
      <EventKeys />
      <SigningKeys />
    </>
  );
}

function EventKeys() {
  const keys = useQuery({ queryKey: ["access", "keys", "events"], queryFn: ({ signal }) => eventKeysOf(signal) });
  const [making, setMaking] = useState(false);
  const [ending, setEnding] = useState<EventKey>();
  if (keys.isError) return <Failure error={keys.error} retry={() => void keys.refetch()} />;
  return (
    <section className={styles.section} aria-busy={keys.isPending}>
      <div className={styles.head}>
        <div>
          <h2>Event keys</h2>
          <p className="soft">
            Apps send events with one: <code>INNGEST_EVENT_KEY</code>. To rotate, create a second key, give it to the apps, then revoke the first.
          </p>
        </div>
        <Button needs="admin" onClick={() => setMaking(true)}>
          Create an event key
        </Button>
      </div>
      {keys.data?.length ? (
        <ShortTable label="Event keys" rows={keys.data} columns={eventColumns(setEnding)} keyOf={(key) => key.id} />
      ) : keys.isSuccess ? (
        <Empty title="There are no event keys" detail={server.open ? "Any key is taken here." : "Nobody can send events until there is one."} />
      ) : null}
      {making ? <MakeEventKey close={() => setMaking(false)} /> : null}
      {ending ? <RevokeEventKey eventKey={ending} close={() => setEnding(undefined)} /> : null}
    </section>
  );
}

function eventColumns(end: (key: EventKey) => void): ShortColumn<EventKey>[] {
  return [
    { header: "Name", cell: (key) => key.name || <span className="faint">no name</span> },
    { header: "Key", cell: (key) => <Secret text={key.key} what="the event key" /> },
    { header: "From", cell: (key) => <Origin origin={key.origin} /> },
    { header: "Since", cell: (key) => <Moment at={key.created_at} as="relative" /> },
    {
      header: "",
      align: "right",
      cell: (key) => (
        <Button small kind="danger" blocked={key.origin === "config" && "It is from the configuration: remove it there and restart"} onClick={() => end(key)}>
          Revoke
        </Button>
      ),
    },
  ];
}

function Origin({ origin }: { origin: "config" | "database" }) {
  return origin === "config" ? <span title="Set by a flag, a variable or the file">configuration</span> : <>this page or the API</>;
}

function MakeEventKey({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const submit = async () => {
    await createEventKey(name.trim());
    await again();
  };
  return (
    <Form title="Create an event key" action="Create" needs="admin" submit={submit} close={close}>
      <Field label="Name" autoFocus placeholder="checkout service" hint="Optional: what sends with it." value={name} onChange={(event) => setName(event.currentTarget.value)} />
    </Form>
  );
}

function RevokeEventKey({ eventKey, close }: { eventKey: EventKey; close: () => void }) {
  const submit = async () => {
    await revokeEventKey(eventKey.id);
    await again();
  };
  return (
    <Form title={`Revoke ${eventKey.name || "this event key"}?`} action="Revoke" kind="danger" needs="admin" submit={submit} close={close}>
      <p>Events that are sent with it are refused at once. This can't be undone.</p>
    </Form>
  );
}

function SigningKeys() {
  const keys = useQuery({ queryKey: ["access", "keys", "signing"], queryFn: ({ signal }) => signingKeysOf(signal) });
  const [asked, setAsked] = useState<"rotate" | "retire">();
  const close = () => setAsked(undefined);
  const fallback = keys.data?.some((key) => !key.current) ?? false;
  if (keys.isError) return <Failure error={keys.error} retry={() => void keys.refetch()} />;
  return (
    <section className={styles.section} aria-busy={keys.isPending}>
      <div className={styles.head}>
        <div>
          <h2>Signing key</h2>
          <p className="soft">
            Signs what goes between the server and the apps: <code>INNGEST_SIGNING_KEY</code>. After a rotation the old one stays good as the fallback, until you retire it.
          </p>
        </div>
        <span className={styles.actions}>
          <Button needs="admin" blocked={keys.data?.length === 0 && "There is no signing key to rotate"} onClick={() => setAsked("rotate")}>
            Rotate
          </Button>
          <Button kind="danger" needs="admin" blocked={!fallback && "There is no fallback"} onClick={() => setAsked("retire")}>
            Retire the fallback
          </Button>
        </span>
      </div>
      {keys.data?.length ? (
        <ShortTable label="Signing keys" rows={keys.data} columns={SIGNING} keyOf={(key) => key.id} />
      ) : keys.isSuccess ? (
        <Empty title="There is no signing key" detail="Requests to and from apps are not signed here." />
      ) : null}
      {asked === "rotate" ? <Rotate close={close} fallback={fallback} /> : null}
      {asked === "retire" ? <Retire close={close} /> : null}
    </section>
  );
}

const SIGNING: ShortColumn<SigningKey>[] = [
  { header: "Use", cell: (key) => (key.current ? <b>current</b> : "fallback") },
  { header: "Key", cell: (key) => <Secret text={key.key} what="the signing key" /> },
  { header: "From", cell: (key) => <Origin origin={key.origin} /> },
  { header: "Since", cell: (key) => <Moment at={key.created_at} as="relative" /> },
];

function Rotate({ close, fallback }: { close: () => void; fallback: boolean }) {
  const [key, setKey] = useState("");
  const submit = async () => {
    await rotateSigningKey(key.trim());
    await again();
  };
  return (
    <Form title="Rotate the signing key" action="Rotate" needs="admin" submit={submit} close={close}>
      <ol className={styles.section}>
        <li>1. The new key signs from now on, and today's key becomes the fallback{fallback ? "; today's fallback no longer counts" : ""}.</li>
        <li>
          2. Give the apps the new key as <code>INNGEST_SIGNING_KEY</code>. For no refusal in between, give them today's key as <code>INNGEST_SIGNING_KEY_FALLBACK</code> too.
        </li>
        <li>3. Then retire the fallback here.</li>
      </ol>
      <Field label="New key" placeholder="leave empty to have one made" hint="Hex, with or without signkey-prod- before it." autoComplete="off" value={key} onChange={(event) => setKey(event.currentTarget.value)} />
    </Form>
  );
}

function Retire({ close }: { close: () => void }) {
  const submit = async () => {
    await retireFallback();
    await again();
  };
  return (
    <Form title="Retire the fallback?" action="Retire" kind="danger" needs="admin" submit={submit} close={close}>
      <p>Apps and scripts that still use the old key are refused at once. Make sure that all have the new one.</p>
    </Form>
  );
}
