"""How patient the runner is, and how much it does at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillSettings:
    """How a backfill leaves room for others. Times in seconds; None turns a signal off.

    ``batch_time``: what a batch is to take; its size follows from how long the last ones took.
    ``batch_rows``: rows of a table that one batch spans at most.
    ``duty``: the share of the time that it works, 0…1; in the rest it rests. None: it rests a fifth of the
    time, as long as others are at work in the database or nobody can tell; else not at all.
    ``replication_lag``: it pauses while a replica is further behind.
    ``lock_wait``: … while a session waits longer than this for a lock (advisory locks apart).
    ``long_transaction``: … while a transaction has been open for longer.
    ``dead_rows``: … while its table has more dead rows than so many times what autovacuum waits for.
    ``wraparound``: … while a vacuum against wraparound runs on its table.
    ``pause_when``: … while the first value that this query returns is true.
    ``longest_pause``: after so long a pause for any of these it gives up, with its cursor kept. A person
    may pause it for longer.
    """

    batch_time: float = 0.1
    batch_rows: int = 20_000
    duty: float | None = None
    replication_lag: float | None = 10.0
    lock_wait: float | None = 0.5
    long_transaction: float | None = 600.0
    dead_rows: float | None = 10.0
    wraparound: bool = True
    pause_when: str | None = None
    longest_pause: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """Limits of the runner. Times in seconds.

    ``lock_timeout``: how long one attempt waits for a table lock. The whole transaction is then
    rolled back and tried again, with a growing pause, until ``timeout`` is over.
    ``timeout``: how long a half may take in all, its retries included; and a batch of a backfill.
    ``lock_wait``: how long to wait for the migration lock while another runner has it.
    ``backfill``: how backfills leave room for others.
    ``replica_wait``: how long a replica may take to replay what an expand half has made.
    ``schema_file``: SQL that a database which is new and empty is loaded with; ``seed_file``: SQL that
    is run after it.
    """

    lock_timeout: float = 0.5
    timeout: float = 3600.0
    lock_wait: float = 60.0
    backfill: BackfillSettings = field(default_factory=BackfillSettings)
    replica_wait: float = 60.0
    schema_file: Path | None = None
    seed_file: Path | None = None
