import { Suspense, lazy } from "react";

import styles from "./Plot.module.css";

/** One line of a plot. Its colour is a name of `styles/tokens.css`. */
export interface Line {
  name: string;
  colour: string;
  values: readonly (number | null)[];
}

export interface PlotProps {
  title: string;
  /** Moments in ms, one for each value. */
  times: readonly number[];
  lines: readonly Line[];
  format: (value: number) => string;
  /** Bars for what is counted, lines for what is measured. */
  bars?: boolean;
}

const Canvas = lazy(() => import("./PlotCanvas"));

/** A small plot over time. The library that draws it is loaded when the first one is shown. */
export function Plot(props: PlotProps) {
  return (
    <figure className={styles.plot} role="group" aria-label={`${props.title}: ${summary(props)}`}>
      <Suspense fallback={<div className={styles.space} />}>
        <Canvas {...props} />
      </Suspense>
    </figure>
  );
}

/** The plot in words: the newest value of each line. */
function summary({ lines, format }: PlotProps): string {
  const newest = lines.map(({ name, values }) => {
    const value = values.findLast((each) => each !== null);
    return `${name} ${value === undefined || value === null ? "none" : format(value)}`;
  });
  return `newest ${newest.join(", ")}`;
}
