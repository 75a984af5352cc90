"""The configuration file: finding, reading and checking one (TOML, YAML or JSON; `protocol/http-apis.md` §15)."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final, cast

import msgspec

from holdfast.server.config.kinds import Value
from holdfast.server.config.options import BOTH, BY_NAME, FOREIGN, Option

#: Where a file may lie in a folder, first come first served; and its folder in `~/.config`.
NAMES: Final = {
    "holdfast": ("holdfast.toml", "holdfast.yaml", "holdfast.yml", "holdfast.json"),
    "inngest": ("inngest.json", "inngest.yaml", "inngest.yml"),
}
_MOST_BYTES: Final = 1024 * 1024
_MOST_NODES: Final = 10_000
#: Where a machine's own server has its file: commands for it need no --config then.
SYSTEM: Final = Path("/etc/holdfast")


class ConfigError(Exception):
    """The configuration can't be used; `problems` say what is wrong where, and how to mend it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ConfigFile(msgspec.Struct, frozen=True):
    """What a file says: by option name, what holds for both commands and what for one of them."""

    path: Path
    common: Mapping[str, Value | tuple[Value, ...]]
    by_command: Mapping[str, Mapping[str, Value | tuple[Value, ...]]]
    warnings: tuple[str, ...] = ()

    def find(self, option: Option, command: str) -> Value | tuple[Value, ...] | None:
        """Return the value of an option; what is said for one command wins."""
        own = self.by_command.get(command, {})
        return own.get(option.name, self.common.get(option.name))


def find(folder: Path, environ: Mapping[str, str], system: Path = SYSTEM) -> Path | None:
    """The file that applies where none is named: in `folder`, above it, in the user's own place, in `system`."""
    names = [name for names in NAMES.values() for name in names]
    home = environ.get("HOME")
    base = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    places = [place / name for place in (folder, *folder.parents) for name in names]
    places += [Path(base) / product / name for product in NAMES if base for name in NAMES[product]]
    places += [system / name for name in NAMES["holdfast"]]
    return next((place for place in places if _is_file(place)), None)


def _is_file(path: Path) -> bool:
    """Whether there is such a file, for all that this user may know: `sudo -u holdfast` in root's home sees nothing."""
    try:
        return path.is_file()
    except OSError:
        return False


def read(path: Path) -> ConfigFile:
    """Read and checks a file. Raises ConfigError with everything that is wrong in it."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ConfigError(f"{path} is not a configuration file: it has more than {_MOST_BYTES:,} bytes")
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"can't read the configuration file {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from error
    raw = _PARSERS.get(path.suffix.lower(), _yaml)(path, text)
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold names and values, such as {_example(path)}, not {_type(raw)}")
    return _Reader(path, text).read(cast("dict[object, object]", raw))


class _Reader:
    """Checks one file, collecting what is wrong."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._problems: list[str] = []
        self._warnings: list[str] = []

    def read(self, raw: Mapping[object, object]) -> ConfigFile:
        sections = {str(key): value for key, value in raw.items() if key in BOTH}
        common = self._section({key: value for key, value in raw.items() if key not in BOTH})
        by_command: dict[str, Mapping[str, Value | tuple[Value, ...]]] = {}
        for name, section in sections.items():
            if isinstance(section, dict):
                by_command[name] = self._section(cast("dict[object, object]", section), name)
            else:
                self._complain(name, f"'{name}' must hold the options of `holdfast {name}`, not {_type(section)}")
        if self._problems:
            raise ConfigError(*self._problems)
        return ConfigFile(self._path, common, by_command, tuple(self._warnings))

    def _section(self, raw: Mapping[object, object], command: str = "") -> dict[str, Value | tuple[Value, ...]]:
        found: dict[str, Value | tuple[Value, ...]] = {}
        for key, value in raw.items():
            name = str(key).replace("_", "-")
            option = BY_NAME.get(name)
            if name in FOREIGN:
                self._warnings.append(f"{self._place(str(key))}: '{key}' has no effect here: {FOREIGN[name]}")
            elif option is None or not option.in_files:
                known = BOTH if isinstance(value, dict) and not command else BY_NAME
                self._complain(str(key), f"unknown option '{key}'{did_you_mean(name, known)}")
            elif command and command not in option.commands:
                self._complain(str(key), f"`holdfast {command}` has no option '{key}'")
            elif value is not None and value != "":  # empty is unset, as in the environment
                self._take(found, option, str(key), value)
        return found

    def _take(self, found: dict[str, Value | tuple[Value, ...]], option: Option, key: str, value: object) -> None:
        try:
            found[option.name] = _accept(option, value)
        except ValueError as error:
            shown = f", not {_type(value)}" + ("" if option.secret else f" {_json(value)}")
            self._complain(key, f"'{key}' must be {error}{shown}")

    def _complain(self, key: str, text: str) -> None:
        self._problems.append(f"{self._place(key)}: {text}")

    def _place(self, key: str) -> str:
        """Return the file, and the line if it is certain."""
        lines = list(self._lines_of(key))
        return f"{self._path}:{lines[0]}" if len(lines) == 1 else str(self._path)

    def _lines_of(self, key: str) -> Iterator[int]:
        pattern = re.compile(rf"""\s*[\[{{]?\s*["']?{re.escape(key)}["']?\s*[=:\]]""")
        for number, line in enumerate(self._lines, 1):
            if pattern.match(line):
                yield number


def _accept(option: Option, value: object) -> Value | tuple[Value, ...]:
    if not option.many:
        return checked(option, option.kind.accept(value))
    if isinstance(value, str):
        return parse_many(option, [value])
    if not isinstance(value, list):
        raise ValueError(f"a list of {option.kind.what}")
    return tuple(checked(option, option.kind.accept(item)) for item in cast("list[object]", value))


def parse_many(option: Option, texts: list[str]) -> tuple[Value, ...]:
    """Read the values of a repeatable option, each of which may hold several with commas. Raises ValueError."""
    parts = (part.strip() for text in texts for part in text.replace("\n", ",").split(","))
    return tuple(checked(option, option.kind.parse(part)) for part in parts if part)


def checked(option: Option, value: Value) -> Value:
    """Return what an option's own check makes of a value. Raises ValueError."""
    return value if option.check is None else option.check(value)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question to end an error with; empty if nothing is alike."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def _toml(path: Path, text: str) -> object:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _json_file(path: Path, text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once(path)) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error


def _once(path: Path) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    def table(pairs: list[tuple[str, object]]) -> dict[str, object]:
        _refuse_twice(path, ((name, 0) for name, _ in pairs))
        return dict(pairs)

    return table


def _refuse_twice(path: Path, names: Iterable[tuple[str, int]]) -> None:
    """TOML has no name twice; for the others, the one that counts would be a guess."""
    seen: set[str] = set()
    for name, line in names:
        if name in seen:
            raise ConfigError(f"{path}{f':{line}' if line else ''}: '{name}' is set twice: remove one of them")
        seen.add(name)


def _yaml(path: Path, text: str) -> object:
    import yaml  # noqa: PLC0415 - only for those who have such a file

    seen = 0

    def look(node: object) -> None:
        nonlocal seen
        seen += 1
        if seen > _MOST_NODES:  # each alias counts as what it stands for, or a few lines could be gigabytes
            raise ConfigError(f"{path} has more than {_MOST_NODES:,} values, aliases included")
        if isinstance(node, yaml.MappingNode):
            pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
            _refuse_twice(path, ((str(key.value), key.start_mark.line + 1) for key, _ in pairs))
            for key, value in pairs:
                look(key)
                look(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in cast("list[yaml.Node]", node.value):
                look(value)

    try:
        look(yaml.compose(text, yaml.SafeLoader))
        return cast("object", yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that there isn't is a ValueError
        told = " ".join(str(error).split())
        raise ConfigError(f"{path} is not valid YAML: {told}") from error


_PARSERS: Final[Mapping[str, Callable[[Path, str], object]]] = {".toml": _toml, ".json": _json_file}


def _example(path: Path) -> str:
    examples = {".toml": "`port = 9000`", ".json": '`{"port": 9000}`'}
    return examples.get(path.suffix.lower(), "`port: 9000`")


def _type(value: object) -> str:
    names: dict[type[object], str] = {
        bool: "the boolean", int: "the number", float: "the number", str: "the text", list: "the list", dict: "a table",
    }  # fmt: skip
    return names.get(type(value), f"a {type(value).__name__}")


def _json(value: object) -> str:
    return "" if isinstance(value, dict) else json.dumps(value, default=str)


def working_folder() -> Path:
    """The folder that the search starts from; the root if it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return Path(os.sep)
