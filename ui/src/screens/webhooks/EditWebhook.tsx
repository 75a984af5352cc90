import { useState } from "react";

import { queries } from "../../data/queries";
import { type Webhook, saveWebhook } from "../../data/webhooks";
import { Button } from "../../parts/Button";
import { ChoiceField, Field } from "../../parts/Field";
import { Form } from "../../parts/Form";
import styles from "./Webhooks.module.css";

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["GitHub", '{"name": "github/" + headers["x-github-event"], "id": headers["x-github-delivery"], "data": body}'],
  ["Stripe", '{"name": "stripe/" + body.type, "id": body.id, "ts": body.created * 1000, "data": body.data.object}'],
  ["A form", '{"name": "form/received", "data": {"from": body.From, "text": body.Body}}'],
  ["Any JSON", '{"name": "webhook/received", "data": body}'],
];

const FILTERS = [
  ["", "All events"],
  ["ALLOW", "Only these"],
  ["DENY", "All but these"],
] as const;

interface Props {
  hook: Webhook | undefined;
  close: () => void;
}

/** Creates a webhook, or changes one. The server checks the expressions. */
export function EditWebhook({ hook, close }: Props) {
  const [name, setName] = useState(hook?.name ?? "");
  const [transform, setTransform] = useState(hook?.transform ?? "");
  const [response, setResponse] = useState(hook?.response ?? "");
  const [filter, setFilter] = useState<string>(hook?.eventFilter?.filter ?? "");
  const [events, setEvents] = useState(hook?.eventFilter?.events.join(", ") ?? "");
  const submit = async () => {
    const names = events.split(",").map((each) => each.trim()).filter(Boolean);
    const wanted = filter ? { filter: filter as "ALLOW" | "DENY", events: names } : undefined;
    await saveWebhook({ name: name.trim(), transform, ...(response ? { response } : {}), ...(wanted ? { eventFilter: wanted } : {}) }, hook?.id);
    await queries.invalidateQueries({ queryKey: ["webhooks"] });
  };
  const blocked = (!name.trim() && "A webhook needs a name") || (!transform.trim() && "A webhook needs an expression");
  return (
    <Form title={hook ? `Edit ${hook.name}` : "Create a webhook"} action={hook ? "Save" : "Create"} needs="admin" blocked={blocked} submit={submit} close={close}>
      <Field label="Name" autoFocus placeholder="github" value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <div className={styles.examples}>
        <span className="soft">Start from</span>
        {EXAMPLES.map(([label, text]) => (
          <Button key={label} small kind="quiet" onClick={() => setTransform(text)}>
            {label}
          </Button>
        ))}
      </div>
      <label className={styles.expression}>
        Expression
        <textarea rows={4} spellCheck={false} value={transform} onChange={(event) => setTransform(event.currentTarget.value)} />
        <span className="soft">CEL over body, headers, query and raw; its value is an event, or a list of events.</span>
      </label>
      <ChoiceField label="Takes" options={hook?.eventFilter ? FILTERS.slice(1) : FILTERS} value={filter} onChange={(event) => setFilter(event.currentTarget.value)} />
      {filter ? <Field label="Names of events" placeholder="github/push, github/release" value={events} onChange={(event) => setEvents(event.currentTarget.value)} /> : null}
      <Field label="Answer" placeholder='"ok"' hint="CEL over the same and ids; empty is the usual answer." value={response} onChange={(event) => setResponse(event.currentTarget.value)} />
    </Form>
  );
}
