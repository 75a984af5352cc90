// Answers that were asked for before the screen that shows them was there.

type Key = readonly string[];

const asked = new Map<string, Promise<unknown>>();

/** Ask ahead. `key` is that of the query which will want the answer. */
export function askEarly(key: Key, answer: Promise<unknown>): void {
  answer.catch(() => undefined); // whoever takes it hears of it
  asked.set(JSON.stringify(key), answer);
}

/** Return what was asked ahead for a query, once; otherwise ask now. */
export function early<T>(key: Key, ask: () => Promise<T>): Promise<T> {
  const name = JSON.stringify(key);
  const answer = asked.get(name) as Promise<T> | undefined;
  asked.delete(name);
  return answer ?? ask();
}
