"""Redirects: method, body, headers and query on every hop."""

from __future__ import annotations

import pytest

from holdfast.server.config.egress import Egress

from .peers import Session, answer, answering, failure, listening, ok


def redirecting(*hops: tuple[bytes, bytes], final: bytes = b"there"):
    """Answers with one (status, location) after the other, then with ``final``."""

    async def script(session: Session) -> None:
        while True:
            await session.request()
            at = len(session.peer.requests) - 1
            if at < len(hops):
                status, location = hops[at]
                await session.send(ok(b"elsewhere", b"Location: " + location, status=status))
            else:
                await session.send(ok(final))

    return script


@pytest.mark.parametrize(
    ("status", "method"),
    [(b"301 X", "GET"), (b"302 X", "GET"), (b"303 X", "GET"), (b"307 X", "POST"), (b"308 X", "POST")],
)
def test_hop(run, client, status, method):
    async def main():
        async with listening(redirecting((status, b"/target"))) as peer, client() as http:
            start = f"{peer.origin}/start?fnId=a&stepId=step"
            got = await answer(http, start, b'{"a":1}', b"X-Inngest-Signature: t=1&s=2\r\n")
            assert got.body == b"there"
            second = peer.requests[1]
            assert second.line == f"{method} /target?fnId=a&stepId=step HTTP/1.1"
            assert second.body == b'{"a":1}'
            assert second.headers["x-inngest-signature"] == "t=1&s=2"
            assert second.headers["content-length"] == "7"
            assert second.headers["referer"] == start
            assert peer.connections == 1

    run(main)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (b"target", "/a/target?q=1"),
        (b"../target", "/target?q=1"),
        (b"?x=2", "/a/b?q=1&x=2"),
        (b"/t?q=9&z=3", "/t?q=1&z=3"),
        (b"/t?q=1#frag", "/t?q=1"),
        (b"/sp ace/\xc3\xa9", "/sp%20ace/%C3%A9?q=1"),
    ],
)
def test_where_it_leads(run, client, location, path):
    async def main():
        async with listening(redirecting((b"307 X", location))) as peer, client() as http:
            await answer(http, f"{peer.origin}/a/b?q=1")
            assert peer.requests[1].line == f"POST {path} HTTP/1.1"

    run(main)


def test_to_another_server(run, client):
    async def main():
        async with listening(answering(ok(b"other"))) as other:
            elsewhere = redirecting((b"308 X", f"http://localhost:{other.port}/x".encode()))
            async with listening(elsewhere) as peer, client() as http:
                assert (await answer(http, peer.origin + "/?a=b", b"body")).body == b"other"
                assert other.requests[0].headers["host"] == f"localhost:{other.port}"
                assert other.requests[0].line == "POST /x?a=b HTTP/1.1"

    run(main)


def test_sixty_hops_and_no_more(run, client):
    async def main():
        async with listening(redirecting(*[(b"307 X", b"/again")] * 60)) as peer, client() as http:
            assert (await answer(http, peer.origin)).body == b"there"
            assert len(peer.requests) == 61
        async with listening(redirecting(*[(b"307 X", b"/again")] * 1000)) as peer, client() as http:
            assert (await failure(http, peer.origin)).text == "error performing request: stopped after 60 redirects"
            assert len(peer.requests) == 61
            assert peer.requests[-1].headers["referer"] == peer.origin + "/again"

    run(main)


@pytest.mark.parametrize(
    "raw", [ok(b"no", status=b"307 X"), ok(b"no", b"Location: ", status=b"302 X"), ok(b"no", b"Location: /x")]
)
def test_not_a_redirect(run, client, raw):
    async def main():
        async with listening(answering(raw)) as peer, client() as http:
            assert (await answer(http, peer.origin)).body == b"no"

    run(main)


@pytest.mark.parametrize("location", [b"ftp://127.0.0.1/x", b"javascript:alert(1)", b"http://[::1/", b"//:99999999"])
def test_leads_nowhere(run, client, location):
    async def main():
        async with listening(redirecting((b"307 X", location))) as peer, client() as http:
            assert (await failure(http, peer.origin)).text.startswith("error performing request: ")

    run(main)


def test_redirect_to_a_dead_server(run, client):
    async def main():
        async with listening(redirecting((b"307 X", b"http://127.0.0.1:1/"))) as peer, client() as http:
            assert (await failure(http, peer.origin)).text == "Unable to reach SDK URL"

    run(main)


SECRETS = (
    b"Authorization: Bearer s3cret\r\nCookie: a=s3cret\r\nX-Api-Key: s3cret\r\napi-key: s3cret\r\n"
    b"X-Goog-Api-Key: s3cret\r\nProxy-Authorization: s3cret\r\nX-Auth-Token: s3cret\r\n"
)
PLAIN = b"X-Inngest-Signature: t=1&s=2\r\nX-Kept: yes\r\nContent-Type: application/json\r\n"


def test_credentials_do_not_follow_to_another_host(run, client):
    async def main():
        async with listening(answering(ok(b"other"))) as other:
            elsewhere = redirecting((b"307 X", f"http://localhost:{other.port}/x".encode()))
            async with listening(elsewhere) as peer, client() as http:
                await answer(http, peer.origin + "/?a=b&key=s3cret&api_key=s3cret", b"body", SECRETS + PLAIN)
                (got,) = other.requests
                assert "s3cret" not in str(got.headers) + got.line
                assert got.line == "POST /x?a=b HTTP/1.1"
                assert got.headers["x-kept"] == "yes"
                assert got.headers["x-inngest-signature"] == "t=1&s=2"
                assert peer.requests[0].headers["x-api-key"] == "s3cret"

    run(main)


def test_credentials_stay_on_their_own_host(run, client):
    async def main():
        async with listening(redirecting((b"307 X", b"/next"))) as peer, client() as http:
            await answer(http, peer.origin + "/?key=s3cret", b"body", SECRETS)
            second = peer.requests[1]
            assert second.line == "POST /next?key=s3cret HTTP/1.1"
            assert second.headers["authorization"] == "Bearer s3cret"
            assert second.headers["x-api-key"] == "s3cret"

    run(main)


def test_a_redirect_to_a_denied_address_is_not_followed(run, client):
    async def main():
        async with listening(answering(ok(b"other"))) as other:
            hop = redirecting((b"307 X", f"http://[::ffff:127.0.0.1]:{other.port}/".encode()))
            async with listening(hop) as peer, client(egress=Egress(["::ffff:0:0/96"])) as http:
                told = await failure(http, peer.origin)
                assert "does not call ::ffff:127.0.0.1: denied by --egress-deny" in told.text
                assert told.code == "egress_denied"
                assert other.requests == []

    run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_a_denied_network_in_any_spelling(run, client, host):
    async def main():
        async with listening(answering(ok(b"other"))) as peer, client(egress=Egress(["loopback"])) as http:
            assert (await failure(http, f"http://{host}:{peer.port}/")).code == "egress_denied"
            assert peer.connections == 0

    run(main)
