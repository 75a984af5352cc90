import { Problem } from "../data/http";
import { Button } from "./Button";
import { Empty } from "./Empty";

interface Props {
  error: unknown;
  retry?: () => void;
  /** What could not be done, as a title. */
  title?: string;
}

const NEXT: Record<number, string> = {
  0: "Is the server still running? The page goes on by itself once it is back.",
  403: "Ask somebody with that role, or log in as somebody else.",
  404: "It may have been removed by the server's retention.",
};

/** A request that failed: what, why, and the next step. */
export function Failure({ error, retry, title = "This could not be loaded" }: Props) {
  const status = error instanceof Problem ? error.status : 200;
  const text = error instanceof Error ? error.message : String(error);
  return (
    <div role="alert">
      <Empty title={title} detail={sentence(text)}>
        {NEXT[status] ? <p className="soft">{NEXT[status]}</p> : null}
        {retry ? <Button onClick={retry}>Try again</Button> : null}
      </Empty>
    </div>
  );
}

function sentence(text: string): string {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(start) ? start : `${start}.`;
}
