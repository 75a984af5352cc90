import { clock, duration, relative } from "../logic/format";
import { useNow } from "./now";

interface MomentProps {
  at: number | undefined;
  /** `clock`: 14:03:27.123. `relative`: 3 m ago. The other one is in the title. */
  as?: "clock" | "relative";
}

/** A moment. Copying it gives ISO 8601. */
export function Moment({ at, as = "clock" }: MomentProps) {
  const now = useNow(as === "relative" ? 1_000 : 60_000);
  if (at === undefined) return <span className="faint">–</span>;
  const iso = new Date(at).toISOString();
  const texts = [clock(at, now), relative(at, now)];
  const [shown, other] = as === "clock" ? texts : texts.reverse();
  return (
    <time className="number" dateTime={iso} title={`${other} · ${iso}`}>
      {shown}
    </time>
  );
}

interface DurationProps {
  ms: number | undefined;
}

export function Duration({ ms }: DurationProps) {
  return <span className="number">{ms === undefined ? "–" : duration(ms)}</span>;
}

/** Time since a moment, counting. */
export function Since({ at }: { at: number }) {
  return <Duration ms={useNow(1_000) - at} />;
}
