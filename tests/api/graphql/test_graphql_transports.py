"""GraphQL by other ways than a JSON body: URLs; persisted queries; the page to try it on."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.api.book import Book

if TYPE_CHECKING:
    from .conftest import Api

APPS = "{ apps { id } }"


def post(api: Api, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    answer = api.client.post("/v0/gql", content=body, headers=headers)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=edge", "application/x-www-form-urlencoded"])
def test_forms_are_no_transport(api: Api, content_type: str) -> None:
    status, body = post(api, b"query=x", {"content-type": content_type})
    assert (status, body) == (400, {"errors": [{"message": "transport not supported"}], "data": None})


def test_by_url(api: Api) -> None:
    run = api.library.run(Book(1).returns(1))
    query = quote("query A($id: String!) { run(runID: $id) { status } } query B { apps { id } }")
    variables = quote(json.dumps({"id": run}))
    answer = api.client.get(f"/v0/gql?query={query}&variables={variables}&operationName=A")
    assert (answer.status_code, answer.json()) == (200, {"data": {"run": {"status": "COMPLETED"}}})
    answer = api.client.get(f"/v0/gql?query={quote(APPS)}&variables={quote('[' * 3_000)}")
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, "variables could not be decoded")


def test_persisted_queries(api: Api) -> None:
    hashed = hashlib.sha256(APPS.encode()).hexdigest()
    asked = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hashed}}}

    def ask(body: dict[str, Any]) -> Any:
        return api.client.post("/v0/gql", json=body).json()

    assert ask(asked)["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert ask({"query": APPS, **asked}) == {"data": {"apps": []}}
    assert ask(asked) == {"data": {"apps": []}}
    for number in range(100):  # the oldest is forgotten
        text = f"{{ a{number}: apps {{ id }} }}"
        more = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}
        ask({"query": text, "extensions": more})
    assert ask(asked)["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


def test_the_page(api: Api) -> None:
    for path in ("/v0", "/v0/"):
        answer = api.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|@import|url\(""", answer.text), (
            "loaded from elsewhere"
        )
    queries = re.findall(r"const START = `([^`]*)`", answer.text)
    assert api.gql(queries[0], **{"from": "2020-01-01T00:00:00Z"})["data"]["runs"]["totalCount"] == 0


def test_the_schema_that_the_page_asks_for(api: Api) -> None:
    text = api.client.get("/v0/").text
    ref = re.findall(r"const ref = '([^']*)'", text)[0]
    query = re.findall(r"const query = `(\{ __schema[^`]*)`", text)[0].replace("${ref}", ref)
    assert len(api.data(query)["__schema"]["types"]) > 100
