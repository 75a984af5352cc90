import { Link } from "@tanstack/react-router";

import { Empty } from "../parts/Empty";

/** An address that no screen has. */
export function Nowhere() {
  return (
    <Empty title="There is no such page" detail={location.pathname}>
      <Link to="/runs">Go to the runs</Link>
    </Empty>
  );
}
