import { Menu } from "@base-ui/react/menu";
import { useNavigate } from "@tanstack/react-router";

import { server } from "../data/server";
import menu from "../parts/Menu.module.css";
import { Initial } from "./Account";
import styles from "./Account.module.css";

export default function AccountMenu() {
  const navigate = useNavigate();
  return (
    <Menu.Root defaultOpen>
      <Menu.Trigger className={styles.button} aria-label={`Account of ${server.user}`}>
        <Initial />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner align="end" sideOffset={6} className={menu.positioner}>
          <Menu.Popup className={menu.popup}>
            <Menu.Group>
              <Menu.GroupLabel className={styles.who}>
                <b className="cut">{server.user}</b>
                <span className={styles.role}>{server.role}</span>
              </Menu.GroupLabel>
              <Menu.Item className={menu.item} onClick={() => void navigate({ to: "/settings/$section", params: { section: "account" }, search: {} })}>
                Your account
              </Menu.Item>
              <Menu.Item className={menu.item} onClick={() => void logOut()}>
                Log out
              </Menu.Item>
            </Menu.Group>
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}

async function logOut(): Promise<void> {
  await fetch("/logout", { method: "POST", headers: { "content-type": "application/json" } });
  location.assign("/login");
}
