"""Who suffers from a backfill, as PostgreSQL's own views say it; asked from a session that watches.

A role without ``pg_read_all_stats`` sees that other roles' sessions are there, and little else of them:
then the answer is None, unless what it does see is enough.
"""

# ruff: noqa: S608  (what is formatted in stands below)

from __future__ import annotations

from collections.abc import Sequence

from pilotage.migrate.dialects.base import APPLICATION_NAME, Session, Vacuum, Waiting

_SEES_ALL = "pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"

# Our own sessions look, renew leases, and hold locks; whoever else works has a name of his own.
_AT_WORK = f"""
SELECT count(*) FILTER (WHERE state <> 'idle') > 0,
       count(*) FILTER (WHERE state IS NULL) > 0 AND NOT {_SEES_ALL}
FROM pg_stat_activity
WHERE coalesce(backend_type, 'client backend') = 'client backend' AND pid <> ALL ($1::int[])
  AND application_name IS DISTINCT FROM $2 AND datname = current_database()
"""

_STANDBYS = f"""
SELECT coalesce(nullif(application_name, ''), host(client_addr), 'unnamed'), {_SEES_ALL}
FROM pg_stat_replication
WHERE (state IS NULL OR state IN ('streaming', 'catchup'))  -- NULL: hidden, as the position is
  AND (replay_lsn IS NULL OR replay_lsn < $1::pg_lsn)
"""

# An advisory lock may be waited for by design, for hours: a leader's deputy does nothing else.
_WAITS = """
SELECT a.pid, coalesce(nullif(a.application_name, ''), 'unnamed'),
       extract(epoch FROM clock_timestamp() - min(l.waitstart))::float8,
       pg_blocking_pids(a.pid) && $1::int[]
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND l.locktype <> 'advisory' AND l.waitstart IS NOT NULL
  AND a.datname = current_database() AND a.pid <> ALL ($1::int[])
GROUP BY a.pid, a.application_name
ORDER BY 3 DESC LIMIT 1
"""

_OLDEST = """
SELECT 'session ' || pid || ' (' || coalesce(nullif(application_name, ''), 'unnamed') || ', '
       || coalesce(state, 'state hidden') || ')',
       extract(epoch FROM clock_timestamp() - xact_start)::float8
FROM pg_stat_activity
WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND xact_start IS NOT NULL
  AND datname = current_database() AND backend_type = 'client backend' AND pid <> ALL ($1::int[])
UNION ALL
SELECT 'the prepared transaction ' || quote_literal(gid),
       extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts WHERE database = current_database()
ORDER BY 2 DESC LIMIT 1
"""

_HIDDEN = f"""
SELECT NOT {_SEES_ALL} AND EXISTS (
  SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND backend_type IS NULL AND usename <> current_user)
"""

# What autovacuum waits for, as relation_needs_vacanalyze() in autovacuum.c computes it.
_VACUUM = """
WITH tables AS (
  SELECT $1::regclass::oid AS oid UNION SELECT relid FROM pg_partition_tree($1::regclass)
), options AS (
  SELECT c.oid, greatest(c.reltuples, 0) AS rows, c.relfrozenxid,
    (SELECT option_value FROM pg_options_to_table(c.reloptions)
     WHERE option_name = 'autovacuum_enabled')::boolean AS enabled,
    (SELECT option_value FROM pg_options_to_table(c.reloptions)
     WHERE option_name = 'autovacuum_vacuum_threshold')::float8 AS base,
    (SELECT option_value FROM pg_options_to_table(c.reloptions)
     WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS scale
  FROM tables JOIN pg_class c USING (oid) WHERE c.relkind IN ('r', 'm')
)
SELECT
  CASE WHEN current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean
  THEN max(coalesce(pg_stat_get_dead_tuples(o.oid), 0)::float8 / greatest(1,
    coalesce(o.base, current_setting('autovacuum_vacuum_threshold')::float8)
    + coalesce(o.scale, current_setting('autovacuum_vacuum_scale_factor')::float8) * o.rows))
    FILTER (WHERE o.enabled IS NOT FALSE)
  END,
  coalesce(bool_or(age(o.relfrozenxid) > current_setting('autovacuum_freeze_max_age')::bigint
    AND EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.relid = o.oid)), false)
FROM options o
"""


async def others_at_work(watcher: Session, own: Sequence[int]) -> bool | None:
    """From pg_stat_activity."""
    ((works, hidden),) = await watcher.query(_AT_WORK, list(own), APPLICATION_NAME)
    return True if works else None if hidden else False


async def standbys_behind(watcher: Session, position: str) -> list[str] | None:
    """From pg_stat_replication."""
    rows = await watcher.query(_STANDBYS, position)
    if any(not sees for _, sees in rows):
        return None  # the positions are hidden
    return [name for name, _ in rows]


async def longest_wait(watcher: Session, own: Sequence[int]) -> list[Waiting]:
    """From pg_locks, which hides nothing."""
    rows = await watcher.query(_WAITS, list(own))
    return [Waiting(f"session {pid} ({name})", age, ours) for pid, name, age, ours in rows]


async def oldest_transaction(watcher: Session, own: Sequence[int]) -> list[Waiting] | None:
    """From pg_stat_activity and pg_prepared_xacts."""
    rows = await watcher.query(_OLDEST, list(own))
    if not rows and (await watcher.query(_HIDDEN))[0][0]:
        return None
    return [Waiting(who, age) for who, age in rows]


async def vacuum(watcher: Session, table: str) -> Vacuum | None:
    """From the statistics of the table, or of the worst of its partitions."""
    dead, wraparound = (await watcher.query(_VACUUM, table))[0]
    words = f"autovacuum does not keep up with {table}"
    if dead is not None:
        words += f": its dead rows are {dead:.0f} times what it waits for"
    return Vacuum(dead, bool(wraparound), words)
