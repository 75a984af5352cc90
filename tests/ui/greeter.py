"""An app of our own SDK, whose steps take arguments: `python -m tests.ui.greeter SERVER_URL PORT`."""

from __future__ import annotations

import sys

import uvicorn

from holdfast import Client, Context, TriggerEvent
from holdfast.asgi import serve


def main(server: str, port: int) -> None:
    client = Client(app_id="greeter", is_production=False, api_base_url=server, event_api_base_url=server)

    @client.create_function(fn_id="greet-guest", name="Greet guest", trigger=TriggerEvent(event="greeter/guest.came"))
    async def greet_guest(ctx: Context) -> str:
        found = await ctx.step.run("look up", look_up, str(ctx.event.data["guest"]))
        return f"{await ctx.step.run('greet', greet, found)}, welcome"

    uvicorn.run(serve(client, [greet_guest]), port=port, log_level="warning")


async def look_up(name: str) -> str:
    return name


async def greet(name: str) -> str:
    return f"Hello, {name}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
