"""A git repository of the shop: a tagged commit for each release, and a few that go wrong.

``examples/shop/v1`` is a whole application; ``v2`` … ``v4`` hold the files that the release changes.
Here they become commits, so that a deploy finds what it finds in life: revisions.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RELEASES = {
    "v1": "Open the shop",
    "v2": "Note where an order came from",
    "v3": "Rename item to product",
    "v4": "Widen amount, require channel, stop the audit",
}


FAILING_MIGRATION = """\
-- Somebody forgot a DISTINCT, and tested on a table with one order.

-- expand
CREATE TABLE channels (name text PRIMARY KEY);
INSERT INTO channels (name) SELECT channel FROM orders;
"""

LAST_MIGRATION = """\
-- An order may be a present. New orders get the default; the old ones are filled in batches.

-- expand
ALTER TABLE orders ADD COLUMN gift boolean;
ALTER TABLE orders ALTER COLUMN gift SET DEFAULT false;

-- backfill
UPDATE orders SET gift = false WHERE gift IS NULL;

-- down
ALTER TABLE orders DROP COLUMN gift;
"""


def shop_source() -> Path:
    """Where ``examples/shop`` is: in the installed package, else in the checkout beside it."""
    here = Path(__file__).parent
    for candidate in (here / "shop", here.parents[2] / "examples" / "shop"):
        if (candidate / "v1").is_dir():
            return candidate
    raise FileNotFoundError("examples/shop is neither in this package nor beside its checkout")


@dataclass(frozen=True, slots=True)
class Repository:
    """The shop's git repository."""

    path: Path

    def commit(self, tag: str, message: str) -> None:
        """Commit everything and tag it."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        self.git("tag", tag)

    def overlay(self, folder: Path) -> None:
        """Copy the files of a release over what is there."""
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(folder, self.path, dirs_exist_ok=True, ignore=ignored)

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def substitute(self, path: str, old: str, new: str) -> None:
        """Replace text that must be there once."""
        text = (self.path / path).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{path} has {old!r} {text.count(old)} times, not once")
        self.write(path, text.replace(old, new))

    def revision(self, tag: str) -> str:
        """The commit that a tag names, 40 hexadecimal digits."""
        return self.git("rev-list", "-n", "1", tag).strip()

    def git(self, *arguments: str) -> str:
        """Run git here, as a committer of its own and without the user's configuration."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env=git_environment(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout


def git_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for git: what a person configured (hooks, signing) does not matter here."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "The shop"), ("EMAIL", "shop@example.com"))
    }
    return {**kept, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def build(path: Path, *, port: int) -> Repository:
    """The repository with the four releases, and those that the later scenes need.

    ``port``: the edge's. Tags: ``v1`` … ``v4``; ``v5-unhealthy``, whose ``/up`` answers 500;
    ``v5-bad-migration``, whose migration fails; and ``v5``, which is fine.
    """
    source = shop_source()
    path.mkdir()
    repository = Repository(path)
    repository.git("init", "--quiet", "--initial-branch", "main")
    for tag, message in RELEASES.items():
        repository.overlay(source / tag)
        if tag == "v1":
            text = (path / "config/deploy.yml").read_text()
            repository.write(
                "config/deploy.yml", re.sub(r"(?m)^  port: \d+", f"  port: {port}", text)
            )
        repository.commit(tag, message)

    repository.substitute(
        "shop/web.py",
        'return Response(answer.body, answer.status, RELEASE, "application/json")',
        'return Response("the stock room is locked\\n", 500, RELEASE)',
    )
    repository.commit("v5-unhealthy", "Check the stock room at start")
    repository.git("reset", "--quiet", "--hard", "v4")

    repository.write("db/migrations/20260505090000_list_channels.sql", FAILING_MIGRATION)
    repository.commit("v5-bad-migration", "List the channels")
    repository.git("reset", "--quiet", "--hard", "v4")

    repository.write("db/migrations/20260505100000_add_gift.sql", LAST_MIGRATION)
    repository.commit("v5", "Sell presents")
    return repository
