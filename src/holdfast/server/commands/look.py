"""`holdfast runs`, `run`, `events`, `why`: what became of it, asked of a running server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import click

from holdfast.server.activity.happening import first_line
from holdfast.server.activity.text import short
from holdfast.server.commands import die
from holdfast.server.commands.asking import Server, asking
from holdfast.server.commands.tables import as_json, table, time_of, tinted, took
from holdfast.server.terminal import plain, plain_lines

_STATUSES = ("queued", "running", "completed", "failed", "cancelled")
_JSON = click.option("--json", "json", is_flag=True, help="Print JSON.")
_LIMIT = click.option("--limit", "-n", type=click.IntRange(1, 50), default=20, help="How many.", show_default=True)


@click.command()
@click.option("--status", multiple=True, type=click.Choice(_STATUSES, case_sensitive=False),
              help="Only in this status (repeatable).")  # fmt: skip
@_LIMIT
@_JSON
@asking
def runs(server: Server, status: tuple[str, ...], limit: int, json: bool) -> None:
    """List runs, newest first."""
    wanted = [name.upper() for name in status]
    found = server.list("/v2/runs", limit=limit, status=wanted, includeOutput="true")
    if json:
        as_json(found)
    elif not found:
        click.echo("No runs yet." if not wanted else "No such runs.")
    else:
        table(("QUEUED", "RUN", "FUNCTION", "STATUS", "TOOK", ""), [_run_row(run) for run in found])
        click.echo("\nDetails: holdfast run ID, holdfast why ID")


def _run_row(run: dict[str, Any]) -> tuple[str, ...]:
    error = _error(run.get("output")) if run["status"] == "FAILED" else {}
    return (
        time_of(run["queuedAt"]), short(run["id"]), _slug(run), run["status"].lower(),
        took(run.get("durationMs", "")), first_line(_named(error)) if error else "",
    )  # fmt: skip


@click.command()
@click.argument("run_id", metavar="ID")
@_JSON
@asking
def run(server: Server, run_id: str, json: bool) -> None:
    """Show one run: its steps and attempts as a tree, its output or its error with the stack.

    ID is a run's id, or its last characters if the run is recent.
    """
    id = server.run_id(run_id) or die(f"there is no run {run_id}; `holdfast runs` lists the newest")
    found = server.find(f"/v2/runs/{id}", includeOutput="true") or die(f"there is no run {id}")
    trace = server.get(f"/v2/runs/{id}/trace", includeOutput="true")["data"]["rootSpan"]
    if json:
        as_json({**found["data"], "trace": trace})
        return
    for line in _run_lines(found["data"], trace):
        click.echo(line)
    if found["data"]["status"] in {"QUEUED", "RUNNING"}:
        _tell_why(server.get(f"/v1/runs/{id}/why")["data"])


def _run_lines(found: dict[str, Any], trace: dict[str, Any]) -> Iterator[str]:
    status = found["status"].lower()
    yield f"{click.style(plain(_slug(found)), bold=True)}  run {found['id']}  {tinted(status)}"
    times = f"queued {time_of(found['queuedAt'])}, ended {time_of(found.get('endedAt', ''))}"
    yield f"{times}, took {took(found.get('durationMs', ''))}; event {', '.join(found['trigger'].get('eventIds', []))}"
    yield ""
    yield from _tree(list(_steps(trace.get("children", []))), "")
    error = _error(found.get("output"))
    if status == "failed":
        yield ""
        yield tinted("error") + f"  {plain(_named(error))}"
        yield from (f"  {line}" for line in plain_lines(str(error.get("stack") or "")).rstrip().split("\n"))
    elif found.get("output") is not None:
        yield f"\noutput {plain(_compact(found['output']))}"


def _steps(spans: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return the spans of a trace that stand for its steps.

    A trace has each step twice: as a queue item with its attempts, then once per call.
    """
    seen = set[str]()
    for span in spans:
        step = span.get("stepId", "")
        if span["name"] != "executor.nonstep" and not (step and step in seen):
            yield span
        seen.add(step)


def _tree(spans: list[dict[str, Any]], indent: str) -> Iterator[str]:
    for place, span in enumerate(spans):
        last = place == len(spans) - 1
        status = span["status"].lower()
        error = _error(span.get("output")) if status == "failed" else {}
        told = f"  {plain(first_line(_named(error)))}" if error else ""
        name = _attempt(span["name"])
        length = took(span.get("durationMs", ""))
        yield f"{indent}{'└' if last else '├'} {plain(name)}  {tinted(status)}  {length}{told}"
        yield from _tree(span.get("children", []), indent + ("  " if last else "│ "))


def _attempt(name: str) -> str:
    """Return a span's name; attempts are numbered from 1, as in all output of these commands."""
    word, _, number = name.partition(" ")
    return f"Attempt {int(number) + 1}" if word == "Attempt" and number.isdecimal() else name


@click.command()
@_LIMIT
@click.option("--name", default="", help="Only events of this name.")
@_JSON
@asking
def events(server: Server, limit: int, name: str, json: bool) -> None:
    """List events, newest first, with the runs that they started."""
    found = server.list("/v1/events", limit=limit, name=name, received_after="1970-01-01T00:00:00Z")
    started = {event["internal_id"]: server.list(f"/v1/events/{event['internal_id']}/runs") for event in found}
    if json:
        as_json([{**event, "runs": started[event["internal_id"]]} for event in found])
    elif not found:
        click.echo("No events yet.")
    else:
        rows = [
            (time_of(e["received_at"]), short(e["internal_id"]), e["name"], _started(started[e["internal_id"]]))
            for e in found
        ]
        table(("RECEIVED", "EVENT", "NAME", "RUNS"), rows)
        click.echo("\nDetails: holdfast why ID")


def _started(found: list[dict[str, Any]]) -> str:
    return ", ".join(f"{short(run['run_id'])} {run['status'].lower()}" for run in found) or "-"


@click.command()
@click.argument("id", metavar="RUN|EVENT")
@_JSON
@asking
def why(server: Server, id: str, json: bool) -> None:
    """Explain the state of a run, or what an event started. The last characters of an id are enough."""
    found = _why(server, "runs", server.run_id(id)) or _why(server, "events", server.event_id(id))
    if found is None:
        die(f"there is no run or event {id}; `holdfast runs` and `holdfast events` list the newest")
    if json:
        as_json(found)
    else:
        _tell_why(found)


def _why(server: Server, kind: str, id: str | None) -> dict[str, Any] | None:
    answer = server.find(f"/v1/{kind}/{id}/why") if id else None
    return answer["data"] if answer is not None else None


def _tell_why(found: dict[str, Any]) -> None:
    about = f"run {found['run_id']}  {tinted(found['status'].lower())}" if "run_id" in found else (
        f"event {found['event_id']}  {plain(found['name'])}"
    )  # fmt: skip
    click.echo(about)
    for reason in found["reasons"] or [{"text": "nothing holds it back"}]:
        click.echo(f"  {plain(reason['text'])}")


def _slug(run: dict[str, Any]) -> str:
    app, function = run["app"]["id"], run["function"]["id"]
    return function if not app or function.startswith(f"{app}-") else f"{app}-{function}"


def _error(output: Any) -> dict[str, Any]:
    """Return the error within an output: `{name, message, stack}`, those that are present."""
    if not isinstance(output, dict):
        return {}
    members = cast("dict[str, Any]", output)
    inner = members.get("error")
    return cast("dict[str, Any]", inner) if isinstance(inner, dict) else members


def _named(error: dict[str, Any]) -> str:
    name, message = str(error.get("name") or "Error"), str(error.get("message") or error.get("data") or "")
    return message if name == "Error" and message else f"{name}: {message}"


def _compact(output: Any) -> str:
    import msgspec  # noqa: PLC0415 - `--help` is quick without it

    return msgspec.json.encode(output).decode()
