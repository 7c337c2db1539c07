"""Scripts of several commands: their exact text, what comes back of them, and that ``sh`` takes them."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from pilotage.errors import LeaseLost, TargetError
from pilotage.secret import Secret
from pilotage.shell.fenced import Command, Fence, Lock, Then, run_script, script, state_dir
from pilotage.shell.local import LocalShell

DIRECTORY = ".pilotage/shop"


@pytest.fixture
def shell(tmp_path: Path) -> LocalShell:
    return LocalShell("here", home=tmp_path)


def run(shell: LocalShell, *parts, token=None, alone=False, fenced=True):
    fence = Fence(DIRECTORY, token, alone=alone) if fenced else None
    return asyncio.run(run_script(shell, parts, fence))


def test_the_text_of_a_script() -> None:
    parts = (
        Command(("docker", "ps", "--filter", "label=a b"), then=Then.IF_SILENT),
        Command(("docker", "create"), env={"A": Secret("it's\n$1")}, lines=(Secret("PATH=x"),)),
        Lock.LET_GO,
        Command(("docker", "wait", "c"), then=Then.ALWAYS),
        Lock.TAKE,
        Command(("docker", "ps"), then=Then.IF_SPOKEN),
        Command(("docker", "inspect"), words=True),
        Command(("sh", "-c", "sleep 1"), detached=True),
    )
    text = script(parts, Fence(".pilotage/shop-staging", 7)).decode()
    assert text.startswith("main() {\n")
    assert text.endswith("\n}\nmain\n")
    assert (
        text.partition("umask 077\n")[2]
        == """\
trap '' HUP PIPE
unset PILOTAGE_RUN
dir=.pilotage/shop-staging
token=7
lock=-s
mkdir -p "$dir" || exit
exec 9>>"$dir/fence.lock"
fence
run 0 docker ps --filter 'label=a b' || exit 1
[ -z "$out" ] || exit 1
(
export A='it'"'"'s
$1'
run 1 docker create 3<<'END_OF_PILOTAGES_LINES'
PATH=x
END_OF_PILOTAGES_LINES
) || exit 1
flock -u 9
run 3 docker wait c
before=$?
fence
run 5 docker ps || exit 1
[ -n "$out" ] || exit 1
[ -z "$out" ] || run 6 docker inspect $out || exit 1
setsid sh -c 'sleep 1' </dev/null >/dev/null 2>&1 9>&- &
exit 0
}
main
"""
    )


def test_what_was_run_and_what_it_wrote(shell: LocalShell) -> None:
    ran = run(
        shell,
        Command(("printf", "%s\n", "one", "", "two")),
        Command(("sh", "-c", "echo no >&2; exit 3"), then=Then.ALWAYS),
        Command(("false",)),
        Command(("echo", "never")),
        fenced=False,
    )
    assert not ran.finished
    assert [(done.argv[0], done.status, done.out) for done in ran.done] == [
        ("printf", 0, "one\n\ntwo"),
        ("sh", 3, ""),
        ("false", 1, ""),
    ]
    assert ran.last.argv == ("false",)
    assert ran.words == "\n    no"
    assert all(done.seconds >= 0 for done in ran.done)


def test_words_of_one_command_for_the_next(shell: LocalShell) -> None:
    ran = run(shell, Command(("echo", "a", "b")), Command(("echo", "x"), words=True), fenced=False)
    assert ran.last.argv == ("echo", "x", "a", "b")
    assert ran.last.out == "x a b"
    ran = run(shell, Command(("true",)), Command(("echo", "x"), words=True), fenced=False)
    assert ran.finished
    assert [done.argv for done in ran.done] == [("true",)]


@pytest.mark.parametrize(
    ("then", "first", "goes_on"),
    [
        (Then.IF_DONE, "true", True),
        (Then.IF_DONE, "false", False),
        (Then.IF_SILENT, "true", True),
        (Then.IF_SILENT, "pwd", False),
        (Then.IF_SPOKEN, "true", False),
        (Then.IF_SPOKEN, "pwd", True),
        (Then.ALWAYS, "false", True),
    ],
)
def test_when_a_script_goes_on(shell: LocalShell, then: Then, first: str, goes_on: bool) -> None:
    ran = run(shell, Command((first,), then=then), Command(("true",)), fenced=False)
    assert ran.finished is goes_on
    assert len(ran.done) == 1 + goes_on


@pytest.mark.parametrize("status", [0, 3])
def test_otherwise_is_run_only_where_the_command_before_failed(
    shell: LocalShell, status: int
) -> None:
    ran = run(
        shell,
        Command(("sh", "-c", f"exit {status}"), then=Then.ALWAYS),
        Command(("sh", "-c", "echo first; exit 1"), then=Then.ALWAYS, otherwise=True),
        Command(("echo", "second"), otherwise=True),
        Command(("echo", "last")),
        fenced=False,
    )
    assert ran.finished
    said = [done.out for done in ran.done]
    assert said == (["", "first", "second", "last"] if status else ["", "last"])


def test_variables_are_those_of_one_command_and_byte_exact(shell: LocalShell) -> None:
    value = 'it\'s "q" $HOME `x` \\n\n\ttab é ✓ !'
    ran = run(
        shell,
        Command(("printenv", "V"), env={"V": Secret(value)}),
        Command(("sh", "-c", "echo ${V-none}")),
        fenced=False,
    )
    assert [done.out for done in ran.done] == [value, "none"]


def test_lines_are_read_from_a_descriptor(shell: LocalShell) -> None:
    lines = (Secret("A=it's $HOME \\n"), Secret("B=`x`"))
    ran = run(shell, Command(("cat", "/dev/fd/3"), lines=lines), fenced=False)
    assert ran.last.out == "A=it's $HOME \\n\nB=`x`"


def test_a_text_that_was_cut_off_does_nothing(shell: LocalShell, tmp_path: Path) -> None:
    text = script((Command(("touch", "done")),), Fence(DIRECTORY, 1))
    for length in range(0, len(text) - 6, 7):
        subprocess.run(["sh"], input=text[:length], cwd=tmp_path, check=False, capture_output=True)
    assert list(tmp_path.iterdir()) == []
    subprocess.run(["sh"], input=text, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "done").exists()


def test_it_goes_to_its_end_when_nobody_reads_it_any_more(tmp_path: Path) -> None:
    text = script((Command(("sleep", "0.3")), Command(("echo", "x")), Command(("touch", "done"))))
    with subprocess.Popen(
        ["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(text)
        process.stdin.close()
        process.stdout.close()
        process.stderr.close()
        process.wait(20)
    assert (tmp_path / "done").exists()


# -- the fence -------------------------------------------------------------------------------


def test_a_lower_token_is_refused_and_nothing_is_run(shell: LocalShell, tmp_path: Path) -> None:
    run(shell, token=7)
    assert (tmp_path / DIRECTORY / "fence").read_text() == "7\n"
    with pytest.raises(LeaseLost, match="lease token 7; ours is 6"):
        run(shell, Command(("touch", "never")), token=6)
    assert not (tmp_path / "never").exists()
    for token in (7, 8, None):
        run(shell, Command(("touch", f"with-{token}")), token=token)
        assert (tmp_path / f"with-{token}").exists()
    assert (tmp_path / DIRECTORY / "fence").read_text() == "8\n"
    assert oct((tmp_path / DIRECTORY).stat().st_mode)[-3:] == "700"


def test_it_is_compared_again_when_it_is_taken_again(shell: LocalShell, tmp_path: Path) -> None:
    fence = tmp_path / DIRECTORY / "fence"
    with pytest.raises(LeaseLost):
        run(
            shell,
            Command(("touch", "before")),
            Lock.LET_GO,
            Command(("sh", "-c", f"echo 9 >{fence}")),
            Lock.TAKE,
            Command(("touch", "after")),
            token=5,
        )
    assert (tmp_path / "before").exists()
    assert not (tmp_path / "after").exists()


def test_a_raised_token_waits_for_what_runs_under_a_lower_one(
    shell: LocalShell, tmp_path: Path
) -> None:
    async def story() -> None:
        slow = (
            Command(("sh", "-c", "echo >begun; until [ -e go ]; do sleep 0.01; done; echo >ended")),
        )
        first = asyncio.create_task(run_script(shell, slow, Fence(DIRECTORY, 1)))
        async with asyncio.timeout(20):
            while not (tmp_path / "begun").exists():
                await asyncio.sleep(0.01)
        # Of the same token: it runs beside the other one.
        await run_script(shell, (), Fence(DIRECTORY, 1))
        seen = (Command(("ls", "ended")),)
        second = asyncio.create_task(run_script(shell, seen, Fence(DIRECTORY, 2)))
        await asyncio.sleep(0.2)
        assert not second.done()
        (tmp_path / "go").touch()
        await first
        assert (await second).last.out == "ended"

    asyncio.run(story())


def test_a_fence_that_is_none(shell: LocalShell, tmp_path: Path) -> None:
    (tmp_path / DIRECTORY).mkdir(parents=True)
    (tmp_path / DIRECTORY / "fence").write_text("seven\n")
    with pytest.raises(TargetError, match="does not hold a number"):
        run(shell, token=7)


def test_a_home_that_cannot_be_written_is_told_in_the_shells_words(
    shell: LocalShell, tmp_path: Path
) -> None:
    (tmp_path / ".pilotage").write_text("a file")
    with pytest.raises(TargetError, match=r"cannot be taken:\n    .*mkdir"):
        run(shell, Command(("touch", "never")), token=7)
    assert not (tmp_path / "never").exists()


def test_of_many_deployers_only_rising_tokens_act(shell: LocalShell, tmp_path: Path) -> None:
    async def one(token: int) -> None:
        append = Command(("sh", "-c", f"echo {token} >>acted"))
        try:
            await run_script(shell, (append,), Fence(DIRECTORY, token))
        except LeaseLost:
            return

    async def story() -> None:
        await asyncio.gather(*(one(token) for token in (3, 1, 2, 5, 4, 8, 6, 7)))

    asyncio.run(story())
    acted = [int(line) for line in (tmp_path / "acted").read_text().split()]
    assert acted == sorted(acted)
    assert acted[-1] == 8


def test_where_a_service_is_kept() -> None:
    assert state_dir("shop", None) == ".pilotage/shop"
    assert state_dir("shop", "staging") == ".pilotage/shop-staging"
