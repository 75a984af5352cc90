"""Types of request fields that several operations share, with what documents say of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Raw, UnsetType

from holdfast.protocol.decode_errors import beyond
from holdfast.protocol.rawjson import too_deep, unwritable
from holdfast.server.api.common.cursors import read_id_cursor
from holdfast.server.api.rest.v2.envelope import invalid

RunId = Annotated[str, Meta(description="The run's id, a ULID.")]
AppId = Annotated[str, Meta(description="The app's id as its code has it, or its UUID.")]
FunctionId = Annotated[str, Meta(description="The function's id as its code has it, with or without the app's.")]
EventId = Annotated[str, Meta(description="The event's internal id, a ULID.")]
Cursor = Annotated[str, Meta(description="Cursor of the previous page: `page.cursor` of its response.")]
IncludeOutput = Annotated[bool, Meta(description="Include outputs.")]
Object = Annotated[Raw, Meta(extra_json_schema={"type": "object", "additionalProperties": True})]
Items = Annotated[Raw, Meta(extra_json_schema={"type": "array", "items": {}})]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
From = Annotated[Time, Meta(description="Start of the time range, inclusive.")]
Until = Annotated[Time, Meta(description="End of the time range, inclusive.")]


def sent(given: Raw | UnsetType) -> bytes:
    """Return the JSON that was given; nothing for none. Raise RefusalError for what could not be sent to an app."""
    json = b"" if given is UNSET else bytes(given).strip()
    if number := unwritable(json):
        raise invalid(beyond(number).capitalize())
    if too_deep(json):
        raise invalid("JSON is nested too deep")
    return json


def read_place(cursor: str) -> str:
    """Return the place that a cursor names; "" for none. Raises RefusalError."""
    place = read_id_cursor(cursor)
    if cursor and not place:
        raise invalid("Cursor is invalid")
    return place


def limit(most: int) -> Meta:
    """Return the description of a page's size."""
    return Meta(description=f"Page size, 1 to {most}.", extra_json_schema={"minimum": 1, "maximum": most})


Limit40 = Annotated[int, limit(40)]
Limit100 = Annotated[int, limit(100)]
Limit250 = Annotated[int, limit(250)]
