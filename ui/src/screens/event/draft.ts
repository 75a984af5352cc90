// An event that is being written.

/** What can't be sent, and why; empty if it can. */
export function problemOf(name: string, text: string): string {
  if (!name.trim()) return "An event needs a name, such as shop/order.placed";
  if (name.trim().toLowerCase().startsWith("inngest/")) return "Names that begin with inngest/ are the server's own";
  let value: unknown;
  try {
    value = JSON.parse(text || "{}");
  } catch (error) {
    return `The data is no JSON: ${(error as Error).message}`;
  }
  return isObject(value) ? "" : "The data must be a JSON object: { … }";
}

/** Return name and data of an event as JSON; its id and times are its own. */
export function draftOf(raw: string): { name: string; text: string; user: unknown } {
  const event = JSON.parse(raw) as { name?: string; data?: unknown; user?: unknown };
  return { name: event.name ?? "", text: JSON.stringify(event.data ?? {}, null, 2), user: event.user };
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
