"""How logs look on a terminal."""

from __future__ import annotations

import re
import subprocess
import sys

_LOG = """
import structlog
from holdfast.server import logs
from holdfast.server.config import Config
logs.set_up(Config(log_format="text"))
structlog.get_logger().info("app synced", app="shop")
"""


def test_the_time_stands_first() -> None:
    done = subprocess.run([sys.executable, "-c", _LOG], check=True, capture_output=True, text=True)
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[info +\] app synced +app=shop\n", done.stderr), done.stderr
