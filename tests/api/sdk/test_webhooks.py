"""Webhooks: requests of other services become events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.api.access_rig import KEY, Rig, bearer

from holdfast.server.access.principals import Role
from holdfast.server.webhooks.transform import HookRequest, TransformError, check_transform, events_of, response_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .client import Response

ENV = {"x-inngest-env": "dev"}
GITHUB = '{"name": "github/" + headers["x-github-event"], "id": headers["x-github-delivery"], "data": body}'
STRIPE = '{"name": "stripe/" + body.type, "id": body.id, "ts": body.created * 1000, "data": body.data.object}'
SLACK = 'has(body.challenge) ? {"challenge": body.challenge} : {"ids": ids}'


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, dev=True)
    yield rig
    rig.close()


def create(rig: Rig, transform: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
    body = {"name": "hook", "transform": transform, **more}
    answer = rig.request(
        "POST", "/v2/env/webhooks", json=body, headers={"host": "localhost:8288", **ENV, **(headers or {})}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def post(rig: Rig, hook: Any, content: bytes, query: str = "", **headers: str) -> Response:
    path = hook["url"].removeprefix("http://localhost:8288")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rig.request("POST", f"{path}{query}", content=content, headers=named)


def event(rig: Rig, id: str) -> Any:
    return rig.request("GET", f"/v1/events/{id}").json()["data"]


def test_github(rig: Rig) -> None:
    hook = create(rig, GITHUB)
    answer = post(
        rig, hook, b'{"ref": "main", "id": 12345678901234567}', x_github_event="push", x_github_delivery="d-1"
    )
    assert answer.status_code == 200, answer.text
    (id,) = answer.json()["ids"]
    found = event(rig, id)
    assert (found["name"], found["id"]) == ("github/push", "d-1")
    assert found["data"] == {"ref": "main", "id": 12345678901234567}


def test_stripe(rig: Rig) -> None:
    hook = create(rig, STRIPE)
    body = b'{"id": "evt_1", "type": "charge.paid", "created": 1795238181, "data": {"object": {"amount": 5}}}'
    (id,) = post(rig, hook, body).json()["ids"]
    found = event(rig, id)
    assert (found["name"], found["ts"], found["data"]) == ("stripe/charge.paid", 1795238181000, {"amount": 5})


def test_json_that_is_called_a_form_is_json(rig: Rig) -> None:
    hook = create(rig, '{"name": "curl", "data": body}')
    answer = post(rig, hook, b'{"ref": "x"}', content_type="application/x-www-form-urlencoded")
    assert event(rig, answer.json()["ids"][0])["data"] == {"ref": "x"}


def test_forms_query_and_raw(rig: Rig) -> None:
    hook = create(rig, '{"name": "form", "data": {"from": body.From, "via": query.via, "size": size(raw)}}')
    answer = post(rig, hook, b"From=%2B1234&Body=hi", "?via=sms", content_type="application/x-www-form-urlencoded")
    assert event(rig, answer.json()["ids"][0])["data"] == {"from": "+1234", "via": "sms", "size": 20}


def test_a_list_is_several_events(rig: Rig) -> None:
    hook = create(rig, 'body.items.map(item, {"name": "item", "data": {"n": item}})')
    ids = post(rig, hook, b'{"items": [1, 2]}').json()["ids"]
    assert [event(rig, id)["data"]["n"] for id in ids] == [1, 2]
    assert post(rig, hook, b'{"items": []}').json() == {"ids": [], "status": 200}


def test_one_bad_event_of_many_takes_none(rig: Rig) -> None:
    hook = create(rig, 'body.map(name, {"name": name})')
    refused = post(rig, hook, b'["good", "inngest/bad"]')
    assert (refused.status_code, refused.json()["error"]) == (
        400, "Webhook hook: event name is reserved for internal use: inngest/bad",
    )  # fmt: skip
    assert rig.request("GET", "/v1/events").json()["data"] == []


def test_filters(rig: Rig) -> None:
    for kind, taken in (("ALLOW", ["a"]), ("DENY", ["b"])):
        hook = create(rig, '{"name": body.name}', eventFilter={"events": ["a"], "filter": kind})
        for name in ("a", "b"):
            ids = post(rig, hook, f'{{"name": "{name}"}}'.encode()).json()["ids"]
            assert len(ids) == (name in taken)


def test_a_response_of_its_own(rig: Rig) -> None:
    hook = create(rig, '{"name": "slack"}', response=SLACK)
    assert post(rig, hook, b'{"challenge": "c1"}').json() == {"challenge": "c1"}
    assert list(post(rig, hook, b"{}").json()) == ["ids"]
    plain = create(rig, '{"name": "slack"}', response='"<ok/>"')
    answer = post(rig, plain, b"{}")
    assert (answer.text, answer.headers["content-type"]) == ("<ok/>", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "is not an event"), (b"not json", "is not an event"), (b'{"name": 5}', "is not an event"),
        (b'{"name": "a", "data": [1]}', "cannot unmarshal array"),
    ],
)  # fmt: skip
def test_what_makes_no_event_is_a_400(rig: Rig, body: bytes, text: str) -> None:
    hook = create(rig, "body")
    refused = post(rig, hook, body)
    assert refused.status_code == 400
    assert text in refused.json()["error"]


def test_bodies_are_limited(rig: Rig) -> None:
    hook = create(rig, '{"name": "a"}')
    assert post(rig, hook, b'"' + b"x" * 3_145_728 + b'"').status_code == 413


@pytest.mark.parametrize(
    "text",
    [
        "function transform(evt, headers, queryParams, raw) { return { name: evt.type }; }",
        "(evt) => ({ name: evt.type })", "export default function (evt) {}", "const transform = (evt) => evt",
        "return { name: evt.type };",
    ],
)  # fmt: skip
def test_javascript_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(TransformError, match="Write it as one CEL expression"):
        check_transform(text)


@pytest.mark.parametrize("text", ["{", "evt.type", '{"name": shout(body.name)}', "(" * 5_000])
def test_expressions_that_cannot_be(text: str) -> None:
    with pytest.raises(TransformError, match=r"error|nested|deep"):
        check_transform(text)


@pytest.mark.parametrize("text", [GITHUB, STRIPE, "body", "body.filter(item, item.kind == 'x')"])
def test_good_expressions(text: str) -> None:
    check_transform(text)


def test_an_event_is_no_larger_than_its_request(rig: Rig) -> None:
    hook = create(rig, '{"name": "a/b", "data": body}')
    text = "ж" * 100_000 + '", "half": "\\ud800", "list": [' + ",".join(["1"] * 400_000) + "]"
    content = b'{"text":"' + text.encode() + b"," + b'"pad":"' + b"x" * 2_000_000 + b'"}'
    answer = post(rig, hook, content)
    assert answer.status_code == 200, answer.text
    data = event(rig, answer.json()["ids"][0])["data"]
    assert data["text"] == "ж" * 100_000
    assert len(data["list"]) == 400_000


def test_an_expression_that_repeats_its_input_is_ended_before_json_is_made_of_it() -> None:
    request = HookRequest(b"[" + b",".join([b'"x"'] * 5_000) + b"]", {}, {})
    made = '{"name": "a", "data": {"all": body.map(x, body)}}'
    with pytest.raises(TransformError, match="made more than 16 MiB"):
        events_of(made, request, 0)
    with pytest.raises(TransformError, match="made more than 16 MiB"):
        response_of("body.map(x, body)", request, [], 0)
    (event,) = events_of('{"name": "a", "data": {"twice": [body, body]}}', request, 0)
    assert len(event) > 40_000


def test_values_that_are_no_json() -> None:
    request = HookRequest(b"{}", {}, {})
    with pytest.raises(TransformError, match="failed for this request"):
        events_of('{"name": "a", "data": {"n": 1 / 0}}', request, 0)
    with pytest.raises(TransformError, match="not JSON"):
        events_of('{"name": "a", "data": {"n": b"x"}}', request, 0)
    with pytest.raises(TransformError, match="the limit is 100"):
        events_of("body", HookRequest(b'[{"name":"a"}' + b',{"name":"a"}' * 100 + b"]", {}, {}), 0)
    assert response_of("ids", request, ["1"], 0) == (b'["1"]', "application/json")
    assert events_of('{"name": "a", "t": string(now())}', request, 1_000) == [
        b'{"name":"a","t":"1970-01-01T00:00:01Z"}'
    ]


def test_changing_and_removing(rig: Rig) -> None:
    hook = create(rig, '{"name": "a"}')
    path = f"/v2/env/webhooks/{hook['id']}"
    changed = rig.request("PUT", path, json={"transform": '{"name": "b"}'}, headers={"host": "localhost:8288"})
    assert changed.json()["data"] | {"transform": "", "updatedAt": ""} == hook | {"transform": "", "updatedAt": ""}
    assert event(rig, post(rig, hook, b"{}").json()["ids"][0])["name"] == "b"
    assert rig.request("PUT", path, json={"transform": "{"}).status_code == 400
    assert rig.request("GET", path).json()["data"]["name"] == "hook"
    listed = rig.request("GET", "/v2/env/webhooks?limit=1", headers=ENV).json()
    assert [each["id"] for each in listed["data"]] == [hook["id"]]
    assert rig.request("DELETE", path).json()["data"] == {"id": hook["id"]}
    assert rig.request("DELETE", path).status_code == 404
    assert rig.request("GET", path).status_code == 404
    gone = post(rig, hook, b"{}")
    assert (gone.status_code, gone.json()["status"]) == (404, 404)


def test_checks(rig: Rig) -> None:
    for body, text in (
        ({}, "Webhook name is required"), ({"name": "a"}, "Transform function is required"),
        ({"name": "x" * 256, "transform": "body"}, "Webhook name cannot exceed 255 characters"),
    ):  # fmt: skip
        refused = rig.request("POST", "/v2/env/webhooks", json=body, headers=ENV)
        assert (refused.status_code, refused.json()["errors"][0]["message"]) == (400, text)


def test_they_outlive_a_restart_and_want_an_admin(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    hook = create(rig, '{"name": "a"}', bearer(KEY), eventFilter={"events": ["b"], "filter": "DENY"})
    refused = rig.request(
        "POST", "/v2/env/webhooks", json={"name": "b", "transform": "body"}, headers=ENV | rig.token(Role.OPERATOR)
    )
    assert refused.status_code == 403
    actions = [entry.action for entry in rig.run(rig.access.audit.page(50))]
    assert "webhook.created" in actions
    rig.close()
    rig = Rig(tmp_path)
    assert rig.server.webhooks.get(hook["id"]) is not None
    answer = post(rig, hook, b"{}")  # no credential but the URL
    assert (answer.status_code, len(answer.json()["ids"])) == (200, 1)
    rig.close()
