"""What somebody sees who installed `holdfast` without its server."""

from __future__ import annotations

import sys

import pytest

from holdfast.__main__ import main


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("holdfast.server.c")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "click", None)
    with pytest.raises(
        SystemExit, match=r"click is not installed\. .* in your clone of Holdfast, run: pip install '\.\[server\]'"
    ):
        main()
