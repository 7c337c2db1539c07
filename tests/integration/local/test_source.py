"""`pilotage.source` on real git repositories."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.target.kits import commit, git, repository
from tests.integration.local.world import (
    ROOT,
    alive,
    command,
    full_disk,
    until,
    wait_until,
)

from pilotage.errors import TargetError, UsageError
from pilotage.source import GitSource

pytestmark = pytest.mark.integration


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "project"
    repository(folder, {"app.py": "one\n", "bin/run": "two\n"})
    return folder


@pytest.fixture
def source(root):
    return GitSource(root, state_dir=root / ".pilotage")


def test_head_is_resolved_with_the_branch_it_is_on(root, source):
    revision = asyncio.run(source.resolve(None))
    assert revision.sha == git(root, "rev-parse", "HEAD")
    assert revision.ref == "main"
    assert revision.dirty == ()


def test_a_detached_head_has_no_branch(root, source):
    git(root, "checkout", "--quiet", "--detach")
    assert asyncio.run(source.resolve(None)).ref == "HEAD"


def test_branches_tags_and_short_hashes_are_revisions(root, source):
    first = git(root, "rev-parse", "HEAD")
    git(root, "tag", "--annotate", "--message", "v1", "v1")
    second = commit(root, {"app.py": "changed\n"})

    async def story():
        assert (await source.resolve("v1")).sha == first, "the commit, not the tag"
        assert (await source.resolve("main")).sha == second
        assert (await source.resolve(first[:7])).sha == first
        assert (await source.resolve("HEAD~1")).ref == "HEAD~1"

    asyncio.run(story())


@pytest.mark.parametrize("name", ["nope", "--help", "", "HEAD:app.py", "0" * 40])
def test_what_is_no_revision_is_told(source, name):
    with pytest.raises(UsageError, match="is not a commit, a branch or a tag"):
        asyncio.run(source.resolve(name))


def test_a_repository_without_a_commit_is_told(tmp_path):
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UsageError, match="no commit yet"):
        asyncio.run(GitSource(tmp_path, state_dir=tmp_path / ".pilotage").resolve(None))


def test_a_folder_without_a_repository_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="not a git repository"):
        asyncio.run(GitSource(tmp_path, state_dir=tmp_path / ".pilotage").resolve(None))


def test_git_that_is_not_installed_is_told(source, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is not installed"):
        asyncio.run(source.resolve(None))


def test_what_a_hook_sets_does_not_lead_to_another_repository(root, source, tmp_path, monkeypatch):
    repository(tmp_path / "other", {"x": "x"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    sha = asyncio.run(source.resolve(None)).sha
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert sha == git(root, "rev-parse", "HEAD")


def test_dirty_names_what_is_not_in_head_but_not_our_own_state(root, source):
    (root / "app.py").write_text("changed\n")
    (root / "bin" / "run").unlink()
    (root / "a new file é").touch()
    (root / "staged").touch()
    git(root, "add", "staged")
    (root / ".pilotage").mkdir()
    (root / ".pilotage" / "state.json").touch()
    revision = asyncio.run(source.resolve(None))
    assert sorted(revision.dirty) == ["a new file é", "app.py", "bin/run", "staged"]


def test_a_checkout_is_the_commit_and_not_what_is_on_the_screen(root, source):
    sha = git(root, "rev-parse", "HEAD")
    (root / "app.py").write_text("not committed\n")
    folder = asyncio.run(source.checkout(sha))
    assert folder == root / ".pilotage" / "releases" / sha[:12]
    assert (folder / "app.py").read_text() == "one\n"
    assert git(folder, "rev-parse", "HEAD") == sha


def test_a_checkout_is_made_once(root, source):
    sha = git(root, "rev-parse", "HEAD")
    folder = asyncio.run(source.checkout(sha))
    (folder / "built").touch()
    assert asyncio.run(source.checkout(sha)) == folder
    assert (folder / "built").exists()


def test_two_callers_at_once_get_one_whole_checkout(root, source):
    sha = git(root, "rev-parse", "HEAD")

    async def story():
        folders = await asyncio.gather(*(source.checkout(sha) for _ in range(4)))
        assert len(set(folders)) == 1
        assert (folders[0] / "bin" / "run").read_text() == "two\n"

    asyncio.run(story())


def test_checkouts_of_different_commits_at_once(root, source):
    """Also by several deployers: git itself fails where it meets the half-made worktree of another."""
    shas = [commit(root, {"app.py": f"{n}\n"}) for n in range(12)]

    async def story():
        folders = await asyncio.gather(*(source.checkout(sha) for sha in shas))
        assert [(f / "app.py").read_text() for f in folders] == [f"{n}\n" for n in range(12)]

    asyncio.run(story())


def about(process: Path) -> str:
    """The command line and the folder of a process, as `/proc` has them."""
    try:
        return f"{(process / 'cmdline').read_text()} {(process / 'cwd').readlink()}"
    except OSError:
        return ""


def test_a_checkout_that_was_killed_half_way_is_made_anew(root, source, tmp_path):
    sha = git(root, "rev-parse", "HEAD")
    # A filter stops git in the middle of writing the second file: the whole command is killed there.
    (root / ".git" / "info" / "attributes").write_text("bin/run filter=slow\n")
    flag = tmp_path / "reached"
    git(root, "config", "filter.slow.smudge", f"touch {flag}; sleep 600")
    script = """\
import asyncio, sys
from pathlib import Path
from pilotage.source import GitSource
root = Path(sys.argv[1])
asyncio.run(GitSource(root, state_dir=root / ".pilotage").checkout(sys.argv[2]))
"""
    folder = root / ".pilotage" / "releases" / sha[:12]
    with command(script, root, sha) as process:
        while not flag.exists():
            assert process.poll() is None
        # As a power failure would: the command, and git with its filter.
        process.kill()
        process.wait()
        while doomed := [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdecimal() and str(folder) in about(entry)
        ]:
            for number in (signal.SIGSTOP, signal.SIGKILL):  # nobody tidies up after the others
                for pid in doomed:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
    git(root, "config", "--unset", "filter.slow.smudge")
    assert folder.exists()
    assert asyncio.run(source.checkout(sha)) == folder
    assert (folder / "bin" / "run").read_text() == "two\n"
    assert (folder / "app.py").read_text() == "one\n"


def test_a_checkout_that_somebody_deleted_is_made_anew(root, source):
    sha = git(root, "rev-parse", "HEAD")
    folder = asyncio.run(source.checkout(sha))
    shutil.rmtree(folder)
    assert asyncio.run(source.checkout(sha)) == folder
    assert (folder / "app.py").exists()


def test_an_unknown_commit_cannot_be_checked_out(source):
    with pytest.raises(TargetError, match="`git worktree` failed"):
        asyncio.run(source.checkout("0" * 40))
    assert not (source.releases / ("0" * 12)).exists()


def test_a_commit_that_no_branch_reaches_any_more_stays_while_it_is_checked_out(root, source):
    sha = commit(root, {"app.py": "amended away\n"})
    folder = asyncio.run(source.checkout(sha))
    git(root, "reset", "--quiet", "--hard", "HEAD~1")
    git(root, "reflog", "expire", "--expire=now", "--all")
    git(root, "gc", "--quiet", "--prune=now")
    shutil.rmtree(folder)
    assert (asyncio.run(source.checkout(sha)) / "app.py").read_text() == "amended away\n"


def test_hooks_of_the_repository_do_not_run(root, source):
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {root}/hooked\n")
    hook.chmod(0o755)
    asyncio.run(source.checkout(git(root, "rev-parse", "HEAD")))
    assert not (root / "hooked").exists()


def test_a_project_in_a_folder_of_its_repository(root):
    sha = commit(root, {"services/shop/app.py": "shop\n", "other": "x\n"})
    source = GitSource(
        root / "services" / "shop", state_dir=root / "services" / "shop" / ".pilotage"
    )
    (root / "other").write_text("changed, and not ours\n")
    (root / "services" / "shop" / "app.py").write_text("changed\n")

    async def story():
        assert await source.dirty() == ("app.py",)
        folder = await source.checkout(sha)
        assert (folder / "app.py").read_text() == "shop\n"
        assert await source.checkout(sha) == folder

    asyncio.run(story())


def test_a_commit_from_before_the_project_was_there_is_told(root):
    first = git(root, "rev-parse", "HEAD")
    commit(root, {"services/shop/app.py": "shop\n"})
    source = GitSource(root / "services" / "shop", state_dir=root / ".pilotage")
    for _ in range(2):
        with pytest.raises(TargetError, match="has no folder 'services/shop/'"):
            asyncio.run(source.checkout(first))


def test_submodules_come_along(root, source, tmp_path, monkeypatch):
    repository(tmp_path / "library", {"lib.py": "lib\n"})
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    git(root, "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    git(root, "commit", "--quiet", "--message", "a library")
    folder = asyncio.run(source.checkout(git(root, "rev-parse", "HEAD")))
    assert (folder / "library" / "lib.py").read_text() == "lib\n"


def test_prepare_runs_again_when_its_command_changed(root, source):
    sha = git(root, "rev-parse", "HEAD")
    lines = []

    async def story():
        env = {"PATH": os.environ["PATH"], "NAME": "somebody"}
        for cmd in ("echo hello $NAME", "echo hello $NAME", "echo bye"):
            lines.append(await source.prepare(sha, cmd, env, output=lines.append))

    asyncio.run(story())
    assert lines == ["hello somebody", True, False, "bye", True]


PREPARER = """\
import asyncio, os, sys
from pathlib import Path
from pilotage.source import GitSource
root, sha, command = sys.argv[1:4]
source = GitSource(Path(root), state_dir=Path(root) / ".pilotage")
asyncio.run(source.prepare(sha, command, {"PATH": os.environ["PATH"]}, output=print))
"""


def test_a_preparation_whose_deployer_was_killed_is_joined(root, source):
    sha = git(root, "rev-parse", "HEAD")
    cmd = f"echo run >> {root}/runs; while [ ! -e {root}/go ]; do sleep 0.02; done; echo done"
    with command(PREPARER, root, sha, cmd) as process:
        wait_until((root / "runs").exists)
        process.kill()
        process.wait()
    lines = []

    async def story():
        again = asyncio.create_task(
            source.prepare(sha, cmd, {"PATH": os.environ["PATH"]}, output=lines.append)
        )
        await asyncio.sleep(0.1)
        (root / "go").touch()
        assert await again is True

    asyncio.run(story())
    assert (root / "runs").read_text() == "run\n"
    assert lines == ["done"]


def test_a_preparation_that_is_interrupted_is_ended(root, source):
    sha = git(root, "rev-parse", "HEAD")

    async def story():
        preparing = asyncio.create_task(
            source.prepare(sha, f"echo $$ > {root}/pid; sleep 600", {}, output=print)
        )
        await until(lambda: (root / "pid").exists() and (root / "pid").read_text().strip())
        preparing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await preparing
        assert not alive(int((root / "pid").read_text()))

    asyncio.run(story())


def test_git_that_goes_on_after_its_deployer_was_killed_keeps_others_out(root, source, tmp_path):
    sha = git(root, "rev-parse", "HEAD")
    (root / ".git" / "info" / "attributes").write_text("bin/run filter=slow\n")
    slow = f"touch {tmp_path}/reached; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; cat"
    git(root, "config", "filter.slow.smudge", slow)
    with command(PREPARER, root, sha, "true") as process:
        wait_until((tmp_path / "reached").exists)
        process.kill()
        process.wait()

    async def story():
        second = asyncio.create_task(source.checkout(sha))
        await asyncio.sleep(0.2)
        assert not second.done()
        (tmp_path / "go").touch()
        assert ((await second) / "bin" / "run").read_text() == "two\n"

    asyncio.run(story())


def test_prune_removes_all_but_what_is_kept(root, source):
    first = git(root, "rev-parse", "HEAD")
    second = commit(root, {"app.py": "two\n"})

    async def story():
        kept, gone = await source.checkout(second), await source.checkout(first)
        assert await source.prune([second]) == (first[:12],)
        assert kept.is_dir()
        assert not gone.exists()
        assert str(gone) not in git(root, "worktree", "list")
        assert (await source.checkout(first)) == gone

    asyncio.run(story())


def test_a_full_disk_is_told_and_leaves_no_half(root, source):
    sha = git(root, "rev-parse", "HEAD")
    asyncio.run(source.dirty())
    (root / ".pilotage").mkdir()
    (root / ".pilotage" / ".gitignore").touch()
    with full_disk(), pytest.raises(TargetError):
        asyncio.run(source.checkout(sha))
    folder = asyncio.run(source.checkout(sha))
    assert (folder / "app.py").read_text() == "one\n"


def test_a_lock_that_nobody_lets_go_of_names_its_holder(tmp_path):
    from pilotage.host.files import locked

    script = """\
import asyncio, sys
from pathlib import Path
from pilotage.host.files import locked

async def main():
    async with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""
    path = tmp_path / "some.lock"

    async def attempt():
        async with locked(path, wait=0.05):
            pass

    with command(script, path) as process:
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TargetError, match=f"by process {process.pid}"):
            asyncio.run(attempt())
        process.kill()
        process.wait()
        asyncio.run(attempt())


def test_importing_the_source_is_cheap():
    loaded = subprocess.run(
        (sys.executable, "-c", "import sys, pilotage.source; print(*sys.modules)"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert not {"psycopg", "httpx", "pydantic", "ruamel", "rich", "click"} & set(loaded)
