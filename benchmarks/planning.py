"""How long planning takes for 1,000 hosts and 10,000 migrations: nothing in it may be quadratic.

There is no peer that plans this. What stands beside each time is the same at a tenth of the size: 10 is
linear, 100 quadratic.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Times, in_turn, table, write
from pilotage.cli.pages.about import About
from pilotage.cli.pages.plan import barred_by, page
from pilotage.hazards import check_all
from pilotage.migrate.history import check_applied
from pilotage.migrate.loader import load_files
from pilotage.migrate.migration import Migrations
from pilotage.migrate.sql.postgresql import changes, parser
from pilotage.model import (
    DeployState,
    Endpoint,
    HalfRow,
    Host,
    Life,
    Observed,
    Registration,
    Release,
    Role,
    Route,
    SchemaView,
    Spec,
    release_id,
)
from pilotage.plan import Goal, Layout, plan_deploy
from pilotage.source import Revision

TEXT = """\
-- expand
ALTER TABLE orders ADD COLUMN c{n} text;

-- contract
ALTER TABLE orders DROP COLUMN b{n};
"""


REVISION = Revision("b" * 40, "main")
ABOUT = About("shop", dialect="postgresql")


def texts(count: int) -> dict[Path, bytes]:
    """Migration files, an expand and a contract half in each."""
    return {
        Path(f"db/migrations/2026{n:010d}_change.sql"): TEXT.format(n=n).encode()
        for n in range(1, count + 1)
    }


def world(hosts: int, files: Migrations, *, pending: bool) -> tuple[Observed, Goal]:
    """A service on so many hosts, of whose migrations all or none are pending, and its next release."""
    names = tuple(f"host-{n:04d}" for n in range(hosts))
    layout = Layout(
        "shop", (Role("web", names, traffic=True), Role("job", names)), {"web": "c", "job": "c"}
    )
    old_files = Migrations() if pending else files
    old = Release(release_id("a" * 40), "a" * 40, ships=old_files.ships())
    new = Release(release_id("b" * 40), "b" * 40, ships=files.ships())
    running = tuple(
        replace(i, life=Life.RUNNING, address="127.0.0.1:1") for i in layout.wanted(old)
    )
    rows = tuple(
        HalfRow(ref, m.name, m.checksum(ref.half), old.id, 1.0, 2.0, 1)
        for m in old_files
        for ref in m.halves()
    )
    routes = {
        i.host: Route((Endpoint(i.id, i.release, "127.0.0.1:1"),))
        for i in running
        if i.role == "web"
    }
    observed = Observed(
        state=DeployState(
            releases=(old,), spec=Spec(to=old.id, started_at=1.0, switched_at=2.0, finished_at=3.0)
        ),
        hosts=tuple(Host(name) for name in names),
        instances=running,
        routes=routes,
        schema=SchemaView(
            fresh=False,
            rows=rows,
            registered=tuple(
                Registration(i.id, "shop", i.host, i.release, ships=old.ships) for i in running
            ),
        ),
    )
    return observed, Goal(new, layout, migrations=files)


def clocked(work: Callable[[], Any]) -> float:
    """The seconds of processor time of a call: it waits for nothing, and others may be busy."""
    for kept in (parser.scan, parser.split, changes.changes):
        kept.cache_clear()  # what an earlier round has read is new to a new process
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def contestants(hosts: int, count: int) -> dict[str, Callable[[], float]]:
    """Everything that `pilotage plan` does between asking the world and printing."""
    raw = texts(count)
    files = load_files(raw, dialect="postgresql")
    pending = world(hosts, files, pending=True)
    applied = world(hosts, files, pending=False)
    new = (Observed(hosts=pending[0].hosts, schema=SchemaView(fresh=True)), pending[1])
    plan = plan_deploy(*pending, now=1.0)
    return {
        "plan, all pending": lambda: clocked(lambda: plan_deploy(*pending, now=1.0)),
        "plan, all applied": lambda: clocked(lambda: plan_deploy(*applied, now=1.0)),
        "plan, new database": lambda: clocked(lambda: plan_deploy(*new, now=1.0)),
        "fingerprint": lambda: clocked(lambda: plan.fingerprint),
        "the page": lambda: clocked(
            lambda: list(page(ABOUT, REVISION, plan, (), barred_by(pending[0], plan.steps)))
        ),
        "files against rows": lambda: clocked(lambda: check_applied(applied[0].schema, files)),
        "reading the files": lambda: clocked(lambda: load_files(raw, dialect="postgresql")),
        "the linter": lambda: clocked(lambda: list(check_all(files, dialect="postgresql"))),
    }


def measure(hosts: int, count: int, rounds: int) -> str:
    """A table: the times, and how they grew from a tenth of the size."""
    whole: dict[str, Times] = in_turn(contestants(hosts, count), rounds)
    tenth: dict[str, Times] = in_turn(contestants(hosts // 10, count // 10), rounds)
    rows = [
        [
            name,
            f"{times.median:.3f}",
            f"{times.least:.3f}",
            f"{times.least / tenth[name].least:.0f}",
        ]
        for name, times in whole.items()
    ]
    return table(["", "median s", "minimum s", "× a tenth of the size"], rows)


def main() -> None:
    """Measure, and write the section."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--hosts", type=int, default=1000)
    arguments.add_argument("--migrations", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    text = measure(given.hosts, given.migrations, given.rounds)
    head = (
        f"{given.hosts:,} hosts with a web instance and a worker each; {given.migrations:,} migrations "
        "with an expand and a contract half each; all of them pending, or all applied. Processor time. The last column "
        "is how many times longer (processor time) it takes than a tenth of the size: 10 is linear, 100 quadratic."
    )
    write("planning", "Planning", f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
