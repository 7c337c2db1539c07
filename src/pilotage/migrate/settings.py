"""How patient the runner is, and how much it does at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSettings:
    """Limits of the runner. Times in seconds.

    ``lock_timeout``: how long one attempt waits for a table lock. The whole transaction is then
    rolled back and tried again, with a growing pause, until ``timeout`` is over.
    ``timeout``: how long a half may take in all, its retries included; and a batch of a backfill.
    ``lock_wait``: how long to wait for the migration lock while another runner has it.
    ``batch_rows``: rows of a table that one batch of a backfill spans, at most 5,000.
    ``batch_pause``: pause between batches.
    ``replica_wait``: how long a replica may take to replay what an expand half has made.
    ``schema_file``: SQL that a database which is new and empty is loaded with; ``seed_file``: SQL that
    is run after it.
    """

    lock_timeout: float = 0.5
    timeout: float = 3600.0
    lock_wait: float = 60.0
    batch_rows: int = 5000
    batch_pause: float = 0.0
    replica_wait: float = 60.0
    schema_file: Path | None = None
    seed_file: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch_rows <= 5000:
            raise ValueError("batch_rows is from 1 to 5000: longer batches hold row locks too long")
