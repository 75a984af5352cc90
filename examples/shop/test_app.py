"""The shop's functions, tested without a server: `pip install pytest`, then `pytest` in this folder."""

from __future__ import annotations

import app

from holdfast.testing import SyncTestEngine

SHOP = (app.fulfil_order, app.award_points, app.refund)


def test_an_order_is_delivered() -> None:
    with SyncTestEngine(*SHOP, client=app.client) as t:
        run = t.send("shop/order.placed", {"order": "7"})
        assert run.steps["charge"].status == "retrying"  # the card network fails at first
        t.advance("5m")
        assert "shop/parcel.shipped" in run.waits_for[0]
        t.emit("shop/parcel.shipped", {"order": "another", "parcel": "P0"})
        assert not run.ended
        t.emit("shop/parcel.shipped", {"order": "7", "parcel": "P1"})
        assert run.output == {"order": "7", "state": "delivered", "parcel": "P1", "points": 4}


def test_a_parcel_that_never_leaves() -> None:
    with SyncTestEngine(*SHOP, client=app.client, steps={"charge": "charged"}) as t:
        run = t.finish(t.send("shop/order.placed", {"order": "8"}))
        assert run.output["state"] == "lost in the warehouse"


def test_who_gets_no_refund_gets_a_letter() -> None:
    with SyncTestEngine(*SHOP, client=app.client) as t:
        t.send("shop/order.returned", {"order": "9"})
        (letter,) = t.runs_of("shop-refund-failure")
        assert letter.output == "Sorry! The parcel was empty."
