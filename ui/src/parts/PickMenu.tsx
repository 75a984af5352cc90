import { Menu } from "@base-ui/react/menu";

import menu from "./Menu.module.css";
import { PickLabel, type PickProps, isSet } from "./Pick";
import styles from "./Pick.module.css";

/** The menu of a filter. */
export default function PickMenu(props: PickProps) {
  const { options, chosen, choose, single } = props;
  const toggle = (value: string) =>
    choose(single ? [value] : chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value]);
  return (
    <Menu.Root defaultOpen>
      <Menu.Trigger className={styles.trigger} data-set={isSet(props) || undefined}>
        <PickLabel {...props} />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner align="start" sideOffset={4} className={menu.positioner}>
          <Menu.Popup className={menu.popup}>
            {options.map(([value, name]) => (
              <Menu.CheckboxItem
                key={value}
                className={menu.item}
                checked={chosen.includes(value)}
                onCheckedChange={() => toggle(value)}
                closeOnClick={single ?? false}
              >
                <span className={menu.tick}>{chosen.includes(value) ? "✓" : ""}</span>
                {name}
              </Menu.CheckboxItem>
            ))}
            {options.length ? null : <p className={menu.label}>Nothing to choose from yet</p>}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
