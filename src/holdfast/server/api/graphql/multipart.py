"""GraphQL in forms: `operations`, `map` and files, which become the texts of variables (GraphQL multipart requests)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from holdfast.protocol.limits import GQL_BODY
from holdfast.protocol.rawjson import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_FILES: Final = 100


class FormError(Exception):
    """A form that is no GraphQL request."""


async def read_form(content_type: str, body: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the JSON of the operations, and texts by the path of the variable that they are for. Raises FormError."""

    async def stream() -> AsyncGenerator[bytes]:
        yield body

    headers = Headers({"content-type": content_type})
    try:
        form = await MultiPartParser(
            headers, stream(), max_files=_FILES, max_fields=_FILES, max_part_size=GQL_BODY
        ).parse()
    except (MultiPartException, KeyError) as error:
        raise FormError(f"the form could not be read: {error}") from None
    try:
        operations, places = form.get("operations"), form.get("map")
        if not isinstance(operations, str) or not isinstance(places, str):
            raise FormError("the form needs the fields operations and map")
        texts: dict[str, str] = {}
        for name, paths in _places(places).items():
            file = form.get(name)
            if not isinstance(file, UploadFile):
                raise FormError(f"map names {name}, which is no file of the form")
            text = (await file.read()).decode("utf-8", "replace")
            texts.update(dict.fromkeys(paths, text))
        return operations.encode("utf-8", "surrogatepass"), texts
    finally:
        await form.close()


def _places(text: str) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode(text, type=dict[str, list[str]])
    except UNREADABLE:
        raise FormError("map is no object of lists of paths") from None
