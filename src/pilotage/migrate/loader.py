"""Migration files → `Migrations`. Reads a folder; touches no database.

A file is ``VERSION_name.sql``. Whole-line comments divide it into sections (``-- expand``,
``-- backfill``, ``-- verify``, ``-- contract``, ``-- down``) and give directives
(``-- pilotage: …``); see ``docs/reference/migrations.md``. Every statement is read here, by the
database's own grammar, so that a mistake is found before anything is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from pilotage.errors import MigrationFileError
from pilotage.migrate import directives
from pilotage.migrate.migration import Directives, Migration, Migrations, Section
from pilotage.migrate.sql import (
    SqlError,
    batched,
    grammar,
    is_query,
    located,
    needs_no_transaction,
    split,
    transaction_control,
)
from pilotage.migrate.sql.token import Kind, Token, line_of
from pilotage.model import version_key

SECTIONS = ("expand", "backfill", "verify", "contract", "down")
_DBMATE = {"migrate:up": "expand", "migrate:down": "down"}

# The words that begin a statement. After a section's last statement without its `;`, one of these (or
# the end) must follow for a comment to be a marker; otherwise it stands in the middle of a statement.
# fmt: off
_STATEMENTS = frozenset((
    "ALTER", "ANALYZE", "BEGIN", "CALL", "CLUSTER", "COMMENT", "COMMIT", "COPY", "CREATE",
    "DELETE", "DO", "DROP", "EXPLAIN", "GRANT", "IMPORT", "INSERT", "LOCK", "MERGE", "PRAGMA",
    "REASSIGN", "REFRESH", "REINDEX", "REPLACE", "RESET", "REVOKE", "ROLLBACK", "SECURITY",
    "SELECT", "SET", "TRUNCATE", "UPDATE", "VACUUM", "VALUES", "WITH",
))
# fmt: on


def load_migrations(folder: Path, *, dialect: str) -> Migrations:
    """All migrations of a folder. Files that do not end in ``.sql`` are ignored, and so are folders.

    Raises
    ------
    MigrationFileError
        The folder is missing, or a file in it is wrong; ``where`` is ``file:line``.
    """
    if not folder.is_dir():
        raise MigrationFileError(
            "the migrations folder is missing" if not folder.exists() else "it is not a folder",
            where=str(folder),
            next="make one with `pilotage migrate new NAME`, or correct `migrations: {path: …}`",
        )
    paths = [p for p in folder.iterdir() if p.suffix == ".sql" and p.is_file()]
    return load_files({path: _read(path) for path in paths}, dialect=dialect)


def load_files(files: Mapping[Path, bytes], *, dialect: str) -> Migrations:
    """All migrations among ``files``, which are in memory; those that do not end in ``.sql`` are ignored.

    Raises
    ------
    MigrationFileError
        A file is wrong; ``where`` is ``file:line``.
    """
    migrations = [
        parse_migration(files[path], path=path, dialect=dialect)
        for path in sorted(files)
        if path.suffix == ".sql"
    ]
    _check_versions(migrations)
    loaded = Migrations({migration.version: migration for migration in migrations})
    for migration in loaded:
        _check_requires(migration, loaded)
        _check_squash(migration, loaded)
    return loaded


def parse_migration(text: str | bytes, *, path: Path, dialect: str) -> Migration:
    """One migration from the text of its file. ``path`` gives version and name, and is not read.

    Raises
    ------
    MigrationFileError
        The file is wrong; ``where`` is ``file:line``.
    """
    version, name = _version_and_name(path)
    with located(path, 1):
        if isinstance(text, bytes):
            text = _decode(text)
        text = text.removeprefix("\ufeff")
        parts = _divide(text, grammar(dialect).tokens(text))
        sections = {part.name: _section(text, part, parts) for part in parts if part.kept}
        _check_together(sections, parts)
    migration = Migration(version, name, path, **sections)
    check_statements(migration, dialect=dialect)
    return migration


# ----------------------------------------------------------------------------------------------
# The file
# ----------------------------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MigrationFileError(f"it cannot be read: {error.strerror}", where=str(path)) from error


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SqlError(
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            line=data.count(b"\n", 0, error.start) + 1,
            next="save the file as UTF-8",
        ) from error


def _version_and_name(path: Path) -> tuple[str, str]:
    version, underscore, name = path.stem.partition("_")
    digits = version.isascii() and version.isdecimal()
    if path.suffix == ".sql" and digits and underscore and name:
        return version, name
    raise MigrationFileError(
        f"{path.name!r} is not VERSION_name.sql"
        + ("" if digits else ", where VERSION is digits alone"),
        where=f"{path}:1",
        next="rename it, for example to 20261121093000_add_email.sql, or move it out of the folder",
    )


def _check_versions(migrations: Iterable[Migration]) -> None:
    seen: dict[int, Migration] = {}
    for migration in migrations:
        other = seen.setdefault(int(migration.version), migration)
        if other is not migration:
            raise MigrationFileError(
                f"version {migration.version} is taken by {other.path.name}",
                where=f"{migration.path}:1",
                next="give the newer of the two files a version of its own",
            )


# ----------------------------------------------------------------------------------------------
# Sections and directives
# ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """A section while it is read: where its text begins and ends, and what it says."""

    name: str  # "" for what stands before the first section
    start: int
    line: int  # of its marker
    end: int = 0
    dbmate: bool = False
    words: list[directives.Word] = field(default_factory=list)
    code: bool = False  # whether it holds any SQL

    @property
    def kept(self) -> bool:
        """dbmate's template leaves an empty ``migrate:down``: no section."""
        return bool(self.name) and not (self.dbmate and self.name == "down" and not self.code)


def _divide(text: str, tokens: Sequence[Token]) -> list[_Part]:
    """The sections of a file in its own order; the first part is what stands before them."""
    parts = [_Part("", 0, 1)]
    statement: list[Token] = []  # the tokens since the last `;`
    depth = bodies = 0
    for index, token in enumerate(tokens):
        if token.kind is Kind.LINE_COMMENT:
            comment = token.text[2:].strip()
            alone = not text[text.rfind("\n", 0, token.start) + 1 : token.start].strip()
            line = line_of(text, token.start)
            if comment.lower().startswith(directives.PREFIX):
                if not alone:
                    raise SqlError("a directive stands on a line of its own", line=line)
                parts[-1].words += directives.words(comment[len(directives.PREFIX) :], line)
            elif alone and not depth and not bodies:
                part = _marker(comment, line, _line_end(text, token.end), parts)
                if part and (part.dbmate or not statement or _begins(tokens[index + 1 :])):
                    parts[-1].end = text.rfind("\n", 0, token.start) + 1
                    parts.append(part)
                    statement = []
        elif token.kind is not Kind.BLOCK_COMMENT:
            depth = max(0, depth + token.is_("(") - token.is_(")"))
            bodies += _opens_body(token, statement, tokens[index + 1 :], bodies)
            if token.is_(";") and not bodies and not depth:
                statement = []
            else:
                statement.append(token)
                parts[-1].code = True
    parts[-1].end = len(text)
    if len(parts) == 1:
        parts.append(_Part("expand", 0, 1, len(text), words=parts[0].words, code=parts[0].code))
        parts[0] = _Part("", 0, 1)
    elif parts[0].code:
        raise SqlError(
            f"SQL stands before the first section, `-- {parts[1].name}`",
            line=next(line_of(text, t.start) for t in tokens if not t.kind.comment),
            next="move it into a section",
        )
    return parts


def _marker(comment: str, line: int, end: int, parts: Sequence[_Part]) -> _Part | None:
    """The section that a whole-line comment opens, or None for an ordinary comment."""
    first, _, rest = comment.partition(" ")
    word = first.lower()
    if word in _DBMATE:
        part = _Part(_DBMATE[word], end, line, dbmate=True)
        for option in rest.split():
            key, _, value = option.partition(":")
            if key != "transaction" or value not in ("true", "false"):
                raise SqlError(
                    f"unknown option {option!r} of `-- {word}`",
                    line=line,
                    next="the one option is `transaction:false`",
                )
            part.words.append(directives.Word("transaction", value, line))
    elif rest:
        if word.removesuffix(":") in SECTIONS and word.endswith(":"):
            raise SqlError(
                f"`-- {comment}` is neither a section nor clearly a comment",
                line=line,
                next=f"write `-- {word[:-1]}` alone on its line, and the rest on the next, or "
                "reword the comment",
            )
        return None
    elif word in SECTIONS:
        part = _Part(word, end, line)
    else:
        near = get_close_matches(word.rstrip(":"), (*SECTIONS, *_DBMATE), n=1, cutoff=0.8)
        if near:
            raise SqlError(
                f"unknown section `-- {comment}`", line=line, next=f"did you mean `-- {near[0]}`?"
            )
        return None
    twin = next((other for other in parts if other.name == part.name), None)
    if twin:
        raise SqlError(
            f"a second section `-- {comment}`; the first is on line {twin.line}",
            line=line,
            next="put both into one section, or into two files",
        )
    return part


def _line_end(text: str, end: int) -> int:
    """The beginning of the line after a comment that ends at ``end``."""
    end += text.startswith("\r", end)
    return end + text.startswith("\n", end)


def _begins(tokens: Sequence[Token]) -> bool:
    """Whether a new statement, or nothing, follows."""
    following = next((token for token in tokens if not token.kind.comment), None)
    return following is None or following.word in _STATEMENTS


def _opens_body(token: Token, statement: list[Token], after: Sequence[Token], bodies: int) -> int:
    """+1 where a body of statements (a trigger's, BEGIN ATOMIC) opens, -1 where it closes, else 0."""
    if bodies:
        return token.named("CASE") - token.named("END")
    if not token.named("BEGIN"):
        return 0
    atomic = bool(after) and after[0].named("ATOMIC")
    created = [t.word for t in statement[:3] if t.word not in ("TEMP", "TEMPORARY")]
    return int(atomic or created[:2] == ["CREATE", "TRIGGER"])


def _section(text: str, part: _Part, parts: Sequence[_Part]) -> Section:
    if not part.code:
        raise SqlError(
            f"the section `-- {part.name}` is empty" if len(parts) > 2 else "it holds no SQL",
            line=part.line,
            next="write a statement in it, or take it out",
        )
    given = Directives()
    for word in parts[0].words:
        if directives.holds_in(word.key, part.name):
            given = directives.apply(given, word)
    for word in part.words:
        if not directives.holds_in(word.key, part.name):
            raise SqlError(
                f"`{word.key}` means nothing in `-- {part.name}`",
                line=word.line,
                next="it belongs into "
                + " or ".join(f"`-- {name}`" for name in directives.sections_of(word.key)),
            )
        given = directives.apply(given, word)
    return Section(text[part.start : part.end], line_of(text, part.start), given)


def _check_together(sections: dict[str, Section], parts: Sequence[_Part]) -> None:
    """What sections need of each other, and directives of sections."""
    lines = {part.name: part.line for part in parts}
    for part in parts:
        directives.check_once(part.words)
    for word in parts[0].words:
        if not any(directives.holds_in(word.key, name) for name in sections):
            raise SqlError(
                f"`{word.key}` means nothing here",
                line=word.line,
                next=f"it is for `-- {directives.sections_of(word.key)[0]}`, which the file lacks",
            )
    needs = (
        ("backfill", "expand", "it fills what the expand half adds"),
        ("verify", "contract", "it is asked before the contract half"),
        ("down", "expand", "it takes the expand half back"),
    )
    for name, other, why in needs:
        if name in sections and other not in sections:
            raise SqlError(
                f"`-- {name}` without `-- {other}`: {why}",
                line=lines[name],
                next=f"add the section `-- {other}`, or take this one out",
            )
    squash = "expand" in sections and sections["expand"].directives.replaces
    if squash and len(sections) > 1:
        extra = next(name for name in sections if name != "expand")
        raise SqlError(
            f"a squash (`replaces`) is one expand half, without `-- {extra}`",
            line=lines[extra],
            next="what is left of it belongs into a migration of its own",
        )


# ----------------------------------------------------------------------------------------------
# Statements
# ----------------------------------------------------------------------------------------------


def check_statements(migration: Migration, *, dialect: str) -> None:
    """Read every statement of a migration and refuse what could not run.

    Raises
    ------
    MigrationFileError
        Broken SQL, transaction control, a command that cannot run in a transaction, a backfill that
        cannot run in batches, or a ``-- verify`` that changes something.
    """
    for name in SECTIONS:
        section: Section | None = getattr(migration, name)
        if section is None:
            continue
        with located(migration.path, section.line):
            for statement in split(section.text, dialect):
                _check_statement(statement.text, statement.line, name, section, dialect)


def _check_statement(text: str, line: int, name: str, section: Section, dialect: str) -> None:
    control = transaction_control(text, dialect)
    if control:
        raise SqlError(
            f"{control} in a migration: pilotage begins and ends the transactions",
            line=line,
            next="take it out; `-- pilotage: transaction=false` runs each statement on its own",
        )
    if name == "verify":
        if not is_query(text, dialect):
            raise SqlError(
                "a `-- verify` statement must be a query that changes nothing",
                line=line,
                next="write a SELECT that returns the rows which are still wrong",
            )
    elif name == "backfill":
        try:
            batched(text, dialect)
        except SqlError as error:
            raise SqlError(error.what, line=line + error.line - 1, next=error.next) from error
    elif section.directives.transaction and (command := needs_no_transaction(text, dialect)):
        raise SqlError(
            f"{command} cannot run in a transaction",
            line=line,
            next=f"add `-- pilotage: transaction=false` to the section `-- {name}`; best in a file "
            "of its own",
        )


# ----------------------------------------------------------------------------------------------
# The folder as a whole
# ----------------------------------------------------------------------------------------------


def _check_requires(migration: Migration, migrations: Migrations) -> None:
    for ref in sorted(migration.requires):
        where = _where(migration, "requires")
        required = migrations.get(ref.version)
        if ref.version == migration.version:
            raise MigrationFileError("it requires itself", where=where)
        if required is None:
            squash = next((m for m in migrations if _covers(m, ref.version)), None)
            near = get_close_matches(ref.version, migrations.by_version, n=1)
            raise MigrationFileError(
                f"it requires {ref}, but "
                + (f"{squash} replaces it" if squash else "there is no such migration"),
                where=where,
                next=f"require {squash.version}/expand instead"
                if squash
                else (f"did you mean {near[0]}/{ref.half}?" if near else "add the missing file"),
            )
        if required.section(ref.half) is None:
            raise MigrationFileError(
                f"it requires {ref}, but {required.path.name} has no `-- {ref.half}`", where=where
            )


def _check_squash(migration: Migration, migrations: Migrations) -> None:
    """A squash stands directly after what it replaces, and what it replaces is gone."""
    for first, last in migration.replaces:
        where = _where(migration, "replaces")
        if version_key(migration.version) <= version_key(last):
            raise MigrationFileError(
                f"version {migration.version} does not come after {last}, the last that it replaces",
                where=where,
                next="give the squash a version just above the last one that it replaces",
            )
        for other in migrations:
            if int(first) <= int(other.version) < int(migration.version):
                inside = int(other.version) <= int(last)
                raise MigrationFileError(
                    f"it replaces {first}..{last}, but {other.path.name} "
                    + ("is still there" if inside else "stands between them and the squash"),
                    where=where,
                    next="delete the files that the squash replaces"
                    if inside
                    else "give the squash a version just above the last one that it replaces",
                )


def _covers(migration: Migration, version: str) -> bool:
    return any(int(lo) <= int(version) <= int(hi) for lo, hi in migration.replaces)


def _where(migration: Migration, key: str) -> str:
    """``file:line`` of a directive."""
    sections = (migration.expand, migration.contract)
    lines = [s.directives.lines[key] for s in sections if s and key in s.directives.lines]
    return f"{migration.path}:{lines[0] if lines else 1}"
