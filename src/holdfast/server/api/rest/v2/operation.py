"""One operation of REST v2: what it takes, what it answers, and who does it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import msgspec

from holdfast.protocol.rawjson import UNREADABLE
from holdfast.server.api.rest.v2.envelope import Answer, RefusalError, Sent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from holdfast.server.api.common.backend import Backend

R = TypeVar("R", bound=Sent)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Fields = dict[str, msgspec.Raw]
"""Members of a request by their name on the wire, as JSON."""

_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_WORD: Final = re.compile(r"_(\w)")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as a table has it.

    `path` is below the prefix, with parameters in snake case. `body` names the one field that is the body, when that is
    no object of the rest. `errors` are the statuses besides 400, 401 and 500. `tool` and `command` are the names for
    MCP and the command line, where it is offered there.
    """

    id: str
    method: Method
    path: str
    summary: str
    description: str
    request: type[Sent]
    run: Callable[[Backend, Fields], Coroutine[Any, Any, Answer]]
    answer: object  # a type: of `data`
    paged: bool = False
    required: tuple[str, ...] = ()  # of the body or query, in snake case
    body: str = ""
    errors: tuple[int, ...] = ()
    max_body: int = 0  # bytes; 0: as much as the server takes of any request
    tool: str = ""
    command: str = ""

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the path, in snake case."""
        return tuple(_PARAMETER.findall(self.path))

    @property
    def template(self) -> str:
        """The path as documents write it: `/runs/{run_id}`."""
        return _PARAMETER.sub(r"{\1}", self.path)


def runner(
    request: type[R], handler: Callable[[Backend, R], Awaitable[Answer]]
) -> Callable[[Backend, Fields], Coroutine[Any, Any, Answer]]:
    """Make a handler of a typed request one of fields. Raises RefusalError for fields that can't be read."""

    @cache
    def decoder() -> msgspec.json.Decoder[R]:  # seventy of them take their time: made at the first request
        return msgspec.json.Decoder(request)

    async def run(backend: Backend, fields: Fields) -> Answer:
        try:
            given = decoder().decode(msgspec.json.encode(fields))
        except UNREADABLE as error:
            raise RefusalError(400, "invalid_field_format", str(error)) from None
        return await handler(backend, given)

    return run


def camel(name: str) -> str:
    """A name in snake case as the wire has it."""
    return _WORD.sub(lambda match: match[1].upper(), name)


def renamed(fields: Mapping[str, msgspec.Raw], request: type[msgspec.Struct]) -> Fields:
    """Members under the names of the wire, which may have been sent in snake case, without nulls; nested ones too."""
    aliases = {field.name.rstrip("_"): field.encode_name for field in msgspec.structs.fields(request)}
    kinds = {field.encode_name: struct_of(field.type) for field in msgspec.structs.fields(request)}
    found: Fields = {}
    for name, value in fields.items():
        if bytes(value) == b"null":
            continue
        wire = aliases.get(name, name)
        found[wire] = renamed_within(value, kinds.get(wire))
    return found


def renamed_within(value: msgspec.Raw, kind: type[msgspec.Struct] | None) -> msgspec.Raw:
    """Return a value, or a list of values, whose members are renamed if it is of a struct."""
    if kind is None:
        return value
    try:
        if bytes(value)[:1] == b"[":
            items = msgspec.json.decode(value, type=list[dict[str, msgspec.Raw]])
            return msgspec.Raw(msgspec.json.encode([renamed(item, kind) for item in items]))
        return msgspec.Raw(msgspec.json.encode(renamed(msgspec.json.decode(value, type=Fields), kind)))
    except UNREADABLE:
        return value  # the decoder of the whole will say what is wrong


def struct_of(kind: object) -> type[msgspec.Struct] | None:
    """Return the struct in a field's type: itself, of a list, or beside None."""
    info = msgspec.inspect.type_info(kind)
    while True:
        if isinstance(info, msgspec.inspect.Metadata):
            info = info.type
        elif isinstance(info, msgspec.inspect.ListType):
            info = info.item_type
        elif isinstance(info, msgspec.inspect.UnionType):
            parts = [part for part in info.types if not isinstance(part, msgspec.inspect.NoneType)]
            if len(parts) != 1:
                return None
            info = parts[0]
        else:
            return info.cls if isinstance(info, msgspec.inspect.StructType) else None
