"""Requests that the OpenAPI document allows, against a real server: no defects, and only answers that it tells of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.api.serving import Served

from holdfast.server.api.rest.openapi.document import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

EXAMPLES = 8
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("fuzz")) as served:
        served.send("go", {"n": 1})
        yield served
        assert not served.errors(), served.tail()


#: Syncing an app calls the URL that it is given: not for random ones.
schema = schemathesis.openapi.from_dict(json.loads(document("1"))).exclude(path_regex="/syncs$")


@schema.parametrize()
@settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck), database=None,
)  # fmt: skip
def test_answers_are_as_documented(server: Served, case: Case) -> None:
    response = case.call(base_url=server.url)
    checks = CHECKS if response.status_code >= 500 else [*CHECKS, not_a_server_error]
    case.validate_response(response, checks=checks)
    if response.status_code >= 500:  # only what the document tells: refusals (501), or a run that isn't there (/v1)
        assert b"see the server's log" not in response.content
