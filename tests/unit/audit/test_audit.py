"""Lines of the audit: written at both ends of a command, whatever becomes of either."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pilotage.audit import Audit, Line, LocalLog, ShellLog, joined
from pilotage.audit.hosts import append_script
from pilotage.cli.failure import Interrupted
from pilotage.cli.project import typed
from pilotage.errors import DatabaseError, LeaseHeld, PilotageError, Unhealthy
from pilotage.events import Event, Note
from pilotage.shell.local import LocalShell


class Table:
    """Lines in memory; ``there`` False: its tables are not made yet."""

    def __init__(self, *, there: bool = True, broken: bool = False) -> None:
        self.lines: list[Line] = []
        self.there = there
        self.broken = broken

    async def append(self, lines: Sequence[Line]) -> bool:
        if self.broken:
            raise DatabaseError("permission denied for table pilotage_audit")
        self.lines += lines if self.there else ()
        return self.there

    async def last(self, count: int) -> list[Line]:
        return self.lines[-count:]


class Written:
    """A host's log, and when its first line was written: that goes on beside the command."""

    def __init__(self, audit: Audit) -> None:
        self._log = audit.hosts
        self._written = asyncio.Event()
        self.wait = self._written.wait

    async def append(self, text: bytes, *, create: bool) -> tuple[str, ...]:
        failed = await self._log.append(text, create=create) if self._log else ()
        self._written.set()
        return failed

    async def tail(self, lines: int) -> bytes:
        return await self._log.tail(lines) if self._log else b""


def ran(audit: Audit, error: BaseException | None = None, during: object = None) -> None:
    async def story() -> None:
        written = Written(audit)
        async with replace(audit, hosts=written).command(
            "deploy --version hush-hush",
            who=lambda: "ada",
            origin="ada@h:1",
            tell=lambda text: text.replace("hush-hush", "[secret]"),
        ):
            if callable(during):
                await written.wait()
                during()
            if error:
                raise error

    asyncio.run(story())


@pytest.fixture
def events() -> list[Event]:
    return []


def test_both_ends_are_in_the_table_and_on_the_host(tmp_path, events):
    table = Table()
    audit = Audit(LocalLog(tmp_path), table, events.append)
    ran(audit)
    text = (tmp_path / "audit.log").read_bytes()
    lines = [Line.from_bytes(line) for line in text.splitlines()]
    assert [line and line.result for line in lines] == ["began", "done"]
    for read, kept in zip(lines, table.lines, strict=True):
        assert read is not None
        assert abs(read.at - kept.at) < 0.001
        assert read.to_json() == kept.to_json()
    assert b"deploy --version [secret]" in text
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600
    assert events == []


@pytest.mark.parametrize(
    ("error", "result", "detail"),
    [
        (LeaseHeld("bob holds it"), "refused", "bob holds it"),
        (Unhealthy("it said hush-hush"), "failed", "it said [secret]"),
        (Interrupted("interrupted by Ctrl-C"), "interrupted", "interrupted by Ctrl-C"),
        (asyncio.CancelledError(), "interrupted", ""),
        (ValueError("hush-hush"), "failed", "ValueError"),
    ],
)
def test_how_it_ended(error, result, detail, events):
    table = Table()
    with pytest.raises(type(error)):
        ran(Audit(None, table, events.append), error)
    (entry,) = joined(table.lines)
    assert (entry.line.result, entry.line.detail) == (result, detail)
    assert entry.ended is not None


def test_a_table_that_is_made_meanwhile_gets_both(events):
    table = Table(there=False)
    ran(Audit(None, table, events.append), during=lambda: setattr(table, "there", True))
    assert [line.result for line in table.lines] == ["began", "done"]


def test_what_cannot_be_written_is_said_and_changes_nothing(tmp_path, events):
    (tmp_path / "audit.log").mkdir()
    audit = Audit(LocalLog(tmp_path), Table(broken=True), events.append)
    ran(audit)
    told = [e.text for e in events if isinstance(e, Note) and e.level == "warning"]
    assert len(told) == 2, "each reason once"
    assert any("permission denied for table" in text for text in told)
    assert any("audit.log: Is a directory" in text for text in told)
    with pytest.raises(PilotageError, match="its own error"):
        ran(audit, PilotageError("its own error"))


def test_a_log_that_was_removed_is_not_begun_again(tmp_path, events):
    folder = tmp_path / "state"
    audit = Audit(LocalLog(folder), None, events.append)
    ran(audit, during=(lambda: ((folder / "audit.log").unlink(), folder.rmdir())))
    assert not folder.exists()
    assert events == []


def test_a_service_without_a_database_is_read_from_its_hosts(tmp_path, events):
    audit = Audit(LocalLog(tmp_path), None, events.append)
    assert asyncio.run(audit.last(5)) == []
    ran(audit)
    ran(audit)
    with (tmp_path / "audit.log").open("ab") as file:
        file.write(b'{"at": "2026-11-2')  # a full disk
    assert [line.result for line in asyncio.run(audit.last(4))] == ["done", "began", "done"]


def test_through_shells(tmp_path, events):
    async def story(folder: Path) -> None:
        log = ShellLog((LocalShell("here"),), str(folder))
        assert await log.append(b"one\n", create=False) == ()
        assert not folder.exists()
        assert await log.tail(5) == b""
        assert await log.append(b"one's \xc3\xbc $x\n", create=True) == ()
        assert await log.append(b"two\n", create=False) == ()
        assert await log.tail(5) == b"one's \xc3\xbc $x\ntwo\n"
        both = ShellLog((LocalShell("a"), LocalShell("b")), str(folder))
        assert await both.tail(1) == b"two\n", "each line once"
        (why,) = await ShellLog((LocalShell("bad"),), "/dev/null/x").append(b"x\n", create=True)
        assert why.startswith("bad: ")

    asyncio.run(story(tmp_path / "a b"))
    assert (tmp_path / "a b" / "audit.log").stat().st_mode & 0o777 == 0o600


def test_values_of_variables_are_not_written_down():
    words = ("app", "exec", "-e", "TOKEN=x y", "--env", "B=2", "A=1", "a b")
    assert typed(words) == "app exec -e 'TOKEN=[secret]' --env 'B=[secret]' A=1 'a b'"


@pytest.mark.parametrize("word", ["--env=TOKEN=hush", "-eTOKEN=hush", "-eTOKEN:a=hush\nhush"])
def test_the_value_of_a_variable_is_not_written_down_however_it_is_typed(word: str) -> None:
    assert "hush" not in typed(("app", "exec", word, "env"))
    assert "TOKEN" in typed(("app", "exec", word, "env"))
    assert "hush" not in typed(("app", "exec", "-pe", "TOKEN:hush", "env"))


def test_lines_on_a_host_are_what_they_were_and_all_of_them_or_none(tmp_path: Path) -> None:
    folder = str(tmp_path / "a 'folder' $HOME")
    text = '{"said": "it\'s `x` $HOME \\\\n ✓"}\n'.encode()
    for create, there in ((False, b""), (True, text), (False, text * 2)):
        script = append_script(folder, text, create=create)
        for part in (script[: len(script) // 2], script[:-3]):
            subprocess.run(["sh"], input=part, check=False, capture_output=True)
        subprocess.run(["sh"], input=script, check=True)
        file = Path(folder) / "audit.log"
        assert (file.read_bytes() if file.exists() else b"") == there
    assert file.stat().st_mode & 0o777 == 0o600
