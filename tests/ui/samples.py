"""Events for the showcase app. Apart from it, so that it is read without the SDK."""

from __future__ import annotations

import random


def sample_events() -> list[dict[str, object]]:
    """One event or several for each function, mixed."""
    chosen = random.Random(7)
    some = [{"name": "shop/order.placed", "data": {"order": 1_000 + number}} for number in range(12)]
    some += [{"name": "shop/stock.changed", "data": {"sku": f"A-{number}"}} for number in range(3)]
    some += [{"name": "shop/card.charge", "data": {"order": 1_000 + number}} for number in range(4)]
    some += [{"name": "shop/video.uploaded", "data": {"customer": "acme", "seconds": 20}} for _ in range(4)]
    some += [{"name": "shop/report.wanted", "data": {}} for _ in range(3)]
    some += [{"name": "shop/document.changed", "data": {"shelf": "ab"[number % 2]}} for number in range(7)]
    some += [
        {
            "name": "shop/question.asked", "data": {"text": "where is it?"},
            "meta": {"sessions": {"chat": f"c-{number // 3}", "user": ["ada", "bob"][number % 2]}},
        }
        for number in range(8)
    ]  # fmt: skip
    for customer in ("acme", "initech"):
        some += [
            {"name": f"shop/{what}", "data": {"customer": customer}} for what in ("profile.edited", "customer.seen")
        ]
    for name in (
        "broken", "unlucky", "catalogue.import", "cart.left", "invoice.sent", "partner.sync", "accounts.migrate",
        "images.uploaded", "export.wanted", "reviews.collected", "nobody.listens",
    ):  # fmt: skip
        some.append({"name": f"shop/{name}", "data": {"invoice": 7, "note": "first of its kind"}})
    chosen.shuffle(some)
    return some
