import { Dialog } from "../parts/Dialog";
import styles from "./Help.module.css";
import { PLACES } from "./navigation";

const KEYS: [string, string][] = [
  ["Ctrl K, ⌘ K", "Search, or jump to a screen, a function, a run"],
  ["/", "To the search field of the screen"],
  ["j, k", "Next and previous row"],
  ["Enter", "Open the row"],
  ["x", "Select the row"],
  ["Esc", "Close, or clear the selection"],
  ["?", "This list"],
];

/** All keys. */
export default function Help({ close }: { close: () => void }) {
  return (
    <Dialog title="Keyboard" close={close}>
      <dl className={styles.keys}>
        {[...KEYS, ...PLACES.map((place): [string, string] => [`g ${place.key}`, place.label])].map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
