"""The ways of being broken that were recorded with the reference server, as far as the transport sees them.

What the reference made of status and body is decided above this layer; here they must arrive untouched.
"""

from __future__ import annotations

import json

import pytest

from .peers import Session, answer, answering, failure, listening, ok

SDK = {"content-type": "application/json", "x-inngest-sdk": "inngest-py:v0.5.18"}
V2 = SDK | {"x-inngest-req-version": "2"}
OPS = json.dumps([{"op": "StepPlanned", "id": f"{n:040}", "name": "s"} for n in range(1001)]).encode()

RECORDED = {
    "empty200": (200, {}, b""),
    "html200": (200, {"content-type": "text/html"}, b"<html><body>Hello</body></html>"),
    "html502": (502, {"content-type": "text/html"}, b"<html><body>Bad gateway</body></html>"),
    "json200": (200, {"content-type": "application/json"}, b'{"not": "an sdk"}'),
    "sdk-206-empty-array": (206, V2, b"[]"),
    "sdk-206-html": (206, V2, b"<html><body>Hello</body></html>"),
    "sdk-404": (404, SDK, b'{"message": "no such function"}'),
    "sdk-500-text": (500, SDK, b"oh no"),
    "sdk-empty": (200, SDK, b""),
    "sdk-no-retry-200": (200, SDK | {"x-inngest-no-retry": "true"}, b'{"a": 1}'),
    "sdk-text": (200, SDK, b"plain text"),
    "sdk-unknown-op": (206, V2, b'[{"op": "Nonsense", "id": "a"}]'),
    "too-many-ops": (206, V2, OPS),
}


@pytest.mark.parametrize("name", RECORDED)
def test_arrives_untouched(run, client, name):
    status, headers, body = RECORDED[name]
    lines = [f"{key}: {value}".encode() for key, value in headers.items()]

    async def main():
        async with listening(answering(ok(body, *lines, status=b"%d X" % status))) as peer, client() as http:
            got = await answer(http, peer.origin)
            assert (got.status, got.body) == (status, body)
            assert got.headers == headers | {"content-length": str(len(body))}

    run(main)


def test_redirect307(run, client):
    async def script(session: Session) -> None:
        await session.request()
        location = f"{session.peer.origin}/target?fnId=raw-redirect307&stepId=step".encode()
        await session.send(ok(b"", b"Location: " + location, status=b"307 Temporary Redirect"))
        await session.request()
        await session.send(ok(b"redirected", b"x-inngest-sdk: inngest-py:v0.5.18"))

    async def main():
        async with listening(script) as peer, client() as http:
            start = f"{peer.origin}/redirect307?fnId=raw-redirect307&stepId=step"
            got = await answer(
                http, start, b'{"ctx":{}}', b"Content-Type: application/json\r\nX-Inngest-Step-ID: step\r\n"
            )
            assert got.body == b"redirected"
            first, second = peer.requests
            assert second.line == "POST /target?fnId=raw-redirect307&stepId=step HTTP/1.1"
            assert second.headers == first.headers | {"referer": start}
            assert second.body == first.body

    run(main)


def test_refused(run, client):
    async def main():
        async with client() as http:
            assert (await failure(http, "http://localhost:1/refused")).text == "Unable to reach SDK URL"

    run(main)
