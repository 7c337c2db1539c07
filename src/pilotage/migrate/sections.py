"""The sections of a migration file: where each begins and ends, and its directives.

Works on tokens, so that no string, function body or prose comment is taken for a marker.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from string import whitespace

from pilotage.migrate import directives
from pilotage.migrate.migration import Directives, Section
from pilotage.migrate.sql import SqlError
from pilotage.migrate.sql.token import Kind, Token, line_of

SECTIONS = ("expand", "backfill", "verify", "contract", "down")
_DBMATE = {"migrate:up": "expand", "migrate:down": "down"}

# The words that begin a statement. After a section's last statement without its `;`, one of these (or
# the end) must follow for a comment to be a marker; otherwise it stands in the middle of a statement.
# fmt: off
_STATEMENTS = frozenset((
    "ALTER", "ANALYZE", "BEGIN", "CALL", "CLUSTER", "COMMENT", "COMMIT", "COPY", "CREATE",
    "DELETE", "DO", "DROP", "EXECUTE", "EXPLAIN", "FLUSH", "GRANT", "IMPORT", "INSERT", "LOAD",
    "LOCK", "MERGE", "OPTIMIZE", "PRAGMA", "PREPARE", "REASSIGN", "REFRESH", "REINDEX", "RENAME",
    "REPLACE", "RESET", "REVOKE", "ROLLBACK", "SECURITY", "SELECT", "SET", "TRUNCATE", "UPDATE", "USE",
    "VACUUM", "VALUES", "WITH",
))
# fmt: on


def read_sections(text: str, tokens: Sequence[Token], inner: Container[int]) -> dict[str, Section]:
    """The sections of a file by name. Without a marker, the whole file is ``expand``.

    ``inner``: the indexes of the tokens inside the bodies of triggers and routines.

    Raises
    ------
    SqlError
        A marker or a directive is wrong, or sections lack each other.
    """
    parts = _divide(text, tokens, inner)
    sections = {part.name: _section(text, part, parts) for part in parts if part.kept}
    _check_together(sections, parts)
    return sections


def read_parts(text: str, tokens: Sequence[Token], inner: Container[int]) -> dict[str, Section]:
    """The same of what is only a part of a file, such as a rewrite: sections may lack each other."""
    parts = _divide(text, tokens, inner)
    return {part.name: _section(text, part, parts) for part in parts if part.kept}


def whole(text: str) -> Section:
    """The one section of a file without comments, and so without a marker or a directive.

    Raises
    ------
    SqlError
        There is nothing in it.
    """
    if not text.strip(";" + whitespace):
        raise _empty("expand", 1, alone=True)
    return Section(text, 1)


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


def _divide(text: str, tokens: Sequence[Token], inner: Container[int]) -> list[_Part]:
    """The sections of a file in its own order; the first part is what stands before them."""
    parts = [_Part("", 0, 1)]
    begun = False  # whether there was a token since the last `;`
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind is Kind.LINE_COMMENT:
            comment = token.text[2:].strip()
            alone = not text[text.rfind("\n", 0, token.start) + 1 : token.start].strip()
            line = line_of(text, token.start)
            if comment.lower().startswith(directives.PREFIX):
                if not alone:
                    raise SqlError("a directive stands on a line of its own", line=line)
                parts[-1].words += directives.words(comment[len(directives.PREFIX) :], line)
            elif alone and not depth and index not in inner:
                part = _marker(comment, line, _line_end(text, token.end), parts)
                if part and (part.dbmate or not begun or _begins(tokens, index + 1)):
                    parts[-1].end = text.rfind("\n", 0, token.start) + 1
                    parts.append(part)
                    begun = False
        elif token.kind is not Kind.BLOCK_COMMENT:
            if token.text == "(":
                depth += 1
            elif token.text == ")":
                depth = max(0, depth - 1)
            if token.text == ";" and index not in inner and not depth:
                begun = False
            else:
                begun = parts[-1].code = True
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


def _begins(tokens: Sequence[Token], place: int) -> bool:
    """Whether a new statement, or nothing, follows."""
    rest = (tokens[index] for index in range(place, len(tokens)))
    following = next((token for token in rest if not token.kind.comment), None)
    return following is None or following.word in _STATEMENTS


def _section(text: str, part: _Part, parts: Sequence[_Part]) -> Section:
    if not part.code:
        raise _empty(part.name, part.line, alone=len(parts) <= 2)
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


def _empty(name: str, line: int, *, alone: bool) -> SqlError:
    return SqlError(
        "it holds no SQL" if alone else f"the section `-- {name}` is empty",
        line=line,
        next="write a statement in it, or take it out",
    )


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
