"""Whether a function does the same when it is called again with the same steps.

Each call of a function runs it from the start: what stands between steps must come to the same result each time. So
all calls of a run are made again, with steps reported but not run, and what they report is compared.
"""

from __future__ import annotations

import msgspec

from holdfast.testing.apps import Reply
from holdfast.testing.driver import DirectDriver, Made
from holdfast.testing.errors import NotDeterministicError
from holdfast.testing.mocks import told

_ADVICE = (
    "code between steps runs again with each call, and must come to the same result: "
    "move random numbers, the time and reads of the world into steps"
)


async def check(driver: DirectDriver, run_id: str) -> int:
    """Repeat the calls of a run; return how many. Raises NotDeterministicError at the first that differs."""
    calls = [made for made in driver.made if made.run_id == run_id and not made.step]
    for number, made in enumerate(calls, 1):
        first, again = _said(made.reply), _said(await driver.replay(made))
        if first != again:
            raise NotDeterministicError(
                f"call {number} of {made.slug} {first}, and {again} when it was repeated{_after(made)}; {_ADVICE}"
            )
    return len(calls)


def _said(reply: Reply) -> str:
    ops = told(reply.body) if reply.status == 206 else []
    if ops:
        return "came to " + ", ".join(sorted(f"step {op.label!r} ({op.id[:7]})" for op in ops))
    if reply.status == 200:
        return f"returned {reply.body.decode()}"
    return f"raised {_error_name(reply.body)}"


def _error_name(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body, type=dict[str, object]).get("name", "an error"))
    except msgspec.MsgspecError:
        return "an error"


class _Call(msgspec.Struct):
    steps: dict[str, msgspec.Raw] = {}


def _after(made: Made) -> str:
    count = len(msgspec.json.decode(made.body, type=_Call).steps)
    return f" with the same {count} finished step{'s' if count != 1 else ''}" if count else ""
