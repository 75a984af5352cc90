"""Kinds of option values: how each is read from text (flags, environment) and from a configuration file's value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

Value = bool | int | float | str | Path

_TRUE: Final = {"1", "t", "true", "y", "yes", "on"}
_FALSE: Final = {"0", "f", "false", "n", "no", "off"}
_DURATION_UNITS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|)")
_DURATION_SHOWN: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Kind:
    """Text. `metavar` stands for a value in `--help`, `what` completes "must be …"."""

    metavar: str = "TEXT"
    what: str = "text, in quotes if it looks like a number"

    def parse(self, text: str) -> Value:
        """Read a flag's or a variable's text. Raises ValueError, whose text is `what`."""
        return text

    def accept(self, raw: object) -> Value:
        """Take a value of a configuration file, which has types. Raises ValueError as `parse` does."""
        if isinstance(raw, str):
            return self.parse(raw)
        raise ValueError(self.what)

    def show(self, value: Value) -> str:
        """Write a value as `parse` reads it."""
        return str(value)


class Integer(Kind):
    """A whole number."""

    metavar = "INTEGER"

    def __init__(self, least: int = 0, most: int | None = None) -> None:
        self._least = least
        self._most = most
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        self.what = f"a whole number {bounds}"

    def parse(self, text: str) -> int:
        """Read digits."""
        try:
            return self.accept(int(text))
        except ValueError:
            raise ValueError(self.what) from None

    def accept(self, raw: object) -> int:
        """Take a number, not its text."""
        if isinstance(raw, bool) or not isinstance(raw, int) or raw < self._least:
            raise ValueError(self.what)
        if self._most is not None and raw > self._most:
            raise ValueError(self.what)
        return raw


class Switch(Kind):
    """Yes or no. As a flag it needs no value; `--name=false` takes back what a file or a variable says."""

    metavar = ""
    what = "true or false"

    def parse(self, text: str) -> bool:
        """Read true, yes, on, 1 and their opposites."""
        word = text.strip().lower()
        if word not in _TRUE | _FALSE:
            raise ValueError(self.what)
        return word in _TRUE

    def accept(self, raw: object) -> bool:
        """Take a boolean, not its text."""
        if not isinstance(raw, bool):
            raise ValueError(self.what)
        return raw

    def show(self, value: Value) -> str:
        """Write `true` or `false`."""
        return "true" if value else "false"


class Choice(Kind):
    """One of some words; other words can stand for them."""

    def __init__(self, *words: str, also: dict[str, str] | None = None) -> None:
        self.words = words
        self._also = also or {}
        self.metavar = f"[{'|'.join(words)}]"
        self.what = f"one of {', '.join(words)}"

    def parse(self, text: str) -> str:
        """Read a word, in whatever case."""
        word = text.strip().lower()
        word = self._also.get(word, word)
        if word not in self.words:
            raise ValueError(self.what)
        return word


class Duration(Kind):
    """A time span: seconds, or a number with a unit. The value is in seconds."""

    metavar = "DURATION"
    what = "a number of seconds, or a time span such as 500ms, 10s, 5m, 12h, 30d or 2w"

    def parse(self, text: str) -> float:
        """Read `10`, `10s`, `1.5h`."""
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(self.what)
        return float(match[1]) * _DURATION_UNITS[match[2]]

    def accept(self, raw: object) -> float:
        """Take seconds as a number, or a text."""
        return self.parse(str(raw) if isinstance(raw, (int, float)) and not isinstance(raw, bool) else _text(raw))

    def show(self, value: Value) -> str:
        """Write the largest unit that leaves a whole number."""
        return _with_unit(float(value), _DURATION_SHOWN) if isinstance(value, (int, float)) else str(value)


class Folder(Kind):
    """A path. In a configuration file a relative one starts at the working directory, as everywhere."""

    metavar = "PATH"
    what = "a path, as text"

    def parse(self, text: str) -> Path:
        """Read a path; `~` is the home directory."""
        if not text or "\0" in text:
            raise ValueError(self.what)
        return Path(text).expanduser()


def _text(raw: object) -> str:
    return raw if isinstance(raw, str) else ""


def _with_unit(value: float, units: dict[str, float]) -> str:
    for unit, worth in units.items():
        if value and (value / worth).is_integer():
            return f"{int(value / worth)}{unit}"
    return str(int(value)) if value.is_integer() else f"{value:f}"
