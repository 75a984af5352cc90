"""The test hooks that lower a function's limits, and what a run over the limit says (flow-control.md §7.3)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import App


def function_id(app: App, name: str) -> str:
    query = "query($slug: String!) { functionBySlug(query: {functionSlug: $slug}) { id } }"
    found: str = app.platform.gql(query, slug=app.slug(name))["functionBySlug"]["id"]
    return found


@contextlib.contextmanager
def limited(app: App, kind: str, limit: int) -> Iterator[None]:
    params = {"functionId": function_id(app, "limited")}
    assert app.platform.http.post(f"/fn/{kind}", params={**params, "limit": limit}).status_code == 200
    try:
        yield
    finally:
        assert app.platform.http.delete(f"/fn/{kind}", params=params).status_code == 200


def test_step_limit(app: App) -> None:
    if app.checkpoints:
        with limited(app, "step-limit", 2):
            assert app.finish("limited").status == "COMPLETED"  # three steps in one call are over before the next check
        return
    with limited(app, "step-limit", 2):
        run = app.finish("limited", status="FAILED")
    message = "The function run exceeded the step limit of 2 steps."
    error = {"error": "function has too many steps", "name": "InngestErrFunctionOverflowed", "message": message}
    assert run.output == {"error": error}
    assert [step for step, _ in app.ran(run.id)] == ["s0", "s1"]
    assert app.finish("limited").status == "COMPLETED"


def test_state_size_limit(app: App) -> None:
    with limited(app, "state-size-limit", 1500):
        run = app.finish("limited", status="FAILED")  # a checkpoint is refused; what the SDK then answers fails the run
    name = "InngestErrStateOverflowed"
    message = "The function run exceeded the state size limit of 1500 bytes."
    assert run.output == {"error": {"error": f"{name}: {message}", "name": name, "message": message}}


def test_the_hooks_themselves(any_app: App) -> None:
    http = any_app.platform.http
    params = {"functionId": function_id(any_app, "limited")}
    for kind, words in (("step-limit", "step limit"), ("state-size-limit", "state size limit")):
        bad = http.post(f"/fn/{kind}", params={**params, "limit": "x"})
        assert bad.status_code == 400
        assert bad.json() == {"error": "Invalid limit: x", "data": None, "status": 400}
        missing = http.delete(f"/fn/{kind}", params=params)
        assert missing.status_code == 404
        assert missing.json()["error"] == f"No {words} set for function: {params['functionId']}"
