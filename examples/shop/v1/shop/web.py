"""The web role: ``python -m shop.web`` serves the API on $PORT.

SIGTERM ends it gracefully: uvicorn stops accepting, finishes what is in flight, and closes the pool.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pilotage.health import Readiness
from shop import orders
from shop.db import Pool, pool

RELEASE = {"X-Release": os.environ.get("PILOTAGE_RELEASE", "")}


schema = Readiness()


async def up(request: Request) -> Response:
    """Ready once the application has started, and while this release fits the database's schema.

    (`app = pilotage.health.asgi(app)` does the same in one line, without our header.)
    """
    answer = await schema.answer_async()
    return Response(answer.body, answer.status, RELEASE, "application/json")


async def place(request: Request) -> Response:
    """POST /orders: answers 201 with the order as it was stored."""
    try:
        return answer(await orders.place(database(request), await body(request)), status=201)
    except (psycopg.IntegrityError, psycopg.DataError) as error:
        raise HTTPException(400, "no such customer, or an amount that is too large") from error


async def get(request: Request) -> Response:
    """GET /orders/ID."""
    return answer(await orders.get(database(request), request.path_params["id"]))


async def change(request: Request) -> Response:
    """PUT /orders/ID: answers with the order as it was stored."""
    order_id = request.path_params["id"]
    return answer(await orders.change(database(request), order_id, await body(request)))


def database(request: Request) -> Pool:
    """The pool of this process."""
    return request.app.state.database


async def body(request: Request) -> dict[str, Any]:
    """The order in the request: ``{customer_id, item, amount, channel}``."""
    try:
        given = json.loads(await request.body())
        return {
            "customer_id": int(given.get("customer_id", 0)),
            "item": str(given["item"]),
            "amount": int(given["amount"]),
            "channel": str(given.get("channel", "web")),
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise HTTPException(400, f"not an order: {error}") from error


def answer(order: orders.Order | None, *, status: int = 200) -> Response:
    """An order as JSON, and which release says so."""
    if order is None:
        raise HTTPException(404, "no such order")
    return JSONResponse(order, status, headers=RELEASE)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open the pool before the first request, close it after the last."""
    async with pool(size=8) as database:
        await database.wait()
        app.state.database = database
        yield


app = Starlette(
    routes=[
        Route("/up", up),
        Route("/orders", place, methods=["POST"]),
        Route("/orders/{id:int}", get),
        Route("/orders/{id:int}", change, methods=["PUT"]),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        access_log=False,
        log_level="warning",
        # Longer than the proxy keeps an idle connection: the side that sends must be the side that
        # closes, or a request meets a connection that is just being closed.
        timeout_keep_alive=75,
    )
