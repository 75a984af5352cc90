"""The end of a server in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .access_rig import Rig

if TYPE_CHECKING:
    from pathlib import Path


def test_a_part_that_can_not_end_keeps_no_other_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)

    def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(rig.server.disk, "close", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        rig.run(rig.server.close())
    rig.client.close()
    again = Rig(tmp_path)  # the lock is free
    assert again.request("GET", "/ready").status_code == 200
    again.close()
