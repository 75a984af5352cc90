"""Writes docs/reference/configuration.md from the table of options; with --check, fails if the page is out of date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby

from page import keep

from holdfast.server.commands import default_text
from holdfast.server.config.kinds import Choice, Duration, Integer, Switch
from holdfast.server.config.options import BOTH, FOREIGN, OPTIONS, Option

HEAD = """\
# Configuration

<!-- Made by scripts/config_reference.py; `make format` renews it. -->

Every option has one name. `sdk-url`, for example, is

| where | as |
|---|---|
| flag | `--sdk-url URL` |
| environment | `HOLDFAST_SDK_URL=URL`, else `INNGEST_SDK_URL=URL` |
| file | `sdk-url: URL` |

and the first of these that says something counts; then the default does. `holdfast config show [dev|start]` prints
every value and where it comes from (`--json` for programs). It ends with code 2 if something is wrong: check with it
before a deploy.

## Files

`--config PATH`, else `HOLDFAST_CONFIG`, else `INNGEST_CONFIG` names the file; one that can't be read is an error. If
none is named, the first of `holdfast.toml`, `.yaml`, `.yml`, `.json` and `inngest.json`, `.yaml`, `.yml` counts that
is found in the working directory or above it, then in `~/.config/holdfast`, in `~/.config/inngest`, and in
`/etc/holdfast`. `holdfast config example` prints one in TOML with all options.

```toml
# holdfast.toml
sdk-url = ["http://10.0.0.5:8000/api/inngest"]
log-level = "info"

[start]                 # for `holdfast start` only
drain-timeout = "30s"
sqlite-dir = "/var/lib/holdfast"

[dev]                   # for `holdfast dev` only
persist = true
```

Names may be written with `_` instead of `-`. An option of the other command is passed over, so one file serves both;
a name that no command knows, or a value of the wrong type, is refused with its file and line. A relative path starts
at the working directory.

## Environment

- Lists are separated by commas. An empty variable is an unset one.
- Yes is `true`, `1`, `yes` or `on`; no is `false`, `0`, `no` or `off`. As a flag: `--persist`, `--persist=false`.
- Secrets can come from files (Docker and Kubernetes secrets): `HOLDFAST_SIGNING_KEY_FILE=/run/secrets/signing-key`.
  A list has a line per value.
- A `HOLDFAST_…` variable that nothing reads is warned of when the server starts.

## Options
"""
VALUES = {
    Duration: "time span: `500ms`, `10s`, `5m`, `12h`, `30d`, or seconds",
    Switch: "`true` or `false`",
}


def main() -> int:
    return keep("configuration.md", "\n".join(page()))


def page() -> Iterator[str]:
    yield HEAD
    groups = list(dict.fromkeys(option.group for option in OPTIONS))
    ordered = sorted(OPTIONS, key=lambda option: groups.index(option.group))
    for group, options in groupby(ordered, key=lambda option: option.group):
        yield f"### {group}\n\n| name | value | default | |\n|---|---|---|---|"
        yield from map(row, options)
        yield ""
    yield "## Options of the reference that mean nothing here\n"
    yield "They are accepted in files and variables, with a warning.\n\n| name | why |\n|---|---|"
    yield from (f"| `{name}` | {why} |" for name, why in FOREIGN.items())
    yield ""


def row(option: Option) -> str:
    default = default_text(option) or ("false" if isinstance(option.kind, Switch) else "")
    return f"| {name(option)} | {value(option)} | {f'`{default}`' if default else ''} | {option.help}{notes(option)} |"


def name(option: Option) -> str:
    if option.flag:
        return f"`{option.name}`"
    return ", ".join(f"`{variable}`" for variable in option.variables)


def value(option: Option) -> str:
    if isinstance(option.kind, Choice):
        return ", ".join(f"`{word}`" for word in option.kind.words)
    known = VALUES.get(type(option.kind), option.kind.what if isinstance(option.kind, Integer) else "text")
    return f"list of {known}" if option.many else known


def notes(option: Option) -> str:
    facts = []
    if option.commands != BOTH:
        facts.append(f"`{option.commands[0]}` only.")
    if option.flag and not option.own_env:
        facts.append("No variable.")
    elif option.flag and option.env:
        facts.append(f"Also {', '.join(f'`{variable}`' for variable in option.env)}.")
    if not option.in_files:
        facts.append("Variable only.")
    if option.secret:
        facts.append(f"Secret: `{option.file_variable}` names a file with it.")
    return " ".join(["", *facts])


if __name__ == "__main__":
    sys.exit(main())
