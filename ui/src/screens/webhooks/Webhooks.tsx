import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { queries } from "../../data/queries";
import { may } from "../../data/server";
import { type Webhook, deleteWebhook, webhooksOf } from "../../data/webhooks";
import { ms } from "../../logic/format";
import { Button } from "../../parts/Button";
import { Empty } from "../../parts/Empty";
import { Failure } from "../../parts/Failure";
import { Form } from "../../parts/Form";
import screen from "../../parts/ListScreen.module.css";
import { NotAllowed } from "../../parts/NotAllowed";
import { Secret } from "../../parts/Secret";
import { type ShortColumn, ShortTable } from "../../parts/ShortTable";
import { Moment } from "../../parts/Time";
import { useTitle } from "../../parts/title";
import type { Search } from "../../router";
import { EditWebhook } from "./EditWebhook";
import styles from "./Webhooks.module.css";

export const WEBHOOKS = ["webhooks"];

/** Webhooks: URLs for other services, whose requests become events. */
export function Webhooks() {
  useTitle("Webhooks");
  return may("admin") ? <List /> : <NotAllowed what="Webhooks" needs="admin" />;
}

function List() {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const hooks = useQuery({ queryKey: WEBHOOKS, queryFn: ({ signal }) => webhooksOf(signal) });
  const [removing, setRemoving] = useState<Webhook>();
  const edit = (id: string) => void navigate({ to: "/sources", search: id ? { edit: id } : {}, replace: true });
  const edited = hooks.data?.find((hook) => hook.id === search["edit"]);
  if (hooks.isError) return <Failure error={hooks.error} retry={() => void hooks.refetch()} />;
  return (
    <div className={styles.screen} aria-busy={hooks.isPending}>
      <div className={screen.title}>
        <h1>Webhooks</h1>
        <span className={styles.create}>
          <Button small kind="primary" needs="admin" onClick={() => edit("new")}>
            Create a webhook
          </Button>
        </span>
      </div>
      <div className={styles.body}>
        <p className="soft">A webhook is a URL for another service, such as GitHub or Stripe. What that service sends becomes an event. Whoever knows the URL can send.</p>
        {hooks.data?.length ? (
          <ShortTable label="Webhooks" rows={hooks.data} columns={columnsOf(edit, setRemoving)} keyOf={(hook) => hook.id} />
        ) : hooks.isSuccess ? (
          <Empty title="There are no webhooks" detail="One expression tells how a request becomes an event. You can start from an example.">
            <Button kind="primary" needs="admin" onClick={() => edit("new")}>
              Create a webhook
            </Button>
          </Empty>
        ) : null}
      </div>
      {search["edit"] === "new" || edited ? <EditWebhook key={search["edit"]} hook={edited} close={() => edit("")} /> : null}
      {removing ? <Remove hook={removing} close={() => setRemoving(undefined)} /> : null}
    </div>
  );
}

function columnsOf(edit: (id: string) => void, remove: (hook: Webhook) => void): ShortColumn<Webhook>[] {
  return [
    {
      header: "Name",
      cell: (hook) => (
        <Link to="/sources" search={{ edit: hook.id }} className={styles.name}>
          {hook.name}
        </Link>
      ),
    },
    { header: "URL", cell: (hook) => <Secret text={hook.url} what={`the URL of ${hook.name}`} /> },
    { header: "Event", cell: (hook) => <code className={styles.transform}>{hook.transform}</code> },
    { header: "Takes", cell: (hook) => <span className="soft">{takes(hook)}</span> },
    { header: "Changed", cell: (hook) => <Moment at={ms(hook.updatedAt)} as="relative" /> },
    {
      header: "",
      align: "right",
      cell: (hook) => (
        <span className={styles.actions}>
          <Button small needs="admin" onClick={() => edit(hook.id)}>
            Edit
          </Button>
          <Button small kind="danger" needs="admin" onClick={() => remove(hook)}>
            Delete
          </Button>
        </span>
      ),
    },
  ];
}

function takes({ eventFilter }: Webhook): string {
  if (!eventFilter) return "all events";
  return `${eventFilter.filter === "ALLOW" ? "only" : "all but"} ${eventFilter.events.join(", ")}`;
}

function Remove({ hook, close }: { hook: Webhook; close: () => void }) {
  const submit = async () => {
    await deleteWebhook(hook.id);
    await queries.invalidateQueries({ queryKey: WEBHOOKS });
  };
  return (
    <Form title={`Delete ${hook.name}?`} action="Delete" kind="danger" needs="admin" submit={submit} close={close}>
      <p>Its URL answers 404 from then on. This can&apos;t be undone.</p>
    </Form>
  );
}
