"""Pages of lists, as Relay connections."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class PageInfo(msgspec.Struct, frozen=True):
    """Where a page stands. `has_next_page` means that the page is full, or that its search stopped early."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


class Edge(msgspec.Struct, Generic[T], frozen=True):
    """A row of a page."""

    cursor: str
    node: T


def page_info(edges: list[Edge[T]], size: int, *, previous: bool, stopped: str | None = None) -> PageInfo:
    """Describe a page of at most `size` rows. Where its search `stopped` early, the next one starts."""
    first, last = (edges[0].cursor, edges[-1].cursor) if edges else (None, None)
    return PageInfo(len(edges) == size or stopped is not None, previous, first, stopped or last)
