"""Writes docs/reference/http-api.md from the OpenAPI document; with `--check`, says whether that is up to date."""

from __future__ import annotations

import sys

from page import keep

from holdfast.server.api.rest.openapi.reference import markdown


def main() -> int:
    return keep("http-api.md", markdown())


if __name__ == "__main__":
    sys.exit(main())
