import { Dialog as Base } from "@base-ui/react/dialog";
import type { ReactNode } from "react";

import { Icon } from "./Icon";
import styles from "./Dialog.module.css";

interface Props {
  title: string;
  close: () => void;
  children: ReactNode;
  wide?: boolean;
  /** Without a visible head: the title is for screen readers. */
  bare?: boolean;
}

/** A dialog over the page: Escape or a click beside it closes it, and the focus goes back to where it was. */
export function Dialog({ title, close, children, wide, bare }: Props) {
  return (
    <Base.Root open onOpenChange={(open) => open || close()}>
      <Base.Portal>
        <Base.Backdrop className={styles.backdrop} />
        <Base.Popup className={`${styles.popup} ${wide ? styles.wide : ""} ${bare ? styles.bare : ""}`}>
          <div className={bare ? "hidden-visually" : styles.head}>
            <Base.Title className={styles.title}>{title}</Base.Title>
            {bare ? null : (
              <Base.Close className={styles.close} aria-label="Close">
                <Icon path="M4 4l8 8M12 4l-8 8" />
              </Base.Close>
            )}
          </div>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
