// Looking closer at a part of the timeline, by dragging over its ruler.

import { type PointerEvent as Press, useState } from "react";

import type { Scale } from "../../logic/scale";

interface Range {
  from: number;
  to: number;
}

const LEAST = 0.01;

export function useZoom() {
  const [range, setRange] = useState<Range>();
  const [brush, setBrush] = useState<Range>(); // places, 0 to 1
  const begin = (event: Press<HTMLElement>, scale: Scale): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = (x: number) => Math.min(Math.max((x - box.left) / box.width, 0), 1);
    const start = place(event.clientX);
    const between = (x: number): Range => ({ from: Math.min(start, place(x)), to: Math.max(start, place(x)) });
    const move = (moved: PointerEvent) => setBrush(between(moved.clientX));
    const end = (ended: PointerEvent) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      setBrush(undefined);
      const wanted = between(ended.clientX);
      if (wanted.to - wanted.from > LEAST) setRange({ from: scale.time(wanted.from), to: scale.time(wanted.to) });
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  };
  return { range, brush, begin, reset: () => setRange(undefined) };
}
