"""The orders table. Every statement of the shop stands here, so here is what a release changes.

The API keeps saying "item"; the column is called ``product`` now.
"""

from __future__ import annotations

from typing import Any

from shop.db import Pool

Order = dict[str, Any]

PLACE = """
    WITH placed AS (
        INSERT INTO orders (customer_id, product, amount, channel)
        VALUES (%(customer_id)s, %(item)s, %(amount)s, %(channel)s)
        RETURNING id, customer_id, product AS item, amount, state, channel
    ), noted AS (
        INSERT INTO order_audit (order_id, what) SELECT id, 'placed' FROM placed
    )
    SELECT * FROM placed
"""

GET = """
    SELECT id, customer_id, product AS item, amount, state, channel
    FROM orders WHERE id = %(id)s
"""

CHANGE = """
    UPDATE orders SET product = %(item)s, amount = %(amount)s WHERE id = %(id)s
    RETURNING id, customer_id, product AS item, amount, state, channel
"""

SHIP = """
    UPDATE orders SET state = 'shipped'
    WHERE id IN (
        SELECT id FROM orders WHERE state = 'new'
        ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    RETURNING id, product AS item
"""


async def place(db: Pool, order: Order) -> Order:
    """Store a new order; return it as it was stored."""
    async with db.connection() as connection:
        stored = await (await connection.execute(PLACE, order)).fetchone()
    assert stored is not None
    return stored


async def get(db: Pool, order_id: int) -> Order | None:
    """One order, or None."""
    async with db.connection() as connection:
        return await (await connection.execute(GET, {"id": order_id})).fetchone()


async def change(db: Pool, order_id: int, order: Order) -> Order | None:
    """Change an order; return it as it was stored, or None."""
    async with db.connection() as connection:
        return await (await connection.execute(CHANGE, {**order, "id": order_id})).fetchone()


async def ship(db: Pool, *, limit: int) -> list[Order]:
    """Ship up to ``limit`` new orders; two workers never ship the same one."""
    async with db.connection() as connection:
        return await (await connection.execute(SHIP, {"limit": limit})).fetchall()
