"""Who measures sees how far it is, and may end it."""

from __future__ import annotations

import signal
import subprocess
import sys


def test_ctrl_c_ends_it_quietly() -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bench:
        assert bench.stderr is not None
        assert bench.stderr.readline().startswith("Measuring")
        assert bench.stderr.readline().startswith("  cold start to ready:")
        bench.send_signal(signal.SIGINT)
        output, errors = bench.communicate(timeout=60)
    assert bench.returncode == 130
    assert "Traceback" not in errors
    assert output == ""
