"""What a server says of what happens: `dev` everything, `start` what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable

from holdfast.server.activity import log, text
from holdfast.server.activity.activity import Activity
from holdfast.server.activity.writer import Writer
from holdfast.server.config import Config
from holdfast.server.logs import as_json


def show(config: Config, activity: Activity) -> Callable[[], None]:
    """Shows from now on what happens, on stderr; answers what ends it."""
    if config.quiet or config.log_level == "error":
        return _nothing
    if config.kind != "dev" or as_json(config):
        return activity.follow(log.write, everything=config.kind == "dev" and config.log_level != "warn")
    writer, color = Writer(sys.stderr), sys.stderr.isatty()
    unfollow = activity.follow(lambda happening: writer.write(text.line(happening, color=color)), everything=True)

    def end() -> None:
        unfollow()
        writer.close()

    return end


def _nothing() -> None:
    pass
