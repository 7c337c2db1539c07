"""A column is renamed on MariaDB while requests write and read it: none of them fails."""

from __future__ import annotations

import sys
import threading
from contextlib import closing
from http.client import HTTPConnection, HTTPException

import pytest
from tests.e2e.local.conftest import App

CONFIG = """\
service: tiny
target: local
servers:
  web: {{cmd: {python} app.py, instances: 2}}
proxy: {{port: {port}}}
rollout: {{verify: 0}}
deploy_timeout: 60
env: {{secret: [MARK, DATABASE_URL]}}
databases:
  primary: {{url: DATABASE_URL}}
migrations: {{lock_timeout: 500ms}}
"""

# What each release does at each request: write a row, read it back, say what is in it.
ON_REQUEST = """
        import pymysql
        from urllib.parse import urlsplit
        at = urlsplit(os.environ["DATABASE_URL"])
        session = pymysql.connect(host=at.hostname, port=at.port, user=at.username,
            password=at.password, database=at.path[1:], autocommit=True)
        try:
            with session.cursor() as cursor:
                cursor.execute("INSERT INTO items ({column}) VALUES ('x')")
                cursor.execute("SELECT {column} FROM items WHERE id = %s", (cursor.lastrowid,))
                assert cursor.fetchone() == ("x",)
        finally:
            session.close()
"""

CREATE = """\
CREATE TABLE items (
    id bigint unsigned AUTO_INCREMENT PRIMARY KEY,
    name varchar(20)
);
"""
PRICE = "ALTER TABLE items ADD COLUMN price int, ALGORITHM=INSTANT;\n"
RENAME = """\
-- expand
ALTER TABLE items ADD COLUMN title varchar(20) NULL, ALGORITHM=INSTANT;
CREATE TRIGGER items_title_insert BEFORE INSERT ON items FOR EACH ROW
BEGIN
    IF NEW.title IS NULL THEN SET NEW.title = NEW.name;
    ELSE SET NEW.name = NEW.title; END IF;
END;
CREATE TRIGGER items_title_update BEFORE UPDATE ON items FOR EACH ROW
BEGIN
    IF CAST(NEW.title AS BINARY) <=> CAST(OLD.title AS BINARY) THEN SET NEW.title = NEW.name;
    ELSE SET NEW.name = NEW.title; END IF;
END;

-- backfill
UPDATE items SET title = name WHERE NOT (CAST(title AS BINARY) <=> CAST(name AS BINARY));

-- verify
SELECT id FROM items WHERE NOT (CAST(title AS BINARY) <=> CAST(name AS BINARY)) LIMIT 5;

-- contract
DROP TRIGGER items_title_insert;
DROP TRIGGER items_title_update;
ALTER TABLE items DROP COLUMN name, ALGORITHM=INPLACE, LOCK=NONE;
"""


class Load:
    """Requests one after the other from two threads, until `end`; what became of those that failed."""

    def __init__(self, port: int) -> None:
        self.failed: list[str] = []
        self.answers: list[str] = []
        self._over = threading.Event()
        self._port = port
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                with closing(HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
                    connection.request("GET", "/")
                    response = connection.getresponse()
                    text = response.read().decode()
                if response.status == 200:
                    self.answers.append(text.split()[0])
                else:
                    self.failed.append(f"{response.status} {text}")
            except (OSError, HTTPException) as error:
                self.failed.append(repr(error))
            self._over.wait(0.02)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("app", ["mariadb"], indirect=True)
def test_a_rename_under_load_fails_no_request(app: App) -> None:
    for old in (app.root / "db" / "migrations").iterdir():
        old.unlink()
    app.write("config/deploy.yml", CONFIG.format(python=sys.executable, port=app.port))
    app.write("db/migrations/20260101000000_create.sql", CREATE)
    app.code(on_request=ON_REQUEST.format(column="name").strip())
    releases = [app.commit("v1")]
    app.pilotage("deploy")
    assert app.serving() == releases[0]
    load = Load(app.port)
    try:
        app.write("db/migrations/20260202000000_price.sql", PRICE)
        releases.append(app.commit("v2"))
        app.pilotage("deploy")

        app.write("db/migrations/20260303000000_rename.sql", RENAME)
        app.code(on_request=ON_REQUEST.format(column="title").strip())
        releases.append(app.commit("v3"))
        plan = app.pilotage("plan").out
        assert "20260303000000" in plan
        app.pilotage("deploy")
        assert ("items", "name") in app.schema()
        app.pilotage("contract")
        assert app.serving() == releases[2]
    finally:
        load.end()

    assert load.failed == []
    assert set(load.answers) == set(releases), "requests were answered by each of them"
    assert ("items", "name") not in app.schema()
    rows = app.execute("SELECT count(*), sum(title = 'x') FROM items")[0]
    assert rows[0] == rows[1]
    refused = app.pilotage("rollback", releases[1], status=1)
    assert "20260303000000/contract" in refused.err
