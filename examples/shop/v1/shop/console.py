"""A console: ``pilotage exec -- python -m shop.console`` opens a session and runs SQL line by line."""

from __future__ import annotations

import os
import sys

import psycopg


def main() -> None:
    """Read a statement a line, print its rows, until the input ends."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        print(
            f"shop {os.environ.get('PILOTAGE_RELEASE', '')}: one SQL statement a line", flush=True
        )
        for line in sys.stdin:
            if not line.strip():
                continue
            try:
                cursor = connection.execute(line.encode())
            except psycopg.Error as error:
                print(error, flush=True)
                continue
            for row in cursor if cursor.description else ():
                print(*row, sep="\t")
            print(cursor.statusmessage, flush=True)


if __name__ == "__main__":
    main()
