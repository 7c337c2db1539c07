"""The tiny app, whose every answer is a query of the database: a release that does not fit answers 500.

Its releases cannot be staged: each drops the column that it reads and writes, and adds it again as another.
"""

from __future__ import annotations

import pytest
from tests.e2e.local.conftest import BOTH, App, app

__all__ = ["BOTH", "app", "reading", "unstageable"]

QUERY = """\
import os

URL = os.environ["DATABASE_URL"]

if URL.startswith("sqlite"):
    import sqlite3

    def ask(sql):
        connection = sqlite3.connect(URL.removeprefix("sqlite:///"), timeout=30)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()
else:
    import psycopg

    def ask(sql):
        with psycopg.connect(URL) as connection:
            return connection.execute(sql).fetchall()


def check(column):
    [(value,)] = ask(f"SELECT {column} FROM items WHERE id = 1")
    return value
"""


def reading(app: App, number: int, *, at_start: str = "", on_request: str = "pass") -> None:
    """Write the code of release ``number``, which reads the column of its own number."""
    app.write("query.py", QUERY)
    work = (
        'if self.path == "/work":\n'
        "            try:\n"
        f'                query.check("c{number}")\n'
        "            except Exception as error:\n"
        "                return self.answer(500, repr(error))"
    )
    listen = "ThreadingHTTPServer.request_queue_size = 2048"
    app.code(
        on_request=f"{on_request}\n        {work}", at_start=f"import query\n{listen}\n{at_start}"
    )


def unstageable(app: App, number: int) -> str:
    """Commit release ``number``: without the column of the release before, which must go first."""
    before = number - 1
    first = f"2027{number:02d}01000000"
    app.write(
        f"db/migrations/{first}_drop_c{before}.sql",
        f"-- contract\nALTER TABLE items DROP COLUMN c{before};\n",
    )
    app.write(
        f"db/migrations/2027{number:02d}02000000_add_c{number}.sql",
        f"-- pilotage: requires={first}/contract\n"
        f"ALTER TABLE items ADD COLUMN c{number} integer DEFAULT {number};\n",
    )
    return app.commit(f"v{number}")


@pytest.fixture
def served(app: App) -> str:
    """Release 1 serves, which reads column c1; its id."""
    config = app.root / "config" / "deploy.yml"
    config.write_text(config.read_text().replace("[MARK]", "[MARK, DATABASE_URL]"))
    app.write(
        "db/migrations/20270101000000_add_c1.sql",
        "ALTER TABLE items ADD COLUMN c1 integer DEFAULT 1;\n",
    )
    reading(app, 1)
    release = app.commit("v1")
    app.pilotage("deploy")
    app.execute("INSERT INTO items (id) VALUES (1)")
    return release
