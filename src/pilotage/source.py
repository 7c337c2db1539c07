"""Where releases come from: a git repository, of which each revision is checked out by itself.

A checkout is a git *worktree* (`git worktree add --detach`), not an archive: its commit stays
reachable, so git never collects a revision that still runs or that a rollback needs; filters (line
endings, LFS) apply and ``export-ignore`` does not; and tools that ask git for their version work.
See ``docs/decisions/041-checkouts-are-worktrees.md``.

Nothing here decides: whether a dirty worktree may be deployed is the caller's to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import posixpath
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotage.errors import TargetError, UsageError
from pilotage.host.fence import unwritable
from pilotage.host.files import dump_json, ensure_state_dir, locked, read_json, write_atomic
from pilotage.host.logs import tail
from pilotage.host.preparation import Preparation

_SHORT = 12
_QUOTED = 20
_CHECKOUT_WAIT = (
    600.0  # another command may be preparing the same checkout: that is minutes, not ms
)

# What a hook, or a shell inside another repository, would otherwise make git look at.
_NOT_OURS = frozenset(
    {
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_PREFIX",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
    }
)


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit. ``ref``: what it was asked by, or the branch (or ``HEAD``) it was found at.

    ``dirty``: the paths that differ from ``HEAD`` now, untracked ones included; when the revision is
    ``HEAD``, what is deployed is not what is on the screen.
    """

    sha: str
    ref: str
    dirty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GitSource:
    """The repository that holds ``root``, the project's folder (not always the repository's top)."""

    root: Path
    state_dir: Path

    @property
    def releases(self) -> Path:
        """Where the checkouts are."""
        return self.state_dir / "releases"

    async def resolve(self, revision: str | None) -> Revision:
        """The commit that ``revision`` (None: ``HEAD``) names.

        Raises
        ------
        UsageError
            No such revision, no commit yet, no repository, or no git.
        """
        wanted = "HEAD" if revision is None else revision
        await self._prefix()
        status, out, _ = await self._git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}"
        )
        if status != 0:
            if revision is None:
                raise UsageError(
                    "the repository has no commit yet",
                    where=str(self.root),
                    next="commit the application; a release is a commit",
                )
            raise UsageError(
                f"{revision!r} is not a commit, a branch or a tag of this repository",
                where=str(self.root),
                next="`git log --oneline` shows the commits; `git fetch` gets those of others",
            )
        ref = wanted
        if revision is None:
            status, name, _ = await self._git("symbolic-ref", "--quiet", "--short", "HEAD")
            ref = name.strip() if status == 0 else "HEAD"
        return Revision(sha=out.strip(), ref=ref, dirty=await self.dirty())

    async def dirty(self) -> tuple[str, ...]:
        """The paths below ``root`` that differ from ``HEAD``, untracked ones too; ours are left out.

        Raises
        ------
        UsageError
            No repository, or no git.
        """
        top, prefix = await self._prefix()
        out = await self._must(
            "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", "."
        )
        state_dir = self.state_dir.resolve()
        ours = str(state_dir.relative_to(top)) if state_dir.is_relative_to(top) else None
        paths = (entry[3:] for entry in out.split("\0") if entry)
        return tuple(
            path.removeprefix(prefix)
            for path in paths
            if ours is None or (path != ours and not path.startswith(f"{ours}/"))
        )

    async def checkout(self, sha: str) -> Path:
        """The project's folder in a checkout of its own. Idempotent, whole or not at all.

        Raises
        ------
        UsageError
            No repository, or no git.
        TargetError
            The commit cannot be checked out.
        """
        folder = self._folder(sha)
        marker = self._read_marker(sha)
        if marker is None or not folder.is_dir():
            _, prefix = await self._prefix()
            async with self._locked(sha) as lock:
                if self._read_marker(sha) is None or not folder.is_dir():
                    await self._add(sha, folder, lock)
                    self._write_marker(sha, {"sha": sha, "prefix": prefix, "prepared": None})
        else:
            prefix = str(marker["prefix"])
        if not (folder / prefix).is_dir():
            raise TargetError(
                f"the commit {sha[:_SHORT]} has no folder {prefix!r}",
                where=str(self.root),
                next="deploy a commit in which the project is where it is now",
            )
        return folder / prefix

    def has_checkout(self, sha: str) -> bool:
        """Whether `checkout` would find it there."""
        return self._read_marker(sha) is not None and self._folder(sha).is_dir()

    async def read_folder(self, sha: str, folder: str) -> dict[str, bytes] | None:
        """The files of a folder (relative to `root`) as a commit has them, by name, without those
        below it; None when the commit has no such folder. Nothing is written.

        Raises
        ------
        UsageError
            No repository, or no git.
        TargetError
            The commit cannot be read.
        """
        _, prefix = await self._prefix()
        tree = f"{sha}:{posixpath.normpath(prefix + folder)}"
        _, kind, _ = await self._git("cat-file", "-t", tree)
        if kind.strip() != "tree":
            await self._must("rev-parse", "--verify", "--quiet", f"{sha}^{{commit}}")
            return None
        return await self._blobs(await self._tree(tree))

    async def matching(self, sha: str | None, matches: Callable[[str], bool]) -> dict[str, bytes]:
        """The files of a commit whose path (relative to `root`) matches, by path. Nothing is written.

        ``sha`` None: those of the worktree as it is, untracked ones too, ignored ones not.

        Raises
        ------
        UsageError
            No repository, or no git.
        TargetError
            The commit cannot be read.
        """
        _, prefix = await self._prefix()
        if sha is None:
            listed = await self._must("ls-files", "-z", "-co", "--exclude-standard", "--", ".")
            paths = sorted({path for path in listed.split("\0") if path and matches(path)})
            there = ((path, self.root / path) for path in paths)
            return {path: file.read_bytes() for path, file in there if file.is_file()}
        tree = f"{sha}:{posixpath.normpath(prefix)}" if prefix else sha
        blobs = await self._tree("-r", tree)
        return await self._blobs({path: blob for path, blob in blobs.items() if matches(path)})

    async def _tree(self, *arguments: str) -> dict[str, str]:
        """The blobs that ``git ls-tree`` lists: by path, their ids."""
        listed = await self._must("ls-tree", "--full-tree", "-z", *arguments)
        entries = (entry.partition("\t") for entry in listed.split("\0"))
        return {path: about.split()[2] for about, _, path in entries if " blob " in about}

    async def _blobs(self, blobs: Mapping[str, str]) -> dict[str, bytes]:
        """What blobs hold: by name, as they are given."""
        asked = "".join(f"{blob}\n" for blob in blobs.values()).encode()
        rest = os.fsencode(await self._must("cat-file", "--batch", input=asked))
        files = {}
        for name in blobs:
            about, _, rest = rest.partition(b"\n")
            size = int(about.split()[2])
            files[name], rest = rest[:size], rest[size + 1 :]
        return files

    async def _add(self, sha: str, folder: Path, lock: int) -> None:
        """Add the worktree; what an earlier attempt left half-done is removed first.

        Git inherits the lock: when we are killed, it may go on, and nobody must come between.
        """
        await self._discard(sha)
        quiet = (
            "-c",
            f"core.hooksPath={os.devnull}",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "gc.auto=0",
        )
        try:
            # Twice --force: a worktree whose `add` was killed is missing *and locked*.
            await self._worktree(
                *("add", "--detach", "--force", "--force", "--quiet", str(folder), sha),
                options=quiet,
                inherit=lock,
            )
            if (folder / ".gitmodules").is_file():
                await self._must(
                    *(*quiet, "-C", str(folder)),
                    *("submodule", "--quiet", "update", "--init", "--recursive"),
                    inherit=(lock,),
                )
        except BaseException:
            with contextlib.suppress(OSError, TargetError):
                await asyncio.shield(self._discard(sha))
            raise

    async def prepare(
        self,
        sha: str,
        command: str,
        env: Mapping[str, str],
        *,
        output: Callable[[str], None],
    ) -> bool:
        """Run ``command`` (a line for ``sh``) once in a checkout; False when it was run before.

        ``env`` is the whole environment. The command runs again when it changed, or when it failed. One
        that a killed deployer left running is joined, not started beside.

        Raises
        ------
        TargetError
            It failed; has its last lines of output.
        """
        folder = await self.checkout(sha)
        digest = hashlib.sha256(command.encode()).hexdigest()
        if (self._read_marker(sha) or {}).get("prepared") == digest:
            return False
        preparation = Preparation(self.state_dir, sha[:_SHORT])
        async with self._locked(sha):
            marker = self._read_marker(sha) or {}
            if marker.get("prepared") == digest:
                return False
            status = await preparation.run(command, digest, cwd=folder, env=env, output=output)
            if status != 0:
                last = tail(preparation.log, _QUOTED)
                quoted = "\n    ".join(("", *last)) if last else " (it printed nothing)"
                raise TargetError(
                    f"`{command}` exited {status}; its last output:{quoted}",
                    where=str(folder),
                    state="nothing was started; the checkout stays, and is prepared again next time",
                    next=f"try it by hand: `cd {folder}`",
                )
            self._write_marker(sha, {**marker, "prepared": digest})
        return True

    async def prune(self, keep: Iterable[str]) -> tuple[str, ...]:
        """Remove the checkouts of all commits but those in ``keep``; returns what was removed."""
        kept = {sha[:_SHORT] for sha in keep}
        removed = []
        for marker in sorted(self.releases.glob("*.json")) if self.releases.is_dir() else ():
            if marker.stem not in kept and not marker.name.startswith("."):
                async with self._locked(marker.stem):
                    await self._discard(marker.stem)
                removed.append(marker.stem)
        return tuple(removed)

    # -- markers and locks -------------------------------------------------------------------

    def _folder(self, sha: str) -> Path:
        return self.releases / sha[:_SHORT]

    def _marker(self, sha: str) -> Path:
        """Beside the checkout, not in it: what is in it is the commit's."""
        return self.releases / f"{sha[:_SHORT]}.json"

    def _read_marker(self, sha: str) -> dict[str, Any] | None:
        try:
            marker = read_json(self._marker(sha))
        except (OSError, ValueError):
            return None
        return marker if marker and isinstance(marker.get("prefix"), str) else None

    def _write_marker(self, sha: str, marker: dict[str, Any]) -> None:
        try:
            write_atomic(self._marker(sha), dump_json(marker))
        except OSError as error:
            raise unwritable(self._marker(sha), error) from error

    @contextlib.asynccontextmanager
    async def _locked(self, sha: str) -> AsyncIterator[int]:
        try:
            ensure_state_dir(self.state_dir)
            self.releases.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise unwritable(self.releases, error) from error
        async with locked(self.releases / f"{sha[:_SHORT]}.lock", wait=_CHECKOUT_WAIT) as lock:
            yield lock

    async def _discard(self, sha: str) -> None:
        """Remove a checkout, whole or half: the marker first, so that it never stands for a half."""
        folder = self._folder(sha)
        try:
            for suffix in (".json", ".preparing", ".status"):
                self._marker(sha).with_suffix(suffix).unlink(missing_ok=True)
            if folder.exists():
                await asyncio.to_thread(shutil.rmtree, folder)
        except OSError as error:
            raise unwritable(folder, error) from error
        await self._worktree("prune")

    # -- git ---------------------------------------------------------------------------------

    async def _worktree(
        self, *arguments: str, options: Sequence[str] = (), inherit: int | None = None
    ) -> None:
        """``git worktree``, one of them at a time in a repository: each reads what all others have
        written, and fails on what is half written."""
        out = await self._must("rev-parse", "--path-format=absolute", "--git-common-dir")
        path = Path(out.rstrip("\n")) / "pilotage.lock"
        try:
            async with locked(path, wait=_CHECKOUT_WAIT) as turn:
                held = (turn,) if inherit is None else (inherit, turn)
                await self._must(*options, "worktree", *arguments, inherit=held)
        except OSError as error:
            raise unwritable(path, error) from error

    async def _prefix(self) -> tuple[Path, str]:
        """The top of the repository, and the path from there to ``root`` (empty, or with a slash)."""
        status, out, words = await self._git("rev-parse", "--show-toplevel", "--show-prefix")
        if status != 0:
            raise UsageError(
                f"not a git repository that can be read: {words or 'git gave no reason'}",
                where=str(self.root),
                next="`git init` and commit the application; a release is a commit",
            )
        top, _, prefix = out.partition("\n")
        return Path(top), prefix.rstrip("\n")

    async def _must(
        self, *arguments: str, inherit: tuple[int, ...] = (), input: bytes | None = None
    ) -> str:
        status, out, words = await self._git(*arguments, inherit=inherit, input=input)
        if status != 0:
            verbs = ("worktree", "submodule", "cat-file", "ls-tree", "ls-files", "rev-parse")
            verb = next((word for word in arguments if word in verbs), "status")
            raise TargetError(
                f"`git {verb}` failed: {words or f'exit status {status}'}", where=str(self.root)
            )
        return out

    async def _git(
        self, *arguments: str, inherit: tuple[int, ...] = (), input: bytes | None = None
    ) -> tuple[int, str, str]:
        """Exit status, standard output, and git's own last words."""
        env = {key: value for key, value in os.environ.items() if key not in _NOT_OURS}
        env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *arguments,
                cwd=self.root,
                env=env,
                pass_fds=inherit,
                stdin=asyncio.subprocess.DEVNULL if input is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as missing:
            what = "git is not installed" if self.root.is_dir() else "there is no such folder"
            raise UsageError(
                what, where=str(self.root), next="a release is a git commit"
            ) from missing
        try:
            out, err = await process.communicate(input)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, os.fsdecode(out), os.fsdecode(err).strip()
