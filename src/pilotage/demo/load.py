"""The load: kept-alive connections that read and write orders at a constant rate, and never retry.

``python -m pilotage.demo.load URL ACKS`` is a process of its own, so that nothing the demo does can
slow it. It obeys the lines on its standard input and tells what it sees, one JSON object a line, on its
standard output (`Remote` is the other end of both pipes)::

    begin LABEL | end | stop        →  {"requests": …, "failed": …, "rate": …, "p99_ms": …, …}

The last line is the summary. A request that takes more than five seconds, a broken connection, an
unexpected status, or an answer with other values than were acknowledged earlier is a failure. What the
shop acknowledged to have stored is written to the file ACKS (CSV: id, item, amount) at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pilotage.demo.http1 import BadResponse, Connection, Response, connect, request
from pilotage.demo.measure import Measurements, Sample, percentile
from pilotage.demo.seed import CUSTOMERS, seeded

LIMIT = 5.0  # seconds that a request may take
CONNECTIONS = 32
RATE = 250.0  # requests a second, all connections together
READS, PLACES = 0.6, 0.25  # shares of the requests; the rest are changes
KEPT_FAILURES = 20
TICK = 0.5  # seconds between two lines of progress


class WrongAnswer(Exception):
    """The shop answered, but not what it should have."""


@dataclass(slots=True)
class Acknowledged:
    """What the shop said that it stored: order id → (item, amount)."""

    orders: dict[int, tuple[str, int]] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)  # a change of them was never answered
    placed: int = 0

    def expected(self, order: int) -> tuple[str, int]:
        """What a read of this order must return."""
        return self.orders.get(order) or seeded(order)

    def write(self, path: Path) -> None:
        """Write a line for each order whose values are known."""
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(
                (order, item, amount)
                for order, (item, amount) in self.orders.items()
                if order not in self.uncertain
            )


@dataclass(slots=True)
class Customer:
    """One kept-alive connection, and the orders that only this customer reads and changes."""

    number: int
    host: str
    port: int
    seeds: int
    acknowledged: Acknowledged
    chance: random.Random
    own: list[int] = field(default_factory=list)
    connection: Connection | None = None
    reopened: int = 0

    async def once(self) -> Sample:
        """Send one request, and judge the answer."""
        sent = time.monotonic()
        release = ""
        what = "connect"
        try:
            if self.connection is None or not self.connection.usable:
                self.reopened += self.connection is not None
                self.connection = await connect(self.host, self.port, limit=LIMIT)
                sent = time.monotonic()
            action = self.chance.random()
            if action < READS:
                what = "GET"
                answer = await self._read()
            elif action < READS + PLACES:
                what = "POST"
                answer = await self._place()
            else:
                what = "PUT"
                answer = await self._change()
            release = answer.headers.get("x-release", "")
        except TimeoutError:
            return Sample(
                sent, time.monotonic() - sent, failure=f"{what}: no answer in {LIMIT:g} s"
            )
        except (OSError, BadResponse, WrongAnswer) as error:
            took = time.monotonic() - sent
            return Sample(sent, took, failure=f"{what}: {type(error).__name__}: {error}")
        return Sample(sent, time.monotonic() - sent, release)

    async def _read(self) -> Response:
        order = self._order()
        answer, body = await self._send("GET", f"/orders/{order}", expect=200)
        if order not in self.acknowledged.uncertain:
            self._compare(body, order, *self.acknowledged.expected(order))
        return answer

    async def _place(self) -> Response:
        item, amount = self._values()
        order = {
            "customer_id": self.chance.randint(1, CUSTOMERS),
            "item": item,
            "amount": amount,
            "channel": "load",
        }
        answer, body = await self._send("POST", "/orders", order, expect=201)
        self._compare(body, body.get("id"), item, amount)
        self.acknowledged.orders[body["id"]] = (item, amount)
        self.acknowledged.placed += 1
        self.own.append(body["id"])
        return answer

    async def _change(self) -> Response:
        order = self._order()
        item, amount = self._values()
        change = {"item": item, "amount": amount}
        self.acknowledged.uncertain.add(order)
        answer, body = await self._send("PUT", f"/orders/{order}", change, expect=200)
        self._compare(body, order, item, amount)
        self.acknowledged.orders[order] = (item, amount)
        self.acknowledged.uncertain.discard(order)
        return answer

    def _order(self) -> int:
        """One of its own orders, or a seeded one that no other customer touches."""
        if self.own and self.chance.random() < 0.5:
            return self.chance.choice(self.own)
        return self.chance.randrange(self.seeds // CONNECTIONS) * CONNECTIONS + self.number + 1

    def _values(self) -> tuple[str, int]:
        return f"item {self.chance.randrange(10**9)}", self.chance.randint(1, 10**6)

    async def _send(
        self, method: str, path: str, order: dict[str, Any] | None = None, *, expect: int
    ) -> tuple[Response, dict[str, Any]]:
        assert self.connection is not None
        body = None if order is None else json.dumps(order).encode()
        host = f"{self.host}:{self.port}"
        answer = await self.connection.send(
            request(method, path, host=host, body=body), limit=LIMIT
        )
        if answer.status != expect:
            raise WrongAnswer(f"status {answer.status}: {answer.body[:200]!r}")
        try:
            stored = json.loads(answer.body)
        except ValueError as error:
            raise WrongAnswer(f"not JSON: {answer.body[:200]!r}") from error
        if not isinstance(stored, dict):
            raise WrongAnswer(f"not an order: {answer.body[:200]!r}")
        return answer, stored

    @staticmethod
    def _compare(body: dict[str, Any], order: object, item: str, amount: int) -> None:
        stored = (body.get("id"), body.get("item"), body.get("amount"))
        if not isinstance(order, int) or stored != (order, item, amount):
            raise WrongAnswer(f"stored {stored}, not {(order, item, amount)}")


@dataclass(slots=True)
class Load:
    """All customers of one shop."""

    host: str
    port: int
    seeds: int
    rate: float = RATE
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    measured: Measurements = field(default_factory=Measurements)
    customers: list[Customer] = field(default_factory=list)
    started: float = 0.0

    async def run(self, commands: AsyncIterator[str]) -> dict[str, Any]:
        """Send requests until a command says stop; return the summary."""
        self.started = time.monotonic()
        for number in range(CONNECTIONS):
            chance = random.Random(number)  # noqa: S311 - the same requests every time
            self.customers.append(
                Customer(number, self.host, self.port, self.seeds, self.acknowledged, chance)
            )
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for customer in self.customers:
                group.create_task(self._keep_sending(customer, stop))
            telling = group.create_task(self._tell())
            async for command in commands:
                word, _, label = command.partition(" ")
                if word == "begin":
                    self.measured.begin(label, time.monotonic())
                elif word == "end":
                    self.measured.end(time.monotonic())
                else:
                    break
            stop.set()
            telling.cancel()
        for customer in self.customers:
            if customer.connection is not None:
                customer.connection.close()
        return self._summary(time.monotonic() - self.started)

    async def _keep_sending(self, customer: Customer, stop: asyncio.Event) -> None:
        """One request after the other, at fixed times; a time that was missed is not made up for."""
        interval = CONNECTIONS / self.rate
        due = time.monotonic() + interval * customer.number / CONNECTIONS
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await stop.wait()
                    return
            self.measured.add(await customer.once())
            due = max(due + interval, time.monotonic())

    async def _tell(self) -> None:
        """A line of progress every half second."""
        seen = 0
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK)
            samples = self.measured.samples
            recent, seen = samples[seen:], len(samples)
            p99 = percentile([sample.seconds for sample in recent], 0.99)
            _say(
                {
                    "requests": len(samples),
                    "failed": self.measured.failed,
                    "rate": round(len(recent) / (time.monotonic() - began)),
                    "p99_ms": None if p99 is None else round(p99 * 1000, 1),
                    "releases": dict(Counter(s.release for s in recent if s.release)),
                }
            )

    def _summary(self, seconds: float) -> dict[str, Any]:
        failures = [
            {"at": round(sample.sent - self.started, 2), "what": sample.failure}
            for sample in self.measured.samples
            if sample.failure
        ]
        return self.measured.summary() | {
            "summary": True,
            "seconds": round(seconds, 1),
            "rate": round(len(self.measured.samples) / seconds, 1),
            "placed": self.acknowledged.placed,
            "reopened": sum(customer.reopened for customer in self.customers),
            "failures": failures[:KEPT_FAILURES],
        }


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _standard_input() -> AsyncIterator[str]:
    """The lines on standard input. When it ends, whoever started us is gone."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            yield line.decode().strip()
    finally:
        transport.close()


def main() -> None:
    """The load process."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("url")
    arguments.add_argument("acks", type=Path)
    arguments.add_argument("--seeds", type=int, required=True, help="how many orders were seeded")
    arguments.add_argument("--rate", type=float, default=RATE, help="requests a second")
    given = arguments.parse_args()
    url = urlsplit(given.url)
    load = Load(url.hostname or "127.0.0.1", url.port or 80, given.seeds, given.rate)
    summary = asyncio.run(load.run(_standard_input()))
    load.acknowledged.write(given.acks)
    _say(summary)


if __name__ == "__main__":
    main()
