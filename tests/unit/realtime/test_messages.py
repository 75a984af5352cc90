"""Envelopes, and what tokens say."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from holdfast.protocol.limits import ACCOUNT_ID, ENV_ID
from holdfast.server.realtime import grants, messages
from holdfast.server.realtime.grants import Grant, Wanted
from holdfast.server.realtime.topics import Topic


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"a": 1}', b'{"a": 1}'),
        (b"plain text", b'"plain text"'),
        (b"", b'""'),
        (b"123", b"123"),
        (b'{"a":\n 1}\r\n', b'{"a":1}'),
        (b'"a\\nb"', b'"a\\nb"'),
        (b"two\nlines", b'"two\\nlines"'),
        (b"\xff", '"\ufffd"'.encode()),
        (b"{broken", b'"{broken"'),
    ],
)
def test_a_body_becomes_json_on_one_line(body: bytes, data: bytes) -> None:
    assert messages.payload(body) == data


def test_a_message() -> None:
    sent = messages.message("data", b'{"a":1}', Topic("c", "t"), "RUN", b'{"m":2}')
    message: dict[str, Any] = msgspec.json.decode(sent)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z", message.pop("created_at"))
    assert message == {
        "kind": "data", "data": {"a": 1}, "metadata": {"m": 2}, "channel": "c", "env_id": ENV_ID, "topic": "t",
        "run_id": "RUN",
    }  # fmt: skip
    assert b"\n" not in sent


def test_what_is_empty_is_left_out() -> None:
    assert set(msgspec.json.decode(messages.message("data", b"1", Topic("", "")))) == {
        "kind", "data", "created_at", "env_id", "topic"
    }  # fmt: skip


def test_claims_of_a_subscription() -> None:
    wanted = [Wanted("c", "t", env_id="another"), Wanted("", "e", "event", run_id="RUN")]
    made = grants.claims(wanted, 1_000, "JTI")
    assert made == {
        "iss": "rt.inngest.com", "sub": ACCOUNT_ID, "iat": 1_000, "exp": 1_060, "jti": "JTI", "env": ENV_ID,
        "topics": [
            {"kind": "run", "env_id": ENV_ID, "channel": "c", "name": "t"},
            {"kind": "event", "env_id": ENV_ID, "channel": "", "name": "e", "run_id": "RUN"},
        ],
        "publish": False,
    }  # fmt: skip
    assert grants.grant(made) == Grant((Topic("c", "t"), Topic("", "e", "event")))


def test_claims_of_a_run_s_stream() -> None:
    made = grants.run_stream("RUN", 1_000, "JTI")
    assert made["exp"] == 1_000 + 16 * 60
    assert grants.grant(made) == Grant((Topic("RUN", "$stream"),))


@pytest.mark.parametrize(
    "claims", [{}, {"env": "00000000-0000-4000-b000-000000000001", "topics": []}, {"env": ENV_ID, "topics": [1]}]
)
def test_other_claims_grant_nothing(claims: dict[str, Any]) -> None:
    assert grants.grant(claims) is None


def test_a_publish_token_has_no_topics() -> None:
    assert grants.grant({"env": ENV_ID, "topics": None, "publish": True}) == Grant(publish=True)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{}", "Invalid request: must provide a list of topics"),
        (b"", "Invalid request: must provide a list of topics"),
        (b"null", "Invalid request: must provide a list of topics"),
        (b"[1]", "must provide a list of topics: Expected `object`, got `int` - at `$[0]`"),
        (b'[{"channel":1}]', "Expected `str`, got `int` - at `$[0].channel`"),
        (b'[{"channel":"c","topic":"t"}]', 'topic 0 has no "name"'),
        (b'[{"name":"a"}, {"kind":"step"}]', 'topic 1 has kind "step", not "run" or "event"'),
    ],
)
def test_what_is_wrong_with_a_list_of_topics(body: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        grants.parse_topics(body)
