"""One statement of a section, in the author's own text, and the error of SQL that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotage.errors import MigrationFileError


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, exactly as written, without the ``;`` and the comments around it.

    ``start`` is its offset in characters and ``line`` its line (from 1) in the text that was split.
    """

    text: str
    start: int
    line: int

    @property
    def end(self) -> int:
        """The offset of the first character after it."""
        return self.start + len(self.text)


class SqlError(MigrationFileError):
    """SQL that cannot be used as it stands.

    ``line`` counts from 1 in the text that was read, and so does ``column``; 0 where it is not known.
    """

    def __init__(
        self, what: str, *, line: int = 1, column: int = 0, state: str = "", next: str = ""
    ) -> None:
        super().__init__(
            what, where=f"line {line}", state=state, next=next, line=line, column=column
        )

    def at(self, path: Path, first_line: int) -> MigrationFileError:
        """The same error with ``file:line``, for a text that begins on ``first_line`` of ``path``."""
        line = first_line + self.line - 1
        located = MigrationFileError(
            self.what,
            where=f"{path}:{line}",
            state=self.state,
            next=self.next,
            line=line,
            column=self.column,
        )
        located.__cause__ = self
        return located


@contextmanager
def located(path: Path, first_line: int) -> Iterator[None]:
    """Name the file and its line in every `SqlError` that is raised inside.

    Raises
    ------
    MigrationFileError
        With ``where`` as ``file:line``, in place of the `SqlError`.
    """
    try:
        yield
    except SqlError as error:
        raise error.at(path, first_line) from error
