from __future__ import annotations

import asyncio

from holdfast.server.drivers.deadlines import Deadlines


def test_items_expire_in_order_unless_discarded():
    async def main():
        expired: list[str] = []
        deadlines: Deadlines[str] = Deadlines(0.1, expired.append)
        for item in ("a", "b", "c"):
            deadlines.add(item)
            await asyncio.sleep(0.01)
        deadlines.discard("b")
        deadlines.discard("never added")
        assert "a" in deadlines
        assert "b" not in deadlines
        await asyncio.sleep(0.2)
        assert expired == ["a", "c"]
        assert len(deadlines) == 0

    asyncio.run(main())


def test_an_expiry_may_discard_others_and_add_new_ones():
    async def main():
        expired: list[str] = []

        def expire(item: str) -> None:
            expired.append(item)
            deadlines.discard("b")
            if item == "a":
                deadlines.add("c")

        deadlines: Deadlines[str] = Deadlines(0.02, expire)
        deadlines.add("a")
        deadlines.add("b")
        await asyncio.sleep(0.1)
        assert expired == ["a", "c"]

    asyncio.run(main())


def test_drained_items_do_not_expire():
    async def main():
        expired: list[str] = []
        deadlines: Deadlines[str] = Deadlines(0.01, expired.append)
        deadlines.add("a")
        deadlines.add("b")
        assert deadlines.drain() == ["a", "b"]
        await asyncio.sleep(0.03)
        assert expired == []
        assert list(deadlines) == []

    asyncio.run(main())
