"""Rails in an image: Debian's, with the Ruby that runs it, and the entrypoint that `rails new` writes."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.lab.image import Image, base_files, cached, layer, programs
from tests.lab.images import CACHE

ENTRYPOINT = """\
#!/bin/bash -e

# If running the rails server then create or migrate existing database
if [ "${1}" == "./bin/rails" ] && [ "${2}" == "server" ]; then
  ./bin/rails db:prepare
fi

exec "${@}"
"""
"""``bin/docker-entrypoint`` as Rails has generated it since 7.1."""

PLAIN = '#!/bin/bash -e\nexec "${@}"\n'
"""The same without its database, for a release phase."""

_TREES = (
    "/usr/lib/ruby",
    "/usr/lib/x86_64-linux-gnu/ruby",
    "/usr/lib/x86_64-linux-gnu/rubygems-integration",
    "/usr/share/rubygems-integration",
    "/usr/share/zoneinfo",
)
_PROGRAMS = ("/usr/bin/ruby", "bundle", "puma", "bash", "uname", "readlink", "locale")
PACKAGES = ("ruby-rails", "ruby-pg", "puma", "bundler")
"""Debian's, which this machine needs for it."""


def missing() -> str:
    """What this machine lacks for it; empty when it lacks nothing."""
    absent = [name for name in ("ruby", "rails", "bundle", "puma") if not shutil.which(name)]
    return f"{', '.join(absent)} (Debian: {' '.join(PACKAGES)})" if absent else ""


@cache
def ruby() -> Image:
    """Ruby, and Rails with what it needs for PostgreSQL."""
    told = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "ruby*", *PACKAGES]
    versions = subprocess.run(told, capture_output=True, text=True, check=False).stdout
    trees = [Path(tree) for tree in _TREES if Path(tree).is_dir()]
    name = f"rails {versions} {Path(__file__).read_text()}"
    files = lambda: layer(base_files() | programs(_PROGRAMS, trees=trees))  # noqa: E731
    return Image((cached(name, files, CACHE),), {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]})


def app(root: Path, *, entrypoint: str = ENTRYPOINT) -> Image:
    """The Rails application in ``root``, as it is now."""
    kept = {"app", "bin", "config", "db", "lib", "config.ru", "Gemfile", "Gemfile.lock", "Rakefile"}
    files: dict[str, bytes | str | Path] = {
        f"/rails/{path.relative_to(root)}": path
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] in kept
    }
    folders = {f"/rails/{name}/.keep": "" for name in ("log", "tmp/pids")}
    script = "/rails/bin/docker-entrypoint"
    return ruby().extend(
        layer({**files, **folders, script: entrypoint}, executable=[script]),
        Env=["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "RAILS_ENV=production"],
        Entrypoint=[script],
        Cmd=["./bin/rails", "server"],
        WorkingDir="/rails",
        ExposedPorts={"3000/tcp": {}},
        Labels={"service": "shop"},
    )
