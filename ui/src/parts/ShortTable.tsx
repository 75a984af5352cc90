import type { ReactNode } from "react";

import styles from "./ShortTable.module.css";

export interface ShortColumn<T> {
  header: string;
  cell: (row: T) => ReactNode;
  align?: "right";
}

interface Props<T> {
  label: string;
  rows: readonly T[];
  columns: readonly ShortColumn<T>[];
  keyOf: (row: T) => string;
}

/** A table of a few rows, all of which exist. On narrow screens each row is a card. */
export function ShortTable<T>({ label, rows, columns, keyOf }: Props<T>) {
  return (
    <div className={styles.box}>
      <table className={styles.table} aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.header} scope="col" className={column.align === "right" ? styles.right : undefined}>
                {column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.header} data-label={column.header || undefined} className={column.align === "right" ? styles.right : undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
