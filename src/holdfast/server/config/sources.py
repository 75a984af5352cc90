"""Where each value of the configuration comes from: flag, environment, file or default, in this order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from holdfast.server.config import Config
from holdfast.server.config import file as config_file
from holdfast.server.config.file import ConfigError, ConfigFile, checked, did_you_mean, parse_many
from holdfast.server.config.kinds import Value
from holdfast.server.config.options import BY_NAME, FOREIGN, OPTIONS, OTHER_VARIABLES, START, Option

Given = Value | tuple[Value, ...]

#: How the reference calls the file's variable.
CONFIG_VARIABLES: Final = ("HOLDFAST_CONFIG", "INNGEST_CONFIG")
MASK: Final = "********"

#: Kubernetes gives each pod such variables for each Service: `HOLDFAST_PORT=tcp://10.43.7.1:8288` for one named
#: `holdfast`, `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_PORT_8288_TCP_ADDR` and their kin.
_LINK_VALUE: Final = re.compile(r"(?:tcp|udp|sctp)://(?:\[[0-9a-fA-F:.%]+\]|[^\s/:]+):[0-9]+")
_LINK_NAME: Final = re.compile(r".*?_(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.+)?)")


class Setting(msgspec.Struct, frozen=True):
    """One option's value and its origin: `name` is the flag, the variable or the file's path."""

    option: Option
    value: Given
    source: Literal["flag", "env", "file", "default"] = "default"
    name: str = ""

    @property
    def origin(self) -> str:
        """The origin for people."""
        return f"{self.source} {self.name}".strip()

    @property
    def shown(self) -> str | list[str]:
        """The value for people; secrets are masked."""
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        texts = [MASK if self.option.secret and value else self.option.kind.show(value) for value in values]
        return texts if self.option.many else texts[0]


class Settings(msgspec.Struct, frozen=True):
    """All options of a command, with what to warn of."""

    command: str
    settings: tuple[Setting, ...]
    file: Path | None = None
    warnings: tuple[str, ...] = ()

    def config(self) -> Config:
        """Return the server's configuration. Keys are not asked for: see `cli`."""
        values: dict[str, object] = {}
        for setting in self.settings:
            value = setting.value
            values[setting.option.attribute] = not value if setting.option.inverted else value
        if self.command == START:  # what makes a self-hosted server
            values |= {"kind": "cloud", "persist": True, "discovery": False, "poll": False}
        return msgspec.convert(values, Config)


def masked(config: Config) -> dict[str, object]:
    """Return a configuration's values for people, by field; secrets are masked."""
    secret = {option.attribute for option in OPTIONS if option.secret}
    values = msgspec.structs.asdict(config)
    return {name: MASK if name in secret and value else _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def load(command: str, flags: Mapping[str, Given], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Collect a command's settings: `flags` by option name, `config` as named by a flag. Raises ConfigError."""
    return gather(command, [o for o in OPTIONS if command in o.commands], flags, environ, config)


def gather(
    command: str, options: list[Option], flags: Mapping[str, Given], environ: Mapping[str, str], config: Path | None
) -> Settings:
    """Collect the settings of some options; `command` chooses the file's section. Raises ConfigError."""
    file = _file(environ, config)
    problems: list[str] = []
    settings: list[Setting] = []
    for option in options:
        try:
            settings.append(_setting(option, command, flags, environ, file))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    links = sorted(name for name, text in environ.items() if _is_service_link(name, text))
    warnings = (*(file.warnings if file else ()), *_ignored(links), *_strangers(environ, links))
    return Settings(command, tuple(settings), file.path if file else None, warnings)


def _file(environ: Mapping[str, str], named: Path | None) -> ConfigFile | None:
    variable = next((environ[name] for name in CONFIG_VARIABLES if environ.get(name)), "")
    path = named or (Path(variable) if variable else config_file.find(config_file.working_folder(), environ))
    return config_file.read(path) if path is not None else None


def _setting(
    option: Option, command: str, flags: Mapping[str, Given], environ: Mapping[str, str], file: ConfigFile | None
) -> Setting:
    if option.name in flags:
        return Setting(option, flags[option.name], "flag", f"--{option.name}")
    for variable in option.variables:
        if (text := environ.get(variable, "")) and not _is_service_link(variable, text):
            if option.file_variable and environ.get(option.file_variable):
                raise ConfigError(f"{variable} and {option.file_variable} are both set: remove one of them")
            return Setting(option, _parse(option, text, variable), "env", variable)
    if option.file_variable and (path := environ.get(option.file_variable)):
        text = _secret(path, option.file_variable)
        return Setting(option, _parse(option, text, f"{path} ({option.file_variable})"), "env", option.file_variable)
    value = file.find(option, command) if file is not None else None
    if file is not None and value is not None:
        return Setting(option, value, "file", str(file.path))
    return Setting(option, option.default)


def _parse(option: Option, text: str, origin: str) -> Given:
    try:
        return parse_many(option, [text]) if option.many else checked(option, option.kind.parse(text))
    except ValueError as error:
        shown = "" if option.secret else f", not '{text}'{_unquoted(text)}"
        raise ConfigError(f"{origin} must be {error}{shown}") from error


def _unquoted(text: str) -> str:
    """Return a hint for a value with quotes around it, which `docker --env-file` and systemd hand on as they are."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return " (leave out the quotes: they are part of the value here)" if quoted else ""


def _secret(path: str, variable: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"can't read {path}, which {variable} names: {told}") from error
    if not text:
        raise ConfigError(f"{path}, which {variable} names, is empty")
    return text


def _is_service_link(name: str, text: str) -> bool:
    """Return whether Kubernetes made a variable for a Service, whose name begins as our variables do."""
    if not name.startswith(("HOLDFAST_", "INNGEST_")):
        return False
    is_port = name.endswith("_PORT") and _LINK_VALUE.fullmatch(text) is not None
    return is_port or _LINK_NAME.fullmatch(name) is not None


def _ignored(links: list[str]) -> Iterator[str]:
    if links:
        yield (
            f"ignored {', '.join(links)}: Kubernetes sets them for a Service of this name; to avoid them, "
            "set `enableServiceLinks: false` in the pod's spec"
        )


def _strangers(environ: Mapping[str, str], links: list[str]) -> Iterator[str]:
    """Warnings of variables that look like options and are none."""
    known = OTHER_VARIABLES | {name for o in BY_NAME.values() for name in (*o.variables, o.file_variable) if name}
    foreign = {f"INNGEST_{name.replace('-', '_').upper()}": why for name, why in FOREIGN.items()}
    for name in sorted(environ):
        if name in foreign:
            yield f"{name} has no effect here: {foreign[name]}"
        elif name.startswith("HOLDFAST_") and name not in known and name not in links:
            yield f"unknown variable {name}{did_you_mean(name, known)}"
