"""A backfill as people meet it: steered from another terminal, and left by one that is closed."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.e2e.migrate.conftest import Shop

pytestmark = pytest.mark.e2e

LONG = 90.0
FILE = """\
-- expand
ALTER TABLE orders ADD COLUMN product text;
ALTER TABLE orders ADD COLUMN n integer;

-- backfill
-- pilotage: batch_rows=20
UPDATE orders SET product = item, n = coalesce(n, 0) + 1 WHERE product IS NULL;

-- verify
SELECT id FROM orders WHERE product IS NULL LIMIT 5;

-- contract
ALTER TABLE orders DROP COLUMN item;
"""
ROWS = 1000
ON_SQLITE = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


@pytest.fixture
def filled(shop: Shop) -> Shop:
    """A project whose second migration has a thousand rows to fill."""
    shop.write("1_orders.sql", "CREATE TABLE orders (id integer PRIMARY KEY, item text);\n")
    shop.commit()
    shop.migrate("apply")
    shop.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
        " INSERT INTO orders SELECT i, 'item' FROM n"
    )
    shop.write("2_product.sql", FILE)
    shop.commit()
    return shop


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONG
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def changed(shop: Shop) -> int:
    if "n" not in shop.columns("orders"):
        return 0
    return int(shop.execute("SELECT count(*) FROM orders WHERE n = 1")[0][0])


@contextmanager
def on_a_terminal(shop: Shop, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command with a terminal of its own, and our end of it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 240, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "pilotage", *arguments],
        cwd=shop.root,
        env={**os.environ, "DATABASE_URL": shop.url, "TERM": "xterm", "COLUMNS": "240", **shop.environment},
        stdin=theirs, stdout=theirs, stderr=theirs,
        preexec_fn=_own_terminal,  # noqa: PLW1509
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        with suppress(OSError):
            os.close(ours)


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read(ours: int, seen: list[bytes]) -> bytes:
    """All that was written so far."""
    with suppress(BlockingIOError, OSError):
        while chunk := os.read(ours, 65536):
            seen.append(chunk)
    return b"".join(seen)


def test_it_is_steered_from_another_terminal(filled: Shop) -> None:
    filled.migrate("throttle", "2", "--rate", "20")
    seen: list[bytes] = []
    with on_a_terminal(filled, "migrate", "run", "2") as (process, ours):
        until(lambda: read(ours, seen) and changed(filled) >= 40)
        paused = filled.migrate("pause", "--reason", "the sale begins")
        assert "the backfill of 2 pauses after its batch" in paused.out
        until(lambda: b"the sale begins" in read(ours, seen))  # drawn on the live page
        status = " ".join(filled.migrate("status").out.split())
        assert "backfill 2: pass 1," in status
        assert "(the sale begins)" in status
        assert "paused by" in status
        assert "20 rows a second at most" in status
        (report,) = filled.migrate("status", "--json").json["backfills"]
        assert report["version"] == "2"
        assert report["reason"] == "the sale begins"
        assert 0 < report["fraction"] < 1
        filled.migrate("throttle", "--off")
        filled.migrate("resume")
        until(lambda: (read(ours, seen), process.poll() is not None)[1])
        assert process.returncode == 0, read(ours, seen).decode()
    assert b"%" in b"".join(seen)
    assert filled.execute("SELECT n, count(*) FROM orders GROUP BY n") == [(1, ROWS)]
    assert filled.migrate("status", "--json").json["backfills"] == []
    assert "no backfill to resume" in filled.migrate("resume", status=2).told


@pytest.mark.parametrize("shop", ["postgresql-15"], indirect=True)
def test_a_terminal_that_is_closed_leaves_a_cursor(filled: Shop) -> None:
    filled.migrate("throttle", "2", "--rate", "50")
    seen: list[bytes] = []
    with on_a_terminal(filled, "migrate", "run", "2") as (process, ours):
        until(lambda: read(ours, seen) and changed(filled) >= 40)
        os.close(ours)  # its session gets SIGHUP
        assert process.wait(LONG) != 0
    left = changed(filled)
    assert 40 <= left < ROWS
    (report,) = filled.migrate("status", "--json").json["backfills"]
    assert report["rows"] == left
    filled.migrate("throttle", "2", "--off")
    filled.migrate("run", "2")  # neither the deploy lock nor the migration lock is left behind
    assert filled.execute("SELECT n, count(*) FROM orders GROUP BY n") == [(1, ROWS)]


def test_contract_waits_for_a_paused_backfill_and_for_verify(filled: Shop) -> None:
    filled.migrate("run", "2")
    filled.execute("UPDATE orders SET product = NULL, n = 0 WHERE id IN (7, 8)")  # old code
    filled.migrate("pause", "2")
    seen: list[bytes] = []
    with on_a_terminal(filled, "migrate", "run", "2/contract") as (process, ours):
        until(lambda: b"pilotage migrate resume 2" in read(ours, seen))
        assert "item" in filled.columns("orders")
        filled.migrate("resume", "2")
        until(lambda: (read(ours, seen), process.poll() is not None)[1])
        assert process.returncode == 0, read(ours, seen).decode()
    assert "item" not in filled.columns("orders")
    assert filled.execute("SELECT count(*) FROM orders WHERE product IS NULL") == [(0,)]


@ON_SQLITE
def test_contract_is_held_by_a_row_that_the_backfill_cannot_fill(filled: Shop) -> None:
    half = FILE.replace("WHERE product IS NULL;", "WHERE product IS NULL AND item IS NOT NULL;")
    filled.write("2_product.sql", half)
    filled.execute("UPDATE orders SET item = NULL WHERE id = 7")
    filled.migrate("run", "2")
    told = filled.migrate("run", "2/contract", status=1).told
    assert "7" in told
    assert "item" in filled.columns("orders")


@ON_SQLITE
def test_what_cannot_be_steered_is_said(filled: Shop) -> None:
    assert "no backfill to pause" in filled.migrate("pause", status=2).told
    assert "1 has no backfill" in filled.migrate("pause", "1", status=2).told
    assert "--duty 25%" in filled.migrate("throttle", "2", status=2).told
    assert "1% to 100%" in filled.migrate("throttle", "2", "--duty", "0.1%", status=2).told
