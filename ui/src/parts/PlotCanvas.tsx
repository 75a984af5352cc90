import { useEffect, useRef, useState } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import type { PlotProps } from "./Plot";
import styles from "./Plot.module.css";

const HEIGHT_PX = 150;
const AXIS_PX = 54;
/** Whole steps: counts and milliseconds have no halves. */
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400].map((seconds) => seconds * 1_000)];
const DAY_MS = 86_400_000;

/** The plot itself, and a legend that shows the values under the pointer. */
export default function PlotCanvas({ title, times, lines, format, bars }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const theme = useTheme();
  const shape = lines.map((line) => line.name + line.colour).join();
  useEffect(() => {
    if (!box.current) return undefined;
    const made = new UPlot(options(box.current, { title, times, lines, format, bars: bars ?? false }, setAt), data(times, lines), box.current);
    plot.current = made;
    const observer = new ResizeObserver(([entry]) => entry && made.setSize({ width: entry.contentRect.width, height: HEIGHT_PX }));
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [theme, shape, bars]);
  useEffect(() => plot.current?.setData(data(times, lines)), [times, lines]);
  return (
    <>
      <figcaption className={styles.head}>
        <h2>{title}</h2>
        <ul className={styles.legend}>
          {lines.map((line) => (
            <li key={line.name}>
              <i style={{ background: `var(${line.colour})` }} />
              {line.name} <b className="number">{shown(line.values[at ?? -1], format)}</b>
            </li>
          ))}
          <li className="faint number">{at === null ? "" : moment(times[at] ?? 0)}</li>
        </ul>
      </figcaption>
      <div ref={box} className={styles.space} aria-hidden="true" />
    </>
  );
}

function shown(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "" : format(value);
}

function data(times: PlotProps["times"], lines: PlotProps["lines"]): UPlot.AlignedData {
  return [times.map((time) => time / 1_000), ...lines.map((line) => [...line.values])];
}

function options(box: HTMLElement, { times, lines, format, bars }: PlotProps, tell: (at: number | null) => void): UPlot.Options {
  const colours = getComputedStyle(document.documentElement);
  const token = (name: string) => colours.getPropertyValue(name).trim();
  const axis = { stroke: token("--faint"), font: `11px ${token("--sans")}`, ticks: { show: false }, grid: { stroke: token("--line"), width: 1 } };
  const long = (times.at(-1) ?? 0) - (times[0] ?? 0) > DAY_MS;
  return {
    width: box.clientWidth,
    height: HEIGHT_PX,
    padding: [6, 10, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: "metrics" }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(high || 0, 4) * 1.08] } },
    axes: [
      { ...axis, size: 26, values: (_plot, splits) => splits.map((split) => label(split * 1_000, long)) },
      { ...axis, size: AXIS_PX, incrs: STEPS, values: (_plot, splits) => splits.map((split) => format(split)) },
    ],
    series: [
      {},
      ...lines.map((line): UPlot.Series => {
        const stroke = token(line.colour);
        if (!bars) return { stroke, width: 2, points: { show: true, size: 4, fill: stroke } };
        const paths = UPlot.paths.bars?.({ size: [0.8, 24] });
        return { stroke, fill: stroke, width: 0, points: { show: false }, ...(paths ? { paths } : {}) };
      }),
    ],
    hooks: { setCursor: [(plot) => tell(plot.cursor.idx ?? null)] },
  };
}

function label(at: number, long: boolean): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return long ? `${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}` : time;
}

function moment(at: number): string {
  return label(at, true);
}

function useTheme(): string {
  const read = () => document.documentElement.dataset["theme"] ?? "";
  const [theme, setTheme] = useState(read);
  useEffect(() => {
    const observer = new MutationObserver(() => setTheme(read()));
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => observer.disconnect();
  }, []);
  return theme;
}
