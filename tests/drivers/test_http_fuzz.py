"""Arbitrary answers over real sockets, through the whole client: one outcome each, and the loop stays clean."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.server.drivers.http import Answer

from .peers import Session, listening, ok, post

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([
            b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 307 X\r\nLocation: /next\r\n", b"HTTP/1.1 302 X\r\nLocation: http://[\r\n",
            b"HTTP/1.1 307 X\r\nLocation: \xff\r\n", b"Content-Length: 2\r\n", b"Content-Encoding: br\r\n",
            b"Content-Encoding: gzip\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"\r\n", b"ok",
            b"2\r\nok\r\n", b"0\r\n\r\n", ok(), ok(b"", b"Location: /again", status=b"308 X"),
        ]),
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=PIECES, reset=st.booleans())
def test_whatever_a_server_says(run, client, pieces, reset):
    async def script(session: Session) -> None:
        await session.request()
        await session.send(*pieces)
        if reset:
            session.reset()

    async def main():
        async with listening(script) as peer, client(total_timeout=5.0) as http:
            outcomes = await asyncio.gather(*(post(http, peer.origin) for _ in range(3)))
            for outcome in outcomes:
                assert isinstance(outcome, Answer) or outcome.text

    run(main)
