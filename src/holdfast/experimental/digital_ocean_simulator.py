"""A Flask app that calls a DigitalOcean Function as the platform does, for tests."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any, Final

import flask

_NAME: Final = "/fn-00000000/fake-name"
FULL_PATH: Final = f"/api/v1/web{_NAME}"


@dataclasses.dataclass
class _Context:
    api_host: str
    function_name: str


class DigitalOceanSimulator:
    """Serves a function's `main` as `app`, at the root and at `FULL_PATH`."""

    def __init__(self, main: Callable[[Any, Any], Any]) -> None:
        self._main = main
        self.app = flask.Flask(__name__)
        for number, path in enumerate(("/", FULL_PATH)):
            self.app.add_url_rule(path, f"main-{number}", self._serve, methods=["GET", "POST", "PUT"])

    def _serve(self) -> flask.Response:
        request = flask.request
        http = {
            "body": request.get_data(as_text=True),
            "headers": dict(request.headers.items()),
            "method": request.method,
            "path": "",
            "queryString": request.query_string.decode(),
        }
        answer = self._main({"http": http}, _Context(request.url_root, _NAME))
        body = answer.get("body")
        body = body if body is None or isinstance(body, str) else json.dumps(body)
        return flask.Response(body, answer.get("statusCode", 200), answer.get("headers", {}))
