"""Secrets stay out of logs, and ordinary words stay in."""

from __future__ import annotations

import logging
import sys

import pytest

from holdfast.server.logs.redaction import Redaction, redact, redacted

SECRET = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}", f"basic {SECRET}", f"GET /v1/realtime/connect?token={SECRET}&x=1",
        f"/login/oidc/callback?code={SECRET}", f"http://user:{SECRET}@host/x", f"hf_{SECRET}", f"signkey-prod-{SECRET}",
        f"POST /e/{SECRET} HTTP/1.1", f'{{"password": "{SECRET}"}}', f"Cookie: a=b; holdfast_session={SECRET}; c=d",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
    ],
)  # fmt: skip
def test_a_secret_in_a_text_is_hidden(text: str) -> None:
    assert SECRET not in str(redacted(text))
    assert SECRET not in str(redacted({"headers": [text]}))
    record = logging.LogRecord("x", 40, "", 1, "failed: %s", (text,), None)
    assert Redaction().filter(record)
    assert SECRET not in record.getMessage()


@pytest.mark.parametrize(
    "name", ["authorization", "cookie", "set-cookie", "password", "api_token", "signing_key", "secret"]
)
def test_a_secret_under_its_name_is_hidden(name: str) -> None:
    assert redact(None, "", {name: SECRET})[name] == "[hidden]"
    assert redact(None, "", {"headers": {name.title(): SECRET}})["headers"] == {name.title(): "[hidden]"}


@pytest.mark.parametrize(
    "text",
    ["token expired", "the key is wrong", "http://localhost:8000/api/inngest", "/e/", "a=b", "run 01ARZ3NDEKTSV4RR"],
)
def test_ordinary_texts_stay(text: str) -> None:
    assert redacted(text) == text
    assert redact(None, "", {"error": text, "keys": 3}) == {"error": text, "keys": 3}


def test_a_traceback_of_a_library_tells_no_secret() -> None:
    try:
        raise RuntimeError(f"boom with Bearer {SECRET}")
    except RuntimeError:
        record = logging.LogRecord("uvicorn.error", 40, "", 1, "Exception in ASGI application", (), sys.exc_info())
    Redaction().filter(record)
    told = logging.Formatter("%(message)s").format(record)
    assert "boom with Bearer [hidden]" in told
    assert SECRET not in told
