"""Hooks that are found, run, fail, and are interrupted; real scripts in a temporary folder."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path

import pytest

from pilotage.errors import ConfigError, HookFailed, Unhealthy
from pilotage.events import Event, HookEnded, HookStarted, Note, Output
from pilotage.hooks import Command, Hooks
from pilotage.secret import Secret

KEY = "-----BEGIN KEY-----\nAAAAAAAAAAAAAAAA\nBBBBBBBBBBBBBBBB\n-----END KEY-----\n"


def run(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def runs(*args: object, **kwargs: object) -> None:
        asyncio.run(test(*args, **kwargs))

    return runs


class Project:
    """A folder with hooks, and what was emitted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self.output: str | None = "verbose"

    def write(
        self, hook: str, text: str, *, folder: str = ".kamal/hooks", mode: int = 0o755
    ) -> Path:
        path = self.root / folder / hook
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def hooks(
        self,
        *,
        skip: bool = False,
        secrets: Callable[[], dict[str, Secret]] = lambda: {
            "TOKEN": Secret("sesame-open"),
            "KEY": Secret(KEY),
        },
    ) -> Hooks:
        async def version() -> str:
            return "abc"

        return Hooks(
            folders=(self.root / ".pilotage/hooks", self.root / ".kamal/hooks"),
            root=self.root,
            command=lambda: Command("shop", ("deploy",), ("h",), "ada"),
            secrets=secrets,
            version=version,
            shown=lambda _hook: self.output == "verbose",
            told=lambda _hook: self.output != "quiet",
            emit=self.events.append,
            skip=skip,
        )

    def lines(self) -> list[str]:
        return [e.line for e in self.events if isinstance(e, Output)]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@run
async def test_a_hook_runs_in_the_project_with_its_secrets_and_its_output_is_told(project):
    project.write(
        "pre-deploy", '#!/bin/sh\npwd\necho "$KAMAL_VERSION $PILOTAGE_HOOK"\necho no >&2\n'
    )
    assert await project.hooks().run("pre-deploy", version="v1")
    assert project.lines() == [str(project.root), "v1 pre-deploy", "no"]
    assert [type(e) for e in project.events if not isinstance(e, Output)] == [
        HookStarted,
        HookEnded,
    ]


@run
async def test_no_hook_is_no_error(project):
    assert not await project.hooks().run("pre-deploy")
    assert project.events == []


@run
async def test_skipped_hooks_are_not_there(project):
    project.write("pre-deploy", "#!/bin/sh\nexit 1\n")
    assert not await project.hooks(skip=True).run("pre-deploy")
    assert project.hooks(skip=True).there() == {}


@run
async def test_our_folder_wins(project):
    project.write("pre-deploy", "#!/bin/sh\necho kamal\n")
    project.write("pre-deploy", "#!/bin/sh\necho ours\n", folder=".pilotage/hooks")
    project.write("post-deploy", "#!/bin/sh\n")
    project.write("pre-deploy.sample", "#!/bin/sh\n")
    await project.hooks().run("pre-deploy")
    assert project.lines() == ["ours"]
    assert project.hooks().there() == {
        "pre-deploy": ".pilotage/hooks/pre-deploy",
        "post-deploy": ".kamal/hooks/post-deploy",
    }


@run
async def test_a_failure_quotes_the_last_lines_with_secrets_masked(project):
    text = '#!/bin/sh\nseq 1 30\necho "token $TOKEN"\nprintf "%s" "$KEY"\nexit 3\n'
    project.write("pre-deploy", text)
    with pytest.raises(HookFailed) as failed:
        await project.hooks().run("pre-deploy")
    error = failed.value
    assert error.what.startswith("the hook pre-deploy exited 3; its last output:\n    26\n    27")
    assert "token [secret]" in error.what
    assert error.where == ".kamal/hooks/pre-deploy"
    assert "--skip-hooks" in error.next
    told = error.what + "".join(project.lines())
    for line in ("sesame-open", *KEY.splitlines()):
        assert line not in told


@run
async def test_a_hook_that_says_nothing_and_one_that_is_killed(project):
    project.write("pre-deploy", "#!/bin/sh\nexit 1\n")
    with pytest.raises(HookFailed, match="exited 1; its last output: \\(it printed nothing\\)"):
        await project.hooks().run("pre-deploy")
    project.write("pre-deploy", "#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(HookFailed, match="was ended by SIGKILL"):
        await project.hooks().run("pre-deploy")


@pytest.mark.parametrize("hook", ["pre-connect", "pre-build"])
@run
async def test_before_anything_begins_nothing_is_touched(project, hook):
    project.write(hook, "#!/bin/sh\nexit 1\n")
    with pytest.raises(HookFailed) as failed:
        await project.hooks().run(hook)
    assert failed.value.state == "nothing was touched"


@run
async def test_what_cannot_be_run(project):
    path = project.write("pre-deploy", "#!/bin/sh\n", mode=0o644)
    with pytest.raises(HookFailed, match="not executable") as failed:
        await project.hooks().run("pre-deploy")
    assert "`chmod +x .kamal/hooks/pre-deploy`" in failed.value.next
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(HookFailed, match="a link to nowhere, which is not there"):
        await project.hooks().run("pre-deploy")
    path.unlink()
    path.mkdir()
    with pytest.raises(HookFailed, match="it is no file"):
        await project.hooks().run("pre-deploy")
    project.write("post-deploy", "#!/no/such/program\n")
    with pytest.raises(HookFailed, match="No such file"):
        await project.hooks().run("post-deploy")


@run
async def test_a_script_without_a_first_line_is_run_by_sh(project):
    project.write("pre-deploy", "echo plain\n")
    await project.hooks().run("pre-deploy")
    assert project.lines() == ["plain"]


@pytest.mark.parametrize(("output", "told"), [("verbose", 4), (None, 2), ("quiet", 0)])
@run
async def test_how_much_is_told(project, output, told):
    project.output = output
    project.write("pre-deploy", "#!/bin/sh\necho a\necho b\n")
    await project.hooks().run("pre-deploy")
    assert len(project.events) == told


@run
async def test_a_step_is_told_as_a_step(project):
    project.write("pre-deploy", "#!/bin/sh\necho a\n")
    await project.hooks().run("pre-deploy", step=True)
    assert [type(e) for e in project.events] == [Output]


@run
async def test_a_hook_is_not_run_by_what_it_starts_itself(project, monkeypatch):
    project.write("pre-connect", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PILOTAGE_HOOK", "pre-connect")
    assert not await project.hooks().run("pre-connect")


@run
async def test_what_stays_behind_does_not_keep_us(project):
    project.write("pre-deploy", "#!/bin/sh\nsleep 60 &\necho $!\n")
    began = time.monotonic()
    await project.hooks().run("pre-deploy")
    assert time.monotonic() - began < 30
    os.kill(int(project.lines()[0]), 9)


@run
async def test_long_lines_broken_bytes_and_a_last_line_without_end(project):
    project.write(
        "pre-deploy", "#!/bin/sh\nhead -c 200000 /dev/zero | tr '\\0' x\necho\nprintf 'a\\377b'\n"
    )
    await project.hooks().run("pre-deploy")
    assert "".join(project.lines()[:-1]) == "x" * 200000
    assert project.lines()[-1] == "a�b"


@run
async def test_an_interruption_ends_all_that_the_hook_started(project):
    text = "#!/bin/sh\ntrap 'echo bye >> said; exit 1' TERM\nsleep 300 & echo $! > pid\nwait\n"
    project.write("pre-deploy", text)
    task = asyncio.create_task(project.hooks().run("pre-deploy"))
    pid = project.root / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        await asyncio.sleep(0.01)
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (project.root / "said").read_text() == "bye\n"
    sleeping = Path(f"/proc/{pid.read_text().strip()}")
    give_up = time.monotonic() + 30
    while sleeping.exists() and "(sleep) Z" not in (sleeping / "stat").read_text():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.01)


@run
async def test_post_failure_is_told_what_failed_and_changes_nothing(project):
    names = "ERROR ERROR_TYPE WHERE STATE NEXT STEP OUTCOME RUNTIME VERSION"
    text = "".join(f'echo "{name}=$PILOTAGE_{name}"\n' for name in names.split())
    project.write("post-failure", f"#!/bin/sh\n{text}echo $KAMAL_LOCK\nexit 7\n")
    error = Unhealthy("it said sesame-open", where="h", state="old serves", next="mend it")
    await project.hooks().failed(error, version="v1", step="wait", outcome="failed", runtime=2.6)
    assert project.lines() == [
        "ERROR=it said [secret]",
        "ERROR_TYPE=Unhealthy",
        "WHERE=h",
        "STATE=old serves",
        "NEXT=mend it",
        "STEP=wait",
        "OUTCOME=failed",
        "RUNTIME=3",
        "VERSION=v1",
        "false",
    ]
    notes = [e for e in project.events if isinstance(e, Note)]
    assert [n.level for n in notes] == ["warning"]
    assert "post-failure exited 7" in notes[0].text


@run
async def test_post_failure_when_it_is_the_secrets_that_failed(project):
    def secrets() -> dict[str, Secret]:
        raise ConfigError("its command ended with exit status 1")

    project.write("post-failure", "#!/bin/sh\necho ran\n")
    hooks = project.hooks(secrets=secrets)
    await hooks.failed(
        ConfigError("no secrets"), version=None, step="", outcome="failed", runtime=0
    )
    assert project.lines() == ["ran"]
