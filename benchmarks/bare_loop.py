"""What a migration tool cannot do without: each file in a transaction, and a row that says so."""

import sys
from pathlib import Path

import psycopg

url, folder = sys.argv[1:]
with psycopg.connect(url) as connection:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS history (version text PRIMARY KEY,"
        " applied_at timestamptz NOT NULL DEFAULT now())"
    )
    connection.commit()
    for path in sorted(Path(folder).glob("*.sql")):
        with connection.transaction():
            for statement in path.read_text().split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO history (version) VALUES (%s)", [path.stem])
