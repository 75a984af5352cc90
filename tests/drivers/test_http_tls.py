"""TLS: verification, and the two kinds of server on the wrong port."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from .peers import Session, answer, answering, failure, listening, ok

trustme = pytest.importorskip("trustme")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_trusted(run, client, trusted, server_context, host):
    spoken = []

    async def script(session: Session) -> None:
        spoken.append(session.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await answering(ok(b"secret" * 100_000))(session)

    async def main():
        async with listening(script, tls=server_context) as peer, client() as http:
            for _ in range(3):
                got = await answer(http, f"https://{host}:{peer.port}/x", b"b" * 1_000_000)
                assert got.body == b"secret" * 100_000
            assert peer.connections == 1
            assert peer.requests[0].headers["host"] == f"{host}:{peer.port}"
        assert spoken == ["http/1.1"]

    run(main)


def test_handshake_is_timed(run, client, trusted, server_context):
    async def main():
        async with listening(answering(ok()), tls=server_context) as peer, client() as http:
            assert (await answer(http, peer.origin)).tls_ns > 0
            assert (await answer(http, peer.origin)).tls_ns == 0

    run(main)


def test_untrusted(run, client, server_context, monkeypatch):
    async def main():
        async with listening(answering(ok()), tls=server_context) as peer, client() as http:
            got = await failure(http, peer.origin)
            assert got.text.startswith("error performing request: tls: failed to verify certificate: ")
            assert peer.requests == []

    run(main)


def test_wrong_name(run, client, trusted, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("example.com").configure_cert(context)

    async def main():
        async with listening(answering(ok()), tls=context) as peer, client() as http:
            got = await failure(http, f"https://localhost:{peer.port}")
            assert got.text.startswith("error performing request: tls: failed to verify certificate: ")

    run(main)


def test_plain_server_on_an_https_url(run, client, trusted):
    async def script(session: Session) -> None:
        await session.reader.read(100)
        await session.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async def main():
        async with listening(script) as peer, client() as http:
            got = await failure(http, f"https://127.0.0.1:{peer.port}")
            assert "HTTP response to HTTPS client" in got.text
            assert got.code == "unsupported_protocol"

    run(main)


def test_tls_server_on_an_http_url(run, client, server_context):
    async def script(session: Session) -> None:  # what OpenSSL says to a plain request: a fatal alert, then the end
        await session.request()
        await session.send(b"\x15\x03\x01\x00\x02\x02\x46")

    async def main():
        async with listening(script) as peer, client() as http:
            got = await failure(http, peer.origin)
            assert got.text.startswith("error performing request: malformed HTTP response")
            assert got.code == "unsupported_protocol"
        async with listening(answering(ok()), tls=server_context) as peer, client() as http:
            assert (await failure(http, f"http://127.0.0.1:{peer.port}")).text

    run(main)


def test_slow_handshake(run, client, trusted):
    async def script(session: Session) -> None:
        await session.reader.read()

    async def main():
        async with listening(script) as peer, client(tls_timeout=0.1) as http:
            got = await failure(http, f"https://127.0.0.1:{peer.port}")
            assert got.text == "Your server didn't complete the TLS handshake in time"

    run(main)


@pytest.mark.parametrize("reset", [False, True])
def test_closed_in_the_handshake(run, client, trusted, reset):
    async def script(session: Session) -> None:
        await session.reader.read(10)
        if reset:
            session.reset()

    async def main():
        async with listening(script) as peer, client() as http:
            got = await failure(http, f"https://127.0.0.1:{peer.port}")
            assert got.text in {
                "Unable to reach SDK URL",
                "Your server reset the connection while we were sending the request.",
            }

    run(main)


def test_cancelled_in_the_handshake(run, client, trusted):
    async def script(session: Session) -> None:
        await session.reader.read()

    async def main():
        from .peers import begin

        async with listening(script) as peer, client() as http:
            call, outcomes = begin(http, f"https://127.0.0.1:{peer.port}")
            await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.sleep(0.05)
            assert outcomes.all == []

    run(main)


def test_closed_without_an_answer(run, client, trusted, server_context):
    async def script(session: Session) -> None:
        await session.request()

    async def main():
        async with listening(script, tls=server_context) as peer, client() as http:
            assert (await failure(http, peer.origin)).text == "Unable to reach SDK URL"

    run(main)


def test_redirects_cross_schemes(run, client, trusted, server_context):
    async def main():
        async with listening(answering(ok(b"safe")), tls=server_context) as secure:
            there = answering(ok(b"", b"Location: " + secure.origin.encode(), status=b"307 X"))
            async with listening(there) as plain, client() as http:
                assert (await answer(http, plain.origin + "/?a=1")).body == b"safe"
                assert secure.requests[0].headers["referer"] == plain.origin + "/?a=1"
        async with listening(answering(ok(b"open"))) as plain:
            there = answering(ok(b"", b"Location: " + plain.origin.encode(), status=b"307 X"))
            async with listening(there, tls=server_context) as secure, client() as http:
                assert (await answer(http, secure.origin)).body == b"open"
                assert "referer" not in plain.requests[0].headers

    run(main)
