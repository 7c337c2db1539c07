"""Puts the sections of one rewrite where they belong in the file of its finding."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pilotage.hazards.finding import Finding
from pilotage.hazards.fix.authored import authored
from pilotage.hazards.fix.layout import Edit, Layout, edited
from pilotage.migrate.migration import Migration, Section
from pilotage.migrate.sections import SECTIONS, read_parts
from pilotage.migrate.sql import Change, Statement, grammar, needs_no_transaction
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.token import column_of, line_of

_NOTHING = "SELECT 1; -- adds nothing: the backfill is all of it"


class NotMechanical(Exception):
    """This one wants a person; the text says why."""


def placed(
    text: str, migration: Migration, finding: Finding, others: Sequence[Finding], dialect: str
) -> str:
    """The file's text with the rewrite of one finding in it.

    ``others``: all findings that are to be fixed, this one among them.

    Raises
    ------
    NotMechanical
        Something in the file stands against it.
    """
    return _Placing(text, migration, finding, others, dialect).text()


class _Placing:
    """One rewrite on its way into one file."""

    def __init__(
        self,
        text: str,
        migration: Migration,
        finding: Finding,
        others: Sequence[Finding],
        dialect: str,
    ) -> None:
        self.grammar = grammar(dialect)
        self.layout = Layout(text, migration, self.grammar)
        self.finding, self.others, self.dialect = finding, others, dialect
        self.half = str(finding.half)
        section = self.layout.section(self.half)
        assert section is not None, finding
        self.section: Section = section
        self.pairs = [
            (statement, change)
            for statement in self.grammar.split(section.text)
            for change in self.grammar.changes(statement.text)
        ]
        self.statement, self.change = self._place(finding)
        self.changes = [change for s, change in self.pairs if s is self.statement]
        self.gone = (0, 0)
        self.rewrite = read_parts(
            finding.rewrite,
            self.grammar.tokens(finding.rewrite),
            self.grammar.inner(finding.rewrite),
        )
        # One change, or a list of things that all go: a statement that is not taken apart.
        self.alone = len(self.changes) == 1 or self._moving(self.changes)

    def text(self) -> str:
        """The new text of the file."""
        if self._moves(self.finding) and self._all_move():
            return self._renamed()
        if "backfill" in self.rewrite:
            self._refuse_readers()
        original, cuts = self._original()
        return edited(self.layout.text, self._edits(original, cuts))

    # What the finding is about

    def _place(self, finding: Finding) -> tuple[Statement, Change]:
        """The statement and the change that a finding names."""
        here = [
            (statement, change)
            for statement, change in self.pairs
            if self._at(statement.start + change.offset) == (finding.line, finding.column)
        ] or self._around(finding)
        # Several objects of one DROP stand at one place: each is in its own rewrite.
        named = [pair for pair in here if pair[1].sql and pair[1].sql in finding.rewrite]
        if not here:
            raise NotMechanical("it is about the half as a whole")
        return (named or here)[0]

    def _around(self, finding: Finding) -> list[tuple[Statement, Change]]:
        """The change in which a finding's place lies: the last that begins before it."""
        before = [
            (statement, change)
            for statement, change in self.pairs
            if self._at(statement.start + change.offset)
            <= (finding.line, finding.column)
            <= self._at(statement.end)
        ]
        return before[-1:]

    def _at(self, offset: int) -> tuple[int, int]:
        line = self.section.line + line_of(self.section.text, offset) - 1
        return line, column_of(self.section.text, offset)

    def _moves(self, finding: Finding) -> bool:
        """Whether the rewrite is the statement itself, in the contract half."""
        statement, change = self._place(finding)
        sections = read_parts(
            finding.rewrite,
            self.grammar.tokens(finding.rewrite),
            self.grammar.inner(finding.rewrite),
        )
        if finding.half != "expand" or [*sections] != ["contract"]:
            return False
        (wanted, *more) = self.grammar.split(sections["contract"].text)
        return not more and (wanted.text == change.sql or self._equal(wanted.text, statement.text))

    def _equal(self, one: str, other: str) -> bool:
        return authored(one, other, self.grammar) == one

    def _all_move(self) -> bool:
        """Whether nothing would be left of the expand half, and there is no contract half yet."""
        if self.layout.section("contract") or self.layout.section("backfill"):
            return False
        return self._moving([change for _, change in self.pairs])

    def _moving(self, changes: Sequence[Change]) -> bool:
        """Whether each of these changes has a finding that moves it."""
        moving = {
            id(self._place(other)[1])
            for other in self.others
            if other.half is self.finding.half and self._moves(other)
        }
        return all(id(change) in moving for change in changes)

    # The whole section becomes the contract half

    def _renamed(self) -> str:
        self._refuse_down()
        layout, line = self.layout, self.layout.newline
        marker = layout.marker(self.section)
        head = f"-- contract{line}"
        if marker is None:
            return head + layout.text
        if layout.dbmate(self.section) and not self.section.directives.transaction:
            head += f"-- pilotage: transaction=false{line}"
        return edited(layout.text, [Edit(*marker, head.removesuffix(line))])

    def _refuse_down(self) -> None:
        if self.layout.section("down"):
            raise NotMechanical("the file's down section undoes it, and would have to follow")

    def _refuse_readers(self) -> None:
        """What stands behind rows that are written later would find them as they were."""
        backfills = [
            self._place(other)[0]
            for other in self.others
            if other.half is self.finding.half and "-- backfill" in other.rewrite
        ]
        for statement, change in self.pairs:
            if statement.start <= self.statement.start or statement in backfills:
                continue
            words = {token.word for token in self.grammar.tokens(statement.text)}
            if _counts_on_rows(change, words):
                line, _ = self._at(statement.start)
                raise NotMechanical(
                    f"the rows would be written after line {line}, which may count on them"
                )

    # A statement is rewritten in place, and the rest goes to other sections

    def _original(self) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The author's own text of the change alone, and what to delete where it leaves its place."""
        if self.alone:
            return self.statement.text, (self.layout.whole(self.section, self.statement),)
        clause = self.layout.clause(self.section, self.statement, self.changes, self.change)
        if clause is None:
            raise NotMechanical("its statement does several things: write one statement for each")
        return clause.text, clause.cuts

    def _edits(self, original: str, cuts: tuple[tuple[int, int], ...]) -> list[Edit]:
        layout, line = self.layout, self.layout.newline
        edits: list[Edit] = []
        if self._opens() and not self._empties() and not layout.marker(self.section):
            edits.append(Edit(0, 0, f"-- {self.half}{line}"))
        here = self._statements(self.half, original)
        base = layout.start(self.section) + self.statement.start
        end = base + len(self.statement.text)
        if here is None:  # the directive is all that was missing
            pass
        elif here and self.alone:
            edits.append(Edit(base, end, f";{line}".join(here)))
        elif here:
            edits += [Edit(*cut, "") for cut in cuts]
            edits.append(Edit(end, end, "".join(f";{line}{statement}" for statement in here)))
        else:
            edits += self._leave(cuts)
            if not (self._last() and self._backfills()):
                self.gone = cuts[0]
        for name in self.rewrite:
            if name == self.half:
                continue
            if name == "contract":
                self._refuse_down()
            statements = self._statements(name, original) or []
            kept = ("", ";")
            if self.alone and not here and len(statements) == 1:
                kept = self._comments_of(cuts[0], original)
            edits += self._append(name, statements, kept)
        if self.half in self.rewrite and not self.rewrite[self.half].directives.transaction:
            edits += self._no_transaction(self.half, but=self.statement)
        return edits

    def _empties(self) -> bool:
        """Whether the section goes with the statement."""
        return self._last() and not self._backfills()

    def _last(self) -> bool:
        """Whether the statement leaves its section, and nothing else is in it."""
        alone = self.alone and len({id(statement) for statement, _ in self.pairs}) == 1
        return alone and self.half not in self.rewrite

    def _backfills(self) -> bool:
        """Whether there is a backfill, which is not without an expand half."""
        return "backfill" in self.rewrite or self.layout.section("backfill") is not None

    def _opens(self) -> bool:
        """Whether the file gets a section, so that the one it was needs its marker."""
        return any(name != self.half for name in self.rewrite)

    def _statements(self, name: str, original: str) -> list[str] | None:
        """What the rewrite has in a section, in the author's words; None: it all stands there already."""
        section = self.rewrite.get(name)
        if section is None:
            return []
        # Of one that has several steps some may stand there already (ADD, then VALIDATE).
        in_place = name == self.half
        there = [s.text for s in self.grammar.split(self.section.text)] if in_place else []
        wanted = [s.text for s in self.grammar.split(section.text)]
        new = [w for w in wanted if not any(self._equal(w, other) for other in there)]
        if not new and wanted:
            return None
        return [
            original if w == self.change.sql else self._lines(authored(original, w, self.grammar))
            for w in new
        ]

    def _lines(self, statement: str) -> str:
        return statement.replace("\r\n", "\n").replace("\n", self.layout.newline)

    def _comments_of(self, removal: tuple[int, int], original: str) -> tuple[str, str]:
        """What stands around a statement that moves: the comments above it; its ``;`` and what follows."""
        before, _, after = self.layout.text[slice(*removal)].partition(original)
        return before, after if after.lstrip().startswith(";") else ";" + after

    def _leave(self, cuts: tuple[tuple[int, int], ...]) -> list[Edit]:
        """The statement goes; where nothing else is left, so does the section, or it needs a reason."""
        edits = [Edit(*cut, "") for cut in cuts]
        if not self._last():
            return edits
        if self._backfills():
            ended = self.layout.text[slice(*cuts[0])].endswith("\n")
            return [Edit(*cuts[0], _NOTHING + (self.layout.newline if ended else ""))]
        marker = self.layout.marker(self.section)
        if marker:
            edits.append(Edit(marker[0], self.layout.start(self.section), ""))
        return edits

    def _append(self, name: str, statements: list[str], kept: tuple[str, str]) -> list[Edit]:
        """Statements at the end of a section, which is made where it is not there."""
        layout, line = self.layout, self.layout.newline
        if not statements:
            return []
        body = "".join(f"{kept[0]}{s}{kept[1]}".rstrip("\r\n") + line for s in statements)
        target = layout.section(name)
        outside = not self.rewrite[name].directives.transaction or any(
            needs_no_transaction(s, self.dialect) for s in statements
        )
        if target is None:
            head = f"-- {name}{line}"
            if outside:
                head += f"-- pilotage: transaction=false{line}"
            at, followed = layout.after(name)
            text = layout.text[: self.gone[0] if self.gone[1] == at else at]
            gap = "" if not text or text.endswith(line * 2) else line
            gap = gap if not text or text.endswith("\n") else line * 2
            edits = self._closed(name, at)
            return [*edits, Edit(at, at, gap + head + body + (line if followed else ""))]
        end = layout.start(target) + len(target.text.rstrip())
        edits = [*self._closed(name), Edit(end, end, line + body.rstrip("\r\n"))]
        if outside:
            edits += self._no_transaction(name)
        return edits

    def _closed(self, name: str, at: int | None = None) -> list[Edit]:
        """A ``;`` for the last statement of a section, or of the one that ends at ``at``, without it."""
        layout = self.layout
        sections = [s for n in SECTIONS if (s := layout.section(n)) is not None]
        for section in sections:
            if section is not layout.section(name) and layout.end(section) != at:
                continue
            last = self.grammar.split(section.text)[-1]
            rest = [t for t in self.grammar.tokens(section.text) if t.start >= last.end]
            stop = layout.start(section) + last.end
            if last != self.statement and not any(token.is_(";") for token in rest):
                return [Edit(stop, stop, ";")]
        return []

    def _no_transaction(self, name: str, but: Statement | None = None) -> list[Edit]:
        """``transaction=false`` for a section, where its other statements do without one."""
        layout, line = self.layout, self.layout.newline
        section = layout.section(name)
        assert section is not None
        if not section.directives.transaction:
            return []
        for statement in self.grammar.split(section.text):
            if but is not None and statement == but:
                continue
            if any(_needs_transaction(x) for x in self.grammar.changes(statement.text)):
                raise NotMechanical(
                    "it must run outside a transaction, and the half has a statement that wants one: "
                    "put it into a file of its own"
                )
        marker = layout.marker(section)
        if layout.dbmate(section) and marker:
            return [Edit(marker[1], marker[1], " transaction:false")]
        start = layout.start(section)
        return [Edit(start, start, f"-- pilotage: transaction=false{line}")]


_STRUCTURE = (
    c.AddColumn, c.DropColumn, c.Drop, c.SetDefault, c.DropDefault, c.DropNotNull, c.DropConstraint, c.TableOption,
)  # fmt: skip


def _counts_on_rows(change: Change, words: Collection[str]) -> bool:
    """Whether it may read rows, demand something of them, or act when they are written.

    ``words``: of its statement, in capitals.
    """
    match change:
        case c.CreateIndex():
            return change.unique
        case c.CreateTable():
            return "AS" in words or "SELECT" in words
        case c.Create():
            return "MATERIALIZED" in words or "TRIGGER" in words
        case c.Other():
            return change.visible
    return not isinstance(change, _STRUCTURE)


def _needs_transaction(change: Change) -> bool:
    """Whether a half that breaks off behind it could not be resumed by a look into the catalogue."""
    rows = isinstance(change, (c.ChangeRows, c.Truncate, c.Opaque))
    return rows or (isinstance(change, c.Other) and change.visible)
