"""The orders that are in the shop before the load begins: every value follows from the id."""

from __future__ import annotations

CUSTOMERS = 1000
ORDERS = 200_000

SEED = f"""
INSERT INTO customers (name) SELECT 'Customer ' || n FROM generate_series(1, {CUSTOMERS}) n;
INSERT INTO orders (customer_id, item, amount, state)
    SELECT 1 + n % {CUSTOMERS}, 'item ' || n, 100 + n % 9000, 'shipped'
    FROM generate_series(1, {ORDERS}) n ORDER BY n;
INSERT INTO order_audit (order_id, what) SELECT n, 'placed' FROM generate_series(1, {ORDERS}) n;
ANALYZE customers, orders, order_audit;
"""  # noqa: S608 - two numbers of ours
"""Fills the tables of v1. Orders get the ids 1…ORDERS, because the tables are empty."""


def seeded(order: int) -> tuple[str, int]:
    """The item and the amount of a seeded order."""
    return f"item {order}", 100 + order % 9000
