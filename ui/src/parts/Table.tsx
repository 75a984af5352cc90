import { type ColumnDef, FlexRender, type Row as TanStackRow, tableFeatures, useTable } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, memo, useEffect, useMemo, useRef, useState } from "react";

import { isTyping } from "../shell/shortcuts";
import { RowLink, type Target } from "./RowLink";
import styles from "./Table.module.css";

export interface Column<T> {
  id: string;
  header: ReactNode;
  /** A track of CSS grid: `90px`, `minmax(120px, 2fr)`. */
  width: string;
  /** Width in px of the table below which the column is left out. */
  from?: number;
  align?: "right";
  cell: (row: T) => ReactNode;
}

interface Props<T> {
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  keyOf: (row: T) => string;
  /** Where a row leads: rows are links. */
  target: (row: T) => Target;
  /** What a row's link is called by screen readers. */
  nameOf: (row: T) => string;
  /** The key of the row that is open beside the list. */
  active?: string | undefined;
  selected?: ReadonlySet<string> | undefined;
  onSelect?: ((key: string, on: boolean) => void) | undefined;
  /** Asks for the next page; called when the end comes into view. */
  more?: (() => void) | undefined;
  foot?: ReactNode;
}

const features = tableFeatures({});
const ROW_PX = { comfortable: 36, compact: 28 };
const OVERSCAN = 5;
/** Rows before the end at which the next page is asked for. */
const AHEAD = 20;

/** A list of any length: only the rows in view exist. Rows are links; j, k and the arrow keys move between them. */
export function Table<T extends object>(props: Props<T>) {
  const { rows, keyOf, more } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(scroller);
  const height = useRowHeight();
  const columns = useMemo(
    () => props.columns.filter((column) => !column.from || width >= column.from),
    [props.columns, width],
  );
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: OVERSCAN,
  });
  useEffect(() => virtual.measure(), [height]);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= rows.length - AHEAD) more();
  }, [last, rows.length, more]);
  const shown = useMemo(() => items.flatMap((item) => rows[item.index] ?? []), [rows, items]);
  const table = useTable({
    features,
    data: shown,
    columns: useMemo(() => columns.map((column) => definition(column)), [columns]),
    getRowId: keyOf,
  });
  const latest = useRef(props);
  latest.current = props;
  useRowKeys(scroller, latest);
  const tracks = columns.map((column) => column.width).join(" ");
  const selects = Boolean(props.onSelect);
  return (
    <div className={styles.scroller} ref={scroller} role="table" aria-label={props.label} aria-rowcount={rows.length + 1}>
      <div role="rowgroup" className={styles.head}>
        <div role="row" className={styles.row} style={{ gridTemplateColumns: selects ? `28px ${tracks}` : tracks }}>
          {selects ? <span role="columnheader" aria-label="Selected" /> : null}
          {columns.map((column) => (
            <span key={column.id} role="columnheader" className={column.align === "right" ? styles.right : undefined}>
              {column.header}
            </span>
          ))}
        </div>
      </div>
      <div role="rowgroup" className={styles.body} style={{ height: virtual.getTotalSize() }}>
        {table.getRowModel().rows.map((row, place) => {
          const item = items[place];
          return item ? (
            <TableRow
              key={row.id}
              row={row}
              columns={columns}
              place={item.index}
              start={item.start}
              tracks={selects ? `28px ${tracks}` : tracks}
              active={row.id === props.active}
              selected={props.selected?.has(row.id) ?? false}
              latest={latest}
            />
          ) : null;
        })}
      </div>
      {props.foot ? <div className={styles.foot}>{props.foot}</div> : null}
    </div>
  );
}

interface RowProps<T extends object> {
  row: TanStackRow<typeof features, T>;
  columns: readonly Column<T>[];
  place: number;
  start: number;
  tracks: string;
  active: boolean;
  selected: boolean;
  latest: { current: Props<T> };
}

function PlainRow<T extends object>({ row, columns, place, start, tracks, active, selected, latest }: RowProps<T>) {
  const { target, nameOf, onSelect } = latest.current;
  const name = nameOf(row.original);
  return (
    <div
      role="row"
      aria-rowindex={place + 2}
      className={styles.row}
      data-key={row.id}
      data-active={active || undefined}
      data-selected={selected || undefined}
      style={{ gridTemplateColumns: tracks, transform: `translateY(${start}px)` }}
    >
      {onSelect ? (
        <span role="cell" className={styles.check}>
          <input type="checkbox" aria-label={`Select ${name}`} tabIndex={-1} checked={selected} onChange={(event) => latest.current.onSelect?.(row.id, event.currentTarget.checked)} />
        </span>
      ) : null}
      {row.getAllCells().map((cell, at) => (
        <span key={cell.id} role="cell" className={`${styles.cell} ${columns[at]?.align === "right" ? styles.right : ""}`}>
          {at === 0 ? <RowLink target={target(row.original)} label={name} /> : null}
          <FlexRender cell={cell} />
        </span>
      ))}
    </div>
  );
}

/** A row is drawn again only when something of it has changed: a push changes one or two of many. */
const TableRow = memo(
  PlainRow,
  (one, other) =>
    one.row.original === other.row.original &&
    one.columns === other.columns &&
    one.place === other.place &&
    one.start === other.start &&
    one.tracks === other.tracks &&
    one.active === other.active &&
    one.selected === other.selected,
) as typeof PlainRow;

function definition<T extends object>(column: Column<T>): ColumnDef<typeof features, T> {
  return { id: column.id, header: column.id, cell: ({ row }) => column.cell(row.original) };
}

function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(() => innerWidth);
  useEffect(() => {
    if (!element.current) return undefined;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.round(entry.contentRect.width)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

function useRowHeight(): number {
  const read = () => ROW_PX[document.documentElement.dataset["density"] === "compact" ? "compact" : "comfortable"];
  const [height, setHeight] = useState(read);
  useEffect(() => {
    const change = () => setHeight(read());
    addEventListener("density", change);
    return () => removeEventListener("density", change);
  }, []);
  return height;
}

/** j, k and the arrow keys move the focus between rows, x selects. */
function useRowKeys<T>(scroller: { current: HTMLElement | null }, latest: { current: Props<T> }): void {
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("[data-key]");
      const arrows = focused !== null && focused !== undefined && scroller.current?.contains(focused);
      const step = event.key === "j" || (arrows && event.key === "ArrowDown") ? 1 : event.key === "k" || (arrows && event.key === "ArrowUp") ? -1 : 0;
      if (step) {
        event.preventDefault();
        move(scroller.current, focused ?? null, step);
      } else if (event.key === "x" && focused?.dataset["key"] && latest.current.onSelect) {
        const key = focused.dataset["key"];
        latest.current.onSelect(key, !latest.current.selected?.has(key));
      }
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
}

function move(scroller: HTMLElement | null, from: HTMLElement | null, step: number): void {
  const rows = [...(scroller?.querySelectorAll<HTMLElement>("[data-key]") ?? [])];
  const at = from ? rows.indexOf(from) : step > 0 ? -1 : rows.length;
  const link = rows[at + step]?.querySelector("a");
  link?.focus({ preventScroll: true });
  link?.closest("[data-key]")?.scrollIntoView({ block: "nearest" });
}
