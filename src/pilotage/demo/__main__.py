"""``python -m pilotage.demo``: the demo without the command line's own start-up."""

from __future__ import annotations

import argparse
import sys


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
    from pilotage.demo.story import Options
    from pilotage.demo.story import main as play

    options = Options(json=given.json, keep=given.keep)
    if given.rate is not None:
        options = Options(json=given.json, keep=given.keep, rate=given.rate)
    return play(options)


if __name__ == "__main__":
    sys.exit(main())
