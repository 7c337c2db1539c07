"""Many starts of a container at once, of the real command line, in real processes.

What twenty interpreters would do twenty times is done once: this one has imported what a start imports, and
each start is a fork of it that runs ``pilotage`` with its arguments, or ``bare.py``, and becomes its command.

Reads rounds, one JSON object a line: ``{argv, cwd, env, count, log}``. Writes for each the process ids and
how they ended: ``{pids, statuses}``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from importlib import import_module
from pathlib import Path

LIKE_A_START = (
    "bare",
    "psycopg",
    "postgast",
    "pilotage.cli.entrypoint",
    "pilotage.cli.project",
    "pilotage.entrypoint.prepare",
    "pilotage.entrypoint.start",
    "pilotage.host.application_name",
    "pilotage.migrate.dialects.postgresql",
    "pilotage.migrate.loader",
    "pilotage.migrate.sql.postgresql",
)


def start(argv: list[str], cwd: str, env: dict[str, str], log: str) -> int:
    """Fork, and run one start in the child."""
    pid = os.fork()
    if pid:
        return pid
    status = 99
    try:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if argv[0] == "pilotage":
            from pilotage.cli import main

            status = main(argv[1:])
        else:
            import bare  # stands beside this file

            bare.main()
    finally:
        sys.stdout.flush()
        os._exit(status)


def main() -> None:
    """Run rounds until there are no more."""
    for name in LIKE_A_START:
        import_module(name)
    gc.freeze()
    for line in sys.stdin:
        given = json.loads(line)
        log = Path(given["log"])
        pids = [
            start(given["argv"], given["cwd"], given["env"], str(log.with_suffix(f".{number}")))
            for number in range(given["count"])
        ]
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps({"pids": pids, "statuses": statuses}), flush=True)


if __name__ == "__main__":
    main()
