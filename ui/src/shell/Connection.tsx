import { live, useConnection } from "../data/live";
import styles from "./Connection.module.css";

/** Whether the page is live. A lost connection is said aloud, and can be tried at once. */
export function Connection() {
  const state = useConnection();
  if (state === "lost") {
    return (
      <button type="button" role="alert" className={styles.lost} onClick={() => live.retryNow()}>
        Connection lost, trying again…
      </button>
    );
  }
  if (state !== "live") return null;
  return (
    <span className={styles.live} title="Changes appear by themselves">
      Live
    </span>
  );
}
