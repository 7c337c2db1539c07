"""The audit in the database, on every dialect."""

from __future__ import annotations

import asyncio

from tests.contract.schema.conftest import Kit

from pilotage.audit import Line, joined

ODD = "deploy --reason 'ü \"x\" $1 %s \\ ;'"


def line(run: str, at: float, result: str = "began", **more: str) -> Line:
    return Line(run, at, "ada@example.com", "ada@host:1", more.pop("command", ODD), result, **more)


def test_lines_are_appended_and_the_newest_are_read(kit: Kit) -> None:
    first, second = line("a", 1795334780.125), line("a", 1795334781.5, "failed", detail="no\nway")
    third = line("b", 1795334790.0)

    async def story() -> None:
        async with kit.schema() as schema:
            assert not await schema.audit().append([first]), "no table is made for it"
            assert await schema.audit().last(10) == []
            await schema.prepare()
            assert await schema.audit().append([first, second])
            assert await schema.audit().append([third])
            assert await schema.audit().last(10) == [first, second, third]
            assert await schema.audit().last(2) == [second, third]
        async with kit.schema(service="other") as schema:
            assert await schema.audit().last(10) == []

    asyncio.run(story())
    entries = joined([third, second, first])
    assert [(e.line.run, e.ended, e.line.result) for e in entries] == [
        ("a", 1795334781.5, "failed"),
        ("b", None, "began"),
    ]


def test_tables_of_an_earlier_version_get_the_table(kit: Kit) -> None:
    async def story() -> None:
        async with kit.schema() as schema:
            await schema.prepare()
            kit.execute("DROP TABLE pilotage_audit", "UPDATE pilotage_meta SET format = 2")
        async with kit.schema() as schema:
            assert await schema.audit().append([line("a", 1.0)])
            assert await schema.audit().last(1) == [line("a", 1.0)]

    asyncio.run(story())
    assert kit.execute("SELECT format FROM pilotage_meta") == [(3,)]
