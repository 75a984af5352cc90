// Pages of a list that goes on, the newest first.

export interface Page<T> {
  rows: T[];
  /** Where the next page begins; undefined at the end. */
  next: string | undefined;
}

/** Return the pages with a first page that was asked for again; only that one, if it has no row of theirs. */
export function renew<T extends { id: string }>(pages: readonly Page<T>[], first: Page<T>): Page<T>[] {
  const last = first.rows.at(-1)?.id ?? "";
  const overlaps = pages.some((page) => page.rows.some((row) => row.id >= last));
  if (!overlaps || first.next === undefined) return [first];
  const rest = pages.map((page) => ({ ...page, rows: page.rows.filter((row) => row.id < last) }));
  const [head, ...others] = rest;
  return head ? [{ rows: [...first.rows, ...head.rows], next: head.next }, ...others] : [first];
}
