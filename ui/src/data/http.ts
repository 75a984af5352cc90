// Requests to the server. What goes wrong is a Problem: a status, and a sentence for people.

/** Why a request failed. Status 0: the server could not be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "Problem";
  }
}

interface Options {
  body?: string | undefined;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
}

/** Make a request and return its JSON. Throws a Problem; leads to the login page if the session has ended. */
export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const answer = await send(method, path, options);
  const text = await answer.text();
  if (answer.status === 401) toLogin();
  if (!answer.ok) throw new Problem(answer.status, reason(text) || `The server answered ${answer.status}`);
  return (text ? JSON.parse(text) : undefined) as T;
}

async function send(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["content-type"] ??= "application/json";
  try {
    return await fetch(path, { method, headers, body: options.body ?? null, signal: options.signal ?? null });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "The server can't be reached");
  }
}

/** The sentence in an error's body, whatever API it comes from. */
export function reason(text: string): string {
  try {
    const body = JSON.parse(text) as { error?: string; errors?: { message: string }[]; message?: string };
    return body.error ?? body.errors?.map((error) => error.message).join("; ") ?? body.message ?? "";
  } catch {
    return text.length < 200 ? text.trim() : "";
  }
}

function toLogin(): void {
  const here = encodeURIComponent(location.pathname + location.search);
  location.assign(`/login?next=${here}`);
}
