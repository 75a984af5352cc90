import { useRouter } from "@tanstack/react-router";
import { useEffect, useId, useMemo, useRef, useState } from "react";

import { Dialog } from "../../parts/Dialog";
import { Icon } from "../../parts/Icon";
import { useFunctions } from "../../data/functions";
import styles from "./Palette.module.css";
import { type Command, commandsFor } from "./commands";
import { useFound } from "./found";

/** Search and command palette: screens, functions, and what an id or a text may mean. */
export default function Palette({ close }: { close: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const router = useRouter();
  const functions = useFunctions();
  const found = useFound(text);
  const commands = useMemo(() => [...commandsFor(text, functions.data ?? []), ...found], [text, functions.data, found]);
  const list = useId();
  const chosen = useRef<HTMLLIElement>(null);
  useEffect(() => chosen.current?.scrollIntoView({ block: "nearest" }), [at]);
  const run = (command: Command | undefined): void => {
    if (!command) return;
    close();
    if (command.to) void router.navigate({ to: command.to, search: command.search ?? {} });
    else command.act?.();
  };
  const steer = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setAt((at + step + commands.length) % Math.max(commands.length, 1));
    else if (event.key === "Enter") run(commands[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Search" close={close} bare>
      <input
        className={styles.field}
        role="combobox"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={commands.length ? `${list}-${at}` : undefined}
        aria-label="Search"
        placeholder="A screen, a function, the id of a run or an event, or any text…"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={(event) => steer(event as unknown as KeyboardEvent)}
      />
      <ul id={list} role="listbox" aria-label="Results" className={styles.list}>
        {commands.map((command, place) => (
          <li
            key={command.id}
            id={`${list}-${place}`}
            ref={place === at ? chosen : undefined}
            role="option"
            aria-selected={place === at}
            className={styles.option}
            onClick={() => run(command)}
            onPointerMove={() => setAt(place)}
          >
            <Icon path={command.icon} />
            <span className="cut">{command.label}</span>
            <span className={styles.kind}>{command.kind}</span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
