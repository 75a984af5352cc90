// Webhooks: URLs whose requests become events.

import { request } from "./http";
import { ENVIRONMENT, restPage } from "./pages";

export interface Webhook {
  id: string;
  name: string;
  url: string;
  transform: string;
  response?: string;
  eventFilter?: { events: string[]; filter: "ALLOW" | "DENY" };
  createdAt: string;
  updatedAt: string;
}

export type WebhookDraft = Pick<Webhook, "name" | "transform" | "response" | "eventFilter">;

const BASE = "/v2/env/webhooks";

export async function webhooksOf(signal?: AbortSignal): Promise<Webhook[]> {
  return (await restPage<Webhook>(BASE, { limit: "100" }, signal)).data;
}

/** Create a webhook, or change the one of this id. Throws with what is wrong with its expressions. */
export async function saveWebhook(draft: WebhookDraft, id?: string): Promise<void> {
  const path = id ? `${BASE}/${id}` : BASE;
  await request(id ? "PUT" : "POST", path, { body: JSON.stringify(draft), headers: ENVIRONMENT });
}

export async function deleteWebhook(id: string): Promise<void> {
  await request("DELETE", `${BASE}/${id}`, { headers: ENVIRONMENT });
}
