"""The OpenAPI document and the routes that there are: neither knows anything that the other doesn't."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.access_rig import Rig

from holdfast.server.api.rest.openapi.document import build
from holdfast.server.api.rest.openapi.entries import UNDOCUMENTED
from holdfast.server.api.rest.openapi.reference import lines, markdown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCUMENT = build("1")
DOCUMENTED = {(method.upper(), path) for path, shown in DOCUMENT["paths"].items() for method in shown}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("dev"), dev=True, test_mode=True)
    yield rig
    rig.close()


def routes(rig: Rig) -> set[tuple[str, str]]:
    """As documents write them: `/v2` stands in the document as `/api/v2`."""
    found = {(method, re.sub(r":\w+}", "}", path)) for method, path in rig.routes() if method != "HEAD"}
    return {(m, p) for m, p in found if not p.startswith("/v2/") or p == "/v2/operations"}


def excepted(path: str) -> bool:
    names = [re.sub(r":\w+}", "}", name) for name in UNDOCUMENTED]
    return path == "/" or any(path == name or path.startswith(f"{name}/") for name in names)


def test_each_route_is_in_the_document_or_is_excepted(rig: Rig) -> None:
    unknown = sorted(
        f"{method} {path}" for method, path in routes(rig) - DOCUMENTED if not excepted(path) and not ours(path)
    )
    assert unknown == []


def ours(path: str) -> bool:
    """Pages of the UI: for people."""
    return path in {"/v0", "/v0/"}


def test_each_route_of_the_document_is_there(rig: Rig) -> None:
    assert sorted(DOCUMENTED - routes(rig)) == []


def test_both_prefixes_have_the_same_routes(rig: Rig) -> None:
    found = {prefix: set() for prefix in ("/v2", "/api/v2")}
    for method, path in rig.routes():
        for prefix, known in found.items():
            if path.startswith(f"{prefix}/"):
                known.add((method, path.removeprefix(prefix)))
    assert found["/v2"] == found["/api/v2"]


def test_references_lead_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    schemas: Any = DOCUMENT["components"]
    assert set(re.findall(r"#/components/schemas/([^\"]+)", text)) <= set(schemas["schemas"])
    webhook: Any = DOCUMENT["paths"]["/api/v2/env/webhooks"]["post"]  # type: ignore[index]
    properties = webhook["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(properties) == {"name", "transform", "response", "eventFilter"}  # what the transport fills in is not


def test_operation_ids_are_unique() -> None:
    paths: Any = DOCUMENT["paths"]
    ids = [shown["operationId"] for shown in (s for m in paths.values() for s in m.values()) if "operationId" in shown]
    assert len(ids) == len(set(ids))


def test_it_is_served(rig: Rig) -> None:
    answer = rig.request("GET", "/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["openapi"] == "3.1.0"
    page = rig.request("GET", "/docs/api")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.count("<tr>") == len(lines())
    assert page.text.count("<h2>") == len({tag for tag, *_ in lines()})
    assert "name=viewport" in page.text


def test_it_needs_no_key(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.request("GET", "/openapi.json").status_code == 200
    assert rig.request("GET", "/docs/api").status_code == 200
    rig.close()


def test_the_manual_tells_of_every_route() -> None:
    text = markdown()
    assert all(f"### `{method} {path}`" in text for _, method, path, _ in lines())
