"""The files that ``pilotage init`` writes. Pure but for looking for a Procfile."""

from __future__ import annotations

import re
from pathlib import Path

_CONFIG = """\
# How this service is deployed. Kamal's format, and pilotage's own keys.
# `pilotage config` prints it with every default filled in.
service: {service}

# Where instances run: processes of this machine, each release in a checkout of its own.
target: local

# Roles. The first one gets the traffic: its command listens on $PORT.
servers:
{roles}
# The edge: what the world connects to. It moves requests from one release to the next.
proxy:
  port: 8080
  healthcheck:
    path: {path} # answers 200 when the instance is ready

# Environment of every role. Secrets are named here; their values are in .pilotage/secrets.
env:
  # clear:
  #   LOG_LEVEL: info
  secret:
    - DATABASE_URL

# The database, by the name of a secret that holds its URL (postgresql://…, mysql://… or sqlite:///…).
databases:
  primary:
    url: DATABASE_URL

# Each file in the folder has an `expand` half (runs before the release starts), a `contract` half
# (runs at the start of a later deploy, when nothing older is left), or both.
migrations:
  path: db/migrations
  contract: next # next | auto | manual
"""

_ROLE = """\
  {name}:
    cmd: {cmd}
    # instances: 2
"""

_EXAMPLE = """\
-- An example: copy it to VERSION_name.sql, as `pilotage migrate new NAME` does, and write your own.
-- Files that do not end in .sql are not read.

-- expand
-- Additive: the release that runs now does not know of it, and must not mind.
ALTER TABLE users ADD COLUMN email text;

-- backfill
-- Run in batches until no row is left, after expand and again before contract.
UPDATE users SET email = old_email WHERE email IS NULL AND old_email IS NOT NULL;

-- verify
-- Must return no row, or contract does not run.
SELECT id FROM users WHERE email IS NULL AND old_email IS NOT NULL;

-- contract
-- Takes away what only older releases used, once none of them is left anywhere.
ALTER TABLE users DROP COLUMN old_email;
"""

_PROCESS = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$", re.MULTILINE)


def files(root: Path, config: Path) -> dict[Path, str]:
    """Path → content, for a project in ``root``."""
    roles, path = _roles(root)
    service = re.sub(r"[^a-z0-9_-]+", "-", root.resolve().name.lower()).strip("-") or "app"
    return {
        config: _CONFIG.format(service=service, roles=roles, path=path),
        root / "db" / "migrations" / "example.sql.example": _EXAMPLE,
        root / ".pilotage" / "secrets": (
            "# NAME=value, one a line; NAME=$(command) asks a password manager. Not committed.\n"
            f"DATABASE_URL=sqlite:///{root.resolve() / '.pilotage' / f'{service}.db'}\n"
        ),
    }


def _roles(root: Path) -> tuple[str, str]:
    """The roles of the Procfile, else one that serves the folder; and the path that shows readiness."""
    procfile = root / "Procfile"
    found = _PROCESS.findall(procfile.read_text()) if procfile.is_file() else []
    if not any(name == "web" for name, _ in found):
        serve = "python3 -m http.server $PORT --bind 127.0.0.1 # put your own here"
        return _ROLE.format(name="web", cmd=serve), "/"
    found.sort(key=lambda item: item[0] != "web")
    return "".join(_ROLE.format(name=name, cmd=_quoted(cmd)) for name, cmd in found), "/up"


def _quoted(text: str) -> str:
    """A YAML scalar that reads as this text, whatever is in it."""
    plain = re.fullmatch(r"[A-Za-z0-9_./$][A-Za-z0-9_./$ =@,+-]*", text.strip())
    return text.strip() if plain else "'" + text.strip().replace("'", "''") + "'"


def ignored_lines(ignore: str) -> str:
    """What is to be added to a .gitignore; nothing when .pilotage/ is ignored already."""
    have = {line.strip().strip("/") for line in ignore.splitlines()}
    if ".pilotage" in have:
        return ""
    start = "" if not ignore or ignore.endswith("\n") else "\n"
    return f"{start}.pilotage/\n"
