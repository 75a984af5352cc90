import { Menu } from "@base-ui/react/menu";
import { type ReactNode, useState } from "react";

import menu from "../parts/Menu.module.css";
import styles from "./Settings.module.css";
import { type Density, type Theme, density, setDensity, setTheme, theme } from "./theme";

const THEMES: [Theme, string][] = [
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];
const DENSITIES: [Density, string][] = [
  ["comfortable", "Comfortable"],
  ["compact", "Compact"],
];

export default function SettingsMenu({ icon }: { icon: ReactNode }) {
  return (
    <Menu.Root defaultOpen>
      <Menu.Trigger className={styles.button} aria-label="Appearance">
        {icon}
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner align="end" sideOffset={6} className={menu.positioner}>
          <Menu.Popup className={menu.popup}>
            <Choice label="Theme" options={THEMES} read={theme} write={setTheme} />
            <Choice label="Density" options={DENSITIES} read={density} write={setDensity} />
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  options: [T, string][];
  read: () => T;
  write: (value: T) => void;
}

function Choice<T extends string>({ label, options, read, write }: ChoiceProps<T>) {
  const [chosen, setChosen] = useState(read);
  const choose = (value: T) => {
    write(value);
    setChosen(() => value);
  };
  return (
    <Menu.Group>
      <Menu.GroupLabel className={menu.label}>{label}</Menu.GroupLabel>
      <Menu.RadioGroup value={chosen} onValueChange={choose}>
        {options.map(([value, text]) => (
          <Menu.RadioItem key={value} value={value} className={menu.item} closeOnClick={false}>
            <span className={menu.tick}>
              <Menu.RadioItemIndicator>✓</Menu.RadioItemIndicator>
            </span>
            {text}
          </Menu.RadioItem>
        ))}
      </Menu.RadioGroup>
    </Menu.Group>
  );
}
