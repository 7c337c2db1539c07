"""What an entrypoint does without a lock: read which versions are applied, apply what is missing, write it down.

``db:prepare`` in a few lines, with the same migrations, each in one transaction.
"""

from __future__ import annotations

import os
from pathlib import Path

import psycopg


def main() -> None:
    """Prepare, then become the command."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS versions (version text)")
        applied = {version for (version,) in connection.execute("SELECT version FROM versions")}
        for path in sorted(
            Path("db/migrations").glob("*.sql"), key=lambda p: int(p.name.split("_")[0])
        ):
            version = path.name.split("_")[0]
            if version not in applied:
                with connection.transaction():
                    connection.execute(path.read_bytes())
                    connection.execute("INSERT INTO versions VALUES (%s)", [version])
    os.execvp("sh", ["sh", "-c", f"echo $$ >> {os.environ['STARTED']}"])
