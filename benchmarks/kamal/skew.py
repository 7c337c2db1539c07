"""Releases that drop a column which the release before reads, deployed under load: what no health check notices.

Kamal's containers drop it in their entrypoint, and go on migrating or not; pilotage has it in a contract half, which the
*next* deploy applies. So each row of pilotage but the first also drops what the row before it stopped reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.kamal import images
from benchmarks.kamal.bed import Bed
from benchmarks.kamal.load import load
from benchmarks.kamal.log import Log
from benchmarks.kamal.project import Ran, Shape, Tool

LIMIT = 10
"""Seconds in which a container must be healthy; Kamal's default is 30, and that makes no other difference."""

COLUMNS = ("r1", "r2", "r3", "r4")


@dataclass(frozen=True, slots=True)
class Row:
    """A release. ``seconds``: how long it goes on migrating after it has dropped its column. ``back``: after it
    comes a rollback."""

    what: str
    seconds: int = 0
    back: bool = False


ROWS = {
    1: (
        Row("drops a column"),
        Row(f"drops one, then migrates for {LIMIT // 2} s", LIMIT // 2),
        Row(f"drops one, then migrates for {LIMIT + 5} s, where {LIMIT} s are allowed", LIMIT + 5),
    ),
    2: (Row("drops a column"), Row("rolled back after that", back=True)),
}
"""By the number of hosts, in the order in which they are deployed."""


def skew(on: Bed, hosts: int, log: Log) -> None:
    """All rows of one number of hosts, of each tool."""
    shape = Shape(hosts)
    last = f"skew, {shape}: {ROWS[hosts][-1].what}"
    if log.of(last, "pilotage", "requests"):
        return
    with _shops(on, shape) as tools:
        for tool in tools:
            for number, row in enumerate(ROWS[hosts], 1):
                what = f"skew, {shape}: {row.what}"
                addresses = [host.address for host in tool.hosts[:hosts]]
                if not row.back:
                    _release(tool, number, row)
                with load(addresses) as told:
                    ran = tool.rollback(check=False) if row.back else tool.deploy(check=False)
                log.add(what, tool.name, **told, **_ended(ran))
            if hosts == 1 and not tool.kamal:
                _release(tool, len(COLUMNS), Row("nothing more"))
                with load(addresses) as told:
                    ran = tool.deploy(check=False)
                log.add(f"skew, {shape}: the deploy after that", tool.name, **told, **_ended(ran))
                left = on.postgres.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'",
                    database=tool.database_url.rpartition("/")[2],
                )
                assert not {"r1", "r2", "r3"} & {row[0] for row in left}, "a column was not dropped"


def _ended(ran: Ran) -> dict[str, Any]:
    """How a command ended; what it said last, where it failed."""
    last = {"last": "".join(ran.text.splitlines(keepends=True)[-8:])} if ran.status else {}
    return {"status": ran.status, "seconds": round(ran.seconds, 1), **last}


@contextmanager
def _shops(on: Bed, shape: Shape) -> Iterator[tuple[Tool, Tool]]:
    """Kamal and pilotage, each with a shop that reads all columns."""
    made = ("CREATE TABLE orders (id int, {})".format(", ".join(f"{c} text" for c in COLUMNS)),)
    with on.postgres.database(*made) as one, on.postgres.database(*made) as other:
        tools = on.tool("kamal", one), on.tool("pilotage", other)
        try:
            for tool in tools:
                tool.prepare(shape, limit=LIMIT)
                _release(tool, 0, Row("the first"))
                tool.deploy(first=True)
            yield tools
        finally:
            for host in on.lab.hosts:
                host.clean()


def _release(tool: Tool, number: int, row: Row) -> None:
    """The release that has dropped so many columns, and reads the others."""
    drop = f"ALTER TABLE orders DROP COLUMN IF EXISTS {COLUMNS[number - 1]}" if number else ""
    then = f"SELECT pg_sleep({row.seconds})" if row.seconds else ""
    image = images.shop(
        f"{tool.name}-{number}", tool.service,
        reads=", ".join(("id", *COLUMNS[number:])), sql=drop or "SELECT 1", then=then,
    )  # fmt: skip
    expand = (
        f"-- expand\n-- pilotage: allow=opaque because it only waits\n{then};\n" if then else ""
    )
    tool.release(sql=f"{expand}-- contract\n{drop};\n" if drop else "", image=image)
