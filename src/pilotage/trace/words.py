"""A traced statement in words: which locks matter, what was worked through, how long. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pilotage.trace.report import Lock, Stops, TracedStatement

WAITS = {
    Stops.NOBODY: "nobody waits",
    Stops.SCHEMA_CHANGES: "other schema changes wait",
    Stops.WRITERS: "writers wait",
    Stops.EVERYBODY: "readers and writers wait",
}


def heaviest(locks: Iterable[Lock]) -> tuple[Lock, ...]:
    """Of each table the lock that stops the most, without those that no other DDL would wait for.

    A lock on an index alone stops everybody who plans a query of its table, so it counts as one there.
    """
    worst: dict[str, Lock] = {}
    for lock in locks:
        if lock.stops is Stops.NOBODY:
            continue
        other = worst.get(lock.relation.table)
        if other is None or _weight(lock) > _weight(other):
            worst[lock.relation.table] = lock
    return tuple(sorted(worst.values(), key=_weight, reverse=True))


def _weight(lock: Lock) -> tuple[Stops, bool, float]:
    return lock.stops, lock.relation.kind == "table", lock.seconds


def work(statement: TracedStatement) -> tuple[str, ...]:
    """What it wrote anew and what it read from end to end.

    >>> from pathlib import Path
    >>> from pilotage.trace.report import Relation, Scan
    >>> orders = Relation("orders", "table", "orders")
    >>> index = Relation("orders_pkey", "index", "orders")
    >>> work(TracedStatement(Path("1_a.sql"), 1, "…", 0.1, 0,
    ...     rewrites=(orders, index), scans=(Scan(orders, 2, 6000),)))
    ('orders written anew', 'orders read 2 times, 6 000 rows')
    """
    said = []
    tables = [r.name for r in statement.rewrites if r.kind != "index"]
    said += [f"{name} written anew" for name in tables]
    said += [
        f"{relation} built anew"
        for relation in statement.rewrites
        if relation.kind == "index" and relation.table not in tables
    ]
    for scan in statement.scans or ():
        often = f" {scan.times} times" if scan.times > 1 else ""
        rows = "1 row" if scan.rows == 1 else f"{scan.rows:,} rows".replace(",", " ")
        said.append(f"{scan.relation.name} read{often}, {rows}")
    return tuple(said)


def length(seconds: float) -> str:
    """A length of time, short.

    >>> [length(s) for s in (0.0002, 0.031, 2.4, 130)]
    ['under 1 ms', '31 ms', '2.4 s', '2 min 10 s']
    """
    if seconds < 0.001:
        return "under 1 ms"
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def estimated(statement: TracedStatement) -> str:
    """The estimate as one; empty where there is none."""
    estimate = statement.estimate
    if estimate is None:
        return ""
    rows = f"{estimate.rows:,}".replace(",", " ")
    return (
        f"about {length(estimate.seconds)} with the {rows} rows that {estimate.table} has in the source "
        "(an estimate, from the time that a row took here)"
    )


def measured(statement: TracedStatement) -> str:
    """One line for a finding."""
    locks = heaviest(statement.locks)
    parts = [
        f"{lock.mode} on {lock.relation} for {length(lock.seconds)}, {WAITS[lock.stops]}"
        for lock in locks
    ]
    under = heaviest(statement.under)
    if under:
        held = " and ".join(f"{lock.mode} on {lock.relation}" for lock in under)
        parts.append(f"under {held}, held since an earlier statement")
    if not parts:
        parts.append("no lock that anybody waits for")
    parts += work(statement)
    if statement.rows:
        parts.append(f"{statement.rows:,} rows changed".replace(",", " "))
    parts.append(f"{length(statement.seconds)} of work")
    said = "; ".join(parts)
    guess = estimated(statement)
    return f"{said}; {guess}" if guess else said
