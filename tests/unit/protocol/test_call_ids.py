"""Step ids in calls: whatever an SDK makes of them, the body stays JSON."""

from __future__ import annotations

import json

import pytest

from holdfast.protocol.calls import CallContext, render_body


@pytest.mark.parametrize("id", ["a" * 40, 'say "hi"', "two\nlines", "nul\0", "back\\slash", "ünïcode ✓", ""])
def test_any_step_id_is_written_as_json(id: str) -> None:
    context = CallContext("run", "fn", "job", "item", "request", 1, 0, 4)
    body = json.loads(render_body(context, [b'{"data":{}}'], {id: b'{"data":1}'}, 10, inputs={id + "x": b"[]"}))
    assert body["steps"] == {id: {"data": 1}, id + "x": {"input": []}}
    assert body["ctx"]["stack"]["stack"] == [id]
