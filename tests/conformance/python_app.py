"""Serve the functions of python_functions.py: `python python_app.py fastapi|flask`.

The environment says the rest: APP_ID, PORT, SERVER_URL, UPSTREAM_URL, and for `start` mode SIGNING_KEY and EVENT_KEY.
`GET /calls?run=<run id>` tells which requests the app got from the server and which bodies it ran.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import typing

import fastapi
import flask
import inngest
import inngest.fast_api
import inngest.flask
import python_functions as functions
import uvicorn
from werkzeug import serving

HOST = "127.0.0.1"
PORT = int(os.environ.get("PORT", "8000"))
calls: list[dict[str, typing.Any]] = []


def make_client(app_id: str) -> inngest.Inngest:
    server, signing_key = os.environ["SERVER_URL"], os.environ.get("SIGNING_KEY")
    return inngest.Inngest(
        app_id=app_id,
        app_version="1.2.3",
        api_base_url=server,
        event_api_base_url=server,
        event_key=os.environ.get("EVENT_KEY", "test"),
        signing_key=signing_key,
        is_production=signing_key is not None,
        serializer=inngest.PydanticSerializer(),
    )


def record(headers: typing.Mapping[str, str], query: typing.Mapping[str, str], body: bytes) -> dict[str, typing.Any]:
    """Remember one call of the server; the answer's status is filled in later."""
    request = json.loads(body)
    call = {
        "run": request["ctx"]["run_id"],
        "function": query.get("fnId"),
        "step": query.get("stepId"),
        "ctx": request["ctx"],
        "steps": sorted(request["steps"]),
        "version": request["version"],
        "use_api": request["use_api"],
        "event_user": request["event"].get("user"),
        "headers": {name.lower(): value for name, value in headers.items()},
        "sorted": [*request, *request["ctx"], *request["steps"]]
        == [*sorted(request), *sorted(request["ctx"]), *sorted(request["steps"])],
        "status": None,
    }
    calls.append(call)
    return call


def report(run: str | None) -> dict[str, typing.Any]:
    def pick(items: list[dict[str, typing.Any]]) -> list[dict[str, typing.Any]]:
        return [item for item in items if run in {None, item["run"]}]

    return {"calls": pick(calls), "ran": pick(functions.ran)}


def make_fastapi() -> fastapi.FastAPI:
    app = fastapi.FastAPI()

    @app.middleware("http")
    async def remember(request: fastapi.Request, call_next: typing.Any) -> fastapi.Response:
        if request.method != "POST":
            return typing.cast("fastapi.Response", await call_next(request))
        call = record(request.headers, request.query_params, await request.body())
        response = typing.cast("fastapi.Response", await call_next(request))
        call["status"] = response.status_code
        return response

    @app.get("/calls")
    async def get_calls(run: str | None = None) -> dict[str, typing.Any]:
        return report(run)

    client = make_client(functions.APP)
    inngest.fast_api.serve(app, client, functions.build(client))
    serve_streaming(app)
    return app


def serve_streaming(app: fastapi.FastAPI) -> None:
    client = make_client(f"{functions.APP}-stream")
    trigger = inngest.TriggerEvent(event=functions.event("streamed"))
    function = client.create_function(fn_id="streamed", trigger=trigger, retries=1)(functions.streamed)
    inngest.fast_api.serve(app, client, [function], serve_path="/api/stream", streaming=inngest.Streaming.FORCE)


def make_flask() -> flask.Flask:
    app = flask.Flask("flask-app")

    @app.before_request
    def remember() -> None:
        if flask.request.method == "POST":
            body = flask.request.get_data(cache=True)
            flask.g.call = record(dict(flask.request.headers), flask.request.args, body)

    @app.after_request
    def remember_status(response: flask.Response) -> flask.Response:
        if "call" in flask.g:
            flask.g.call["status"] = response.status_code
        return response

    @app.get("/calls")
    def get_calls() -> dict[str, typing.Any]:
        return report(flask.request.args.get("run"))

    client = make_client(functions.APP)
    inngest.flask.serve(app, client, functions.build(client))
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    if sys.argv[1] == "fastapi":
        uvicorn.run(make_fastapi(), host=HOST, port=PORT, log_level="warning")
    else:
        serving.run_simple(HOST, PORT, make_flask(), threaded=True)
