"""What the demo prints: coloured on a terminal, plain elsewhere or when NO_COLOR is set."""

from __future__ import annotations

import os
import sys
import time

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "36"}


class Console:
    """Lines with the seconds since the start in front."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def paint(self, text: str, *styles: str) -> str:
        if not self.coloured:
            return text
        return f"\033[{';'.join(CODES[style] for style in styles)}m{text}\033[0m"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def say(self, text: str = "", *styles: str) -> None:
        sys.stdout.write(self.paint(text, *styles) + "\n" if text else "\n")
        sys.stdout.flush()

    def heading(self, text: str) -> None:
        self.say()
        self.say(text, "bold")

    def step(self, who: str, mark: str, what: str, style: str) -> None:
        """One thing that happened in a run."""
        clock = self.paint(f"{self.seconds:6.1f} s", "dim")
        self.say(f"{clock}  {who:<26} {self.paint(f'{mark} {what}', style)}")

    def error(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
