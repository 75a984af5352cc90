"""GraphQL by other ways than a JSON body: URLs, forms, WebSockets; persisted queries; the page to try it on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import pytest
from starlette.websockets import WebSocketDisconnect
from tests.api.book import Book
from tests.api.serving import Served
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from holdfast.server.api.graphql.websocket import Conversation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

    from .conftest import Api

APPS = "{ apps { id } }"


def form(operations: object, places: object, files: dict[str, bytes]) -> tuple[bytes, dict[str, str]]:
    parts = [("operations", "", json.dumps(operations).encode()), ("map", "", json.dumps(places).encode())]
    parts += [(name, f'; filename="{name}.json"', text) for name, text in files.items()]
    body = b"".join(
        f'--edge\r\ncontent-disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + text + b"\r\n"
        for name, more, text in parts
    )
    return body + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


def post(api: Api, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    answer = api.client.post("/v0/gql", content=body, headers=headers)
    return answer.status_code, answer.json()


def test_a_form(api: Api) -> None:
    assert post(api, *form({"query": APPS}, {}, {})) == (200, {"data": {"apps": []}})


def test_a_file_is_the_text_of_a_variable(api: Api) -> None:
    """The edited input of a step, from a file."""
    api.backend.rerun_id = "01M7YM2W2BRDEPCPSPM2Q28YXA"
    query = "mutation($id: ULID!, $from: RerunFromStepInput) { rerun(runID: $id, fromStep: $from) }"
    variables = {"id": "01M7YM2W2BRDEPCPSPM2Q28YXA", "from": {"stepID": "abc", "input": None}}
    given = form({"query": query, "variables": variables}, {"0": ["variables.from.input"]}, {"0": b'[{"a": 1}]'})
    assert post(api, *given)[0] == 200
    assert api.backend.commands[0][2]["input"] == b'[{"a": 1}]'


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (form({"query": APPS}, {"0": ["variables.a"]}, {"0": b"x"}), "map names variables.a, which is no variable"),
        (form({"query": APPS}, {"0": ["query"]}, {"0": b"x"}), "map names query, which is no variable"),
        (form({"query": APPS}, {"0": ["variables.a"]}, {}), "map names 0, which is no file of the form"),
        (form({"query": APPS}, [], {}), "map is no object of lists of paths"),
        (form([{"query": APPS}], {}, {}), "cannot unmarshal array into Go value"),
        (
            (b'--edge\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n--edge--', {
                "content-type": "multipart/form-data; boundary=edge"
            }),
            "the form needs the fields operations and map",
        ),
        ((b"nonsense", {"content-type": "multipart/form-data; boundary=edge"}), "the form"),
        ((b"nonsense", {"content-type": "multipart/form-data"}), "the form could not be read"),
        ((b"query=x", {"content-type": "application/x-www-form-urlencoded"}), "transport not supported"),
    ],
)  # fmt: skip
def test_bad_forms(api: Api, given: tuple[bytes, dict[str, str]], message: str) -> None:
    status, body = post(api, *given)
    assert status == 400
    assert message in body["errors"][0]["message"]
    assert body["data"] is None


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


# WebSockets, over a whole server.


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("sockets")
    with Served(folder) as server:
        yield server


def opened(served: Served, protocol: str = "graphql-transport-ws") -> ClientConnection:
    return connect(f"ws://127.0.0.1:{served.port}/v0/gql", subprotocols=[Subprotocol(protocol)], proxy=None)


def say(socket: ClientConnection, **message: object) -> None:
    socket.send(json.dumps(message))


def hear(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=10))


@pytest.mark.parametrize(
    ("protocol", "ask", "answer"), [("graphql-transport-ws", "subscribe", "next"), ("graphql-ws", "start", "data")]
)
def test_a_query_over_a_socket(served: Served, protocol: str, ask: str, answer: str) -> None:
    with opened(served, protocol) as socket:
        assert socket.subprotocol == protocol
        say(socket, type="connection_init")
        assert hear(socket) == {"type": "connection_ack"}
        say(socket, type=ask, id="1", payload={"query": APPS})
        assert hear(socket) == {"type": answer, "id": "1", "payload": {"data": {"apps": []}}}
        assert hear(socket) == {"type": "complete", "id": "1"}
        say(socket, type=ask, id="1", payload={"query": "subscription { x }"})
        assert "subscription" in hear(socket)["payload"]["errors"][0]["message"]
        assert hear(socket)["type"] == "complete"
        say(socket, type="ping")
        assert hear(socket) == {"type": "pong"}


def test_an_operation_that_fails_is_answered() -> None:
    class Socket:
        scope: ClassVar[dict[str, Any]] = {}

        def __init__(self) -> None:
            self.asked = [{"type": "connection_init"}, {"type": "subscribe", "id": "1", "payload": {}}]
            self.told: list[Any] = []
            self.complete = asyncio.Event()

        async def accept(self, _protocol: object) -> None:
            pass

        async def receive_text(self) -> str:
            if self.asked:
                return json.dumps(self.asked.pop(0))
            await self.complete.wait()
            raise WebSocketDisconnect

        async def send_text(self, text: str) -> None:
            self.told.append(json.loads(text))
            if self.told[-1]["type"] == "complete":
                self.complete.set()

    async def fail(_payload: bytes) -> bytes:
        raise OSError("/var/lib/secret.db")

    async def main() -> list[Any]:
        socket: Any = Socket()
        await asyncio.wait_for(Conversation(socket, fail).hold(), 10)
        return list(socket.told)

    _, answer, end = asyncio.run(main())
    assert answer["payload"] == {"errors": [{"message": "internal system error"}], "data": None}
    assert end == {"type": "complete", "id": "1"}


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (['{"type": "subscribe", "id": "1", "payload": {"query": "{ apps { id } }"}}'], 4401),
        (["nonsense"], 4400),
        (["[" * 10_000], 4400),
        (['{"type": "surprise"}'], 4400),
        (['{"type": "connection_init"}', '{"type": "connection_init"}'], 4429),
        (['{"type": "connection_init"}', '{"type": "subscribe", "payload": {}}'], 4400),
        ([b"\x00\x01"], 4400),
    ],
)
def test_bad_conversations(served: Served, messages: list[str | bytes], code: int) -> None:
    with opened(served) as socket:
        for message in messages:
            socket.send(message)
        with pytest.raises(ConnectionClosedError) as closed:
            list(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert served.errors() == []
