"""The images of the comparison: releases of one application, and what stands in for Kamal's proxy."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.lab.image import Image, cached, layer, programs
from tests.lab.images import CACHE, app, psycopg, python

KAMAL_PROXY = "basecamp/kamal-proxy"
PSQL = Path("/usr/lib/postgresql/15/bin/psql")

# What a Rails image does: prepare the database when the server is about to run, then become the command.
_ENTRYPOINT = """\
#!/bin/sh
case "$MIGRATE $*" in
  *worker*|" "*) ;;
  broken*) echo "ERROR:  division by zero" >&2; exit 1 ;;
  *) [ "${DELAY:-0}" = 0.0 ] || sleep "$DELAY"
     psql -q "$DATABASE_URL" -v ON_ERROR_STOP=1 \\
       -c "CREATE TABLE IF NOT EXISTS items (id int)" \\
       -c "ALTER TABLE items ADD COLUMN IF NOT EXISTS c$COLUMN text" || exit ;;
esac
exec "$@"
"""


# A shop that reads columns of its own whenever it is asked for its version; `/up` knows nothing of that.
_SHOP = """\
import os, queue
import app, psycopg

idle = queue.LifoQueue()

class Shop(app.Handler):
    def do_GET(self):
        if self.path != "/version":
            return super().do_GET()
        try:
            try:
                connection = idle.get_nowait()
            except queue.Empty:
                connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
            try:
                connection.execute("SELECT " + os.environ["READS"] + " FROM orders LIMIT 1").fetchall()
            finally:
                if not connection.closed:
                    idle.put(connection)
        except psycopg.Error as error:
            return self.answer(500, str(error))
        self.answer(200, app.VERSION)

app.Handler = Shop
app.web()
"""
_SHOP_ENTRYPOINT = """\
#!/bin/sh
if [ -n "$MIGRATE" ]; then
  for sql in "$SQL" "${THEN:-SELECT 1}"; do psql -q "$DATABASE_URL" -v ON_ERROR_STOP=1 -c "$sql" || exit; done
fi
exec "$@"
"""


def _with_psql(base: Image) -> Image:
    files = programs([PSQL])
    files.pop(str(PSQL), None)
    made = cached(f"psql {PSQL}", lambda: layer({**files, "/usr/local/bin/psql": PSQL}), CACHE)
    return base.extend(made)


@cache
def _base() -> Image:
    """Python, a shell and psql."""
    return _with_psql(python())


@cache
def _shop_base() -> Image:
    """`_base` with psycopg."""
    return _with_psql(psycopg())


def release(version: str, service: str, column: int) -> Image:
    """A release: its own files are a new layer, as large as an application's code may be."""
    code = f"# {version}\n" * 20_000
    made = app(
        version, service=service, env={"COLUMN": str(column)},
        files={"/app/entrypoint": _ENTRYPOINT, "/app/code.py": code},
        executable=("/app/entrypoint",), Entrypoint=["/app/entrypoint"],
    )  # fmt: skip
    return Image((*_base().layers, *made.layers[len(python().layers) :]), made.config)


def shop(version: str, service: str, *, reads: str, sql: str, then: str = "") -> Image:
    """A release that reads columns of ``orders``. Its entrypoint runs ``sql``, then ``then``, where MIGRATE is set."""
    return app(
        version, service=service, base=_shop_base(),
        env={"READS": reads, "SQL": sql, "THEN": then, "PYTHONPATH": "/app:/app/lib"},
        files={"/app/entrypoint": _SHOP_ENTRYPOINT, "/app/shop.py": _SHOP},
        executable=("/app/entrypoint",), Entrypoint=["/app/entrypoint"], Cmd=["python3", "/app/shop.py"],
    )  # fmt: skip


def stand_in() -> Image:
    """A program with the command line of kamal-proxy: `benchmarks.kamal.stand_in`."""
    program = Path(__file__).with_name("stand_in.py").read_text()
    return python().extend(
        layer({"/usr/local/bin/kamal-proxy": program}, executable=["/usr/local/bin/kamal-proxy"]),
        Cmd=["kamal-proxy", "run"],
    )
