"""The envelope of REST v2 (`protocol/http-apis.md` §10.1): camelCase, zero values left out, errors as a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from holdfast.protocol.rfc3339 import format_rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sent(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request: members of path, query and body together. What is not sent has its zero value."""


class Shown(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A part of an answer. A field with a zero value as its default is left out when it has that."""


class Page(Shown):
    """Where a list stands: `cursor` asks for the next page, if `hasMore`."""

    cursor: str = ""
    has_more: bool = False
    limit: int = 0


class TimeRange(Shown):
    """The window that a list was asked for."""

    from_: str = msgspec.field(name="from")
    until: str

    @classmethod
    def of(cls, from_: str, until: str) -> Self | None:
        """A window that has both ends."""
        return cls(from_=from_, until=until) if from_ and until else None


class Metadata(Shown):
    """When an answer was made."""

    fetched_at: str
    time_range: TimeRange | None = None


class Answer(msgspec.Struct, frozen=True):
    """What an operation came to. `status` is 200 but for a repeated idempotency key and a failed sync."""

    data: object
    page: Page | None = None
    time_range: TimeRange | None = None
    status: int = 200

    def document(self, now_ms: int) -> bytes:
        """Return the body; an empty list has no `data`."""
        members: dict[str, object] = {} if self.data == [] else {"data": self.data}
        members["metadata"] = Metadata(fetched_at=show_time(now_ms), time_range=self.time_range)
        if self.page is not None:
            members["page"] = self.page
        return msgspec.json.encode(members)


class Problem(Shown):
    """One error; `code` is one of §10.1."""

    code: str
    message: str


class Problems(Shown):
    """The body of every error."""

    errors: list[Problem]


class RefusalError(Exception):
    """A request that is not done: a status, and one or more errors."""

    def __init__(self, status: int, code: str, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.status = status
        self.problems = [Problem(code=code, message=message) for message in messages]

    def document(self) -> bytes:
        """Return the body."""
        return msgspec.json.encode(Problems(errors=self.problems))


def missing(message: str) -> RefusalError:
    """A field that has to be there is not."""
    return RefusalError(400, "missing_field", message)


def invalid(message: str) -> RefusalError:
    """A field can't be read, or is out of its range."""
    return RefusalError(400, "invalid_field_format", message)


def not_found(message: str) -> RefusalError:
    """Not found."""
    return RefusalError(404, "not_found", message)


def refused(*messages: str) -> RefusalError:
    """Return the refusal of an operation that a self-hosted server does not have."""
    return RefusalError(501, "not_implemented", *messages)


PAGE: Final = 20


def page_size(limit: int | None, most: int, default: int = PAGE) -> int:
    """Return the size of a page. Raises RefusalError for one out of its range."""
    if limit is None:
        return default
    if limit < 1:
        raise invalid("Limit must be at least 1")
    if limit > most:
        raise invalid(f"Limit cannot exceed {most}")
    return limit


def page_of(rows: Sequence[object], size: int, cursor: str) -> Page:
    """Describe a page that was read with one row more than it shows; `cursor` is the place of the last one shown."""
    return Page(cursor=cursor, has_more=True, limit=size) if len(rows) > size else Page(limit=size)


def show_time(ms: int) -> str:
    """Return a moment, RFC 3339."""
    return format_rfc3339(ms, fraction=True)


def show_moment(ms: int | None) -> str:
    """A moment that may not have come."""
    return show_time(ms) if ms is not None else ""


def show_duration(started: int | None, ended: int | None) -> str:
    """Return how long something took, in ms; nothing for what has not ended."""
    return str(max(ended - started, 0)) if started is not None and ended is not None else ""
