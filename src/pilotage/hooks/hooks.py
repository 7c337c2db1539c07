"""The hooks of a project: which there are, and running one."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pilotage.errors import HookFailed, PilotageError
from pilotage.events import Emit, HookEnded, HookStarted, Note, Output, ignore
from pilotage.hooks.environment import Command, environment
from pilotage.hooks.process import run_program
from pilotage.secret import Secret, mask

OWN_FOLDER = ".pilotage/hooks"
_QUOTED = 10  # lines of output in the error of a hook that failed


class Hook(StrEnum):
    """The moments at which a project's program is run: Kamal's names, and one of ours."""

    DOCKER_SETUP = "docker-setup"
    PRE_CONNECT = "pre-connect"
    PRE_BUILD = "pre-build"
    PRE_DEPLOY = "pre-deploy"
    PRE_APP_BOOT = "pre-app-boot"
    POST_APP_BOOT = "post-app-boot"
    POST_DEPLOY = "post-deploy"
    PRE_PROXY_REBOOT = "pre-proxy-reboot"
    POST_PROXY_REBOOT = "post-proxy-reboot"
    POST_FAILURE = "post-failure"


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of one command on one service.

    ``folders``: where they are looked for, the strongest first; a hook of the first hides one of the same
    name in the second. ``root``: the project's folder, where they run. ``secrets``: asked when the first
    hook runs. ``version``: the revision that the command is about, asked where the caller of `run` does
    not know better. ``shown``: whether the output of a hook is shown. ``told``: whether it is said that it
    runs. ``skip``: there are none, whatever the folders hold.
    """

    folders: tuple[Path, ...]
    root: Path
    command: Callable[[], Command]
    secrets: Callable[[], Mapping[str, Secret]]
    version: Callable[[], Awaitable[str]]
    shown: Callable[[str], bool]
    told: Callable[[str], bool]
    emit: Emit = ignore
    skip: bool = False

    def find(self, hook: str) -> Path | None:
        """The program of a hook; None when there is none, or when hooks are skipped.

        A hook does not run again in what it starts: a ``pre-connect`` may call pilotage itself.
        """
        if self.skip or os.environ.get("PILOTAGE_HOOK") == hook:
            return None
        # A symbolic link that leads nowhere is no absence: somebody wanted this hook to run.
        found = (folder / hook for folder in self.folders)
        return next((path for path in found if path.exists() or path.is_symlink()), None)

    def there(self) -> dict[str, str]:
        """The hooks that there are: name → path, as it is shown."""
        found = {hook.value: self.find(hook) for hook in Hook}
        return {name: self.shown_path(path) for name, path in found.items() if path}

    def shown_path(self, path: Path) -> str:
        """A path as a person writes it: relative to the project where it is inside."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    async def run(
        self,
        hook: str,
        *,
        version: str | None = None,
        lock: bool = False,
        details: Mapping[str, str] | None = None,
        step: bool = False,
    ) -> bool:
        """Run a hook to its end; False when there is none.

        ``version``: the revision that it is about. ``lock``: whether we hold the deploy lock.
        ``details``: further variables, without their prefix. ``step``: it is a step of a plan, which is
        told by itself.

        Raises
        ------
        HookFailed
            It cannot be run, or did not end with 0. Has its last lines.
        """
        path = self.find(hook)
        if path is None:
            return False
        try:
            await self._run(hook, path, version, lock=lock, details=details or {}, step=step)
        except HookFailed as error:
            if hook in (Hook.PRE_CONNECT, Hook.PRE_BUILD):
                error.state = "nothing was touched"
            raise
        return True

    async def _run(
        self,
        hook: str,
        path: Path,
        version: str | None,
        *,
        lock: bool,
        details: Mapping[str, str],
        step: bool,
    ) -> None:
        _require_runnable(hook, path, self.shown_path(path))
        # What failed may be that a secret is missing.
        secrets = self.secrets_known() if hook == Hook.POST_FAILURE else self.secrets()
        env = environment(
            self.command(),
            hook=hook,
            version=await self.version() if version is None else version,
            lock=lock,
            now=time.time(),
            details=details,
            secrets=secrets,
            environ=os.environ,
        )
        last: deque[str] = deque(maxlen=_QUOTED)

        def output(line: str) -> None:
            line = mask(line, secrets.values())
            last.append(line)
            if self.shown(hook):
                self.emit(Output(source=hook, line=line))

        tell = self.told(hook) and not step
        if tell:
            self.emit(HookStarted(hook=hook, path=self.shown_path(path)))
        began = time.monotonic()
        try:
            status = await run_program(
                path, cwd=self.root, env=env, output=output, terminal=os.isatty(0)
            )
        except OSError as error:
            raise _cannot_run(hook, self.shown_path(path), error.strerror or str(error)) from error
        if tell:
            self.emit(HookEnded(hook=hook, seconds=time.monotonic() - began, status=status))
        if status != 0:
            raise _failed(hook, self.shown_path(path), status, last)

    async def failed(
        self, error: PilotageError, *, version: str | None, step: str, outcome: str, runtime: float
    ) -> None:
        """Run ``post-failure``. Whatever becomes of it changes nothing: it is told as a warning.

        ``step``: of the plan, or the hook, that failed; empty where it came to none. ``outcome``:
        ``failed``, ``refused`` or ``interrupted``.
        """
        secrets = self.secrets_known()
        parts = {
            "ERROR": error.what,
            "ERROR_TYPE": type(error).__name__,
            "WHERE": error.where,
            "STATE": error.state,
            "NEXT": error.next,
            "STEP": step,
            "OUTCOME": outcome,
        }
        details = {name: mask(text, secrets.values()) for name, text in parts.items()}
        try:
            await self.run(
                Hook.POST_FAILURE,
                version=version,
                details={**details, "RUNTIME": str(round(runtime))},
            )
        except PilotageError as second:
            self.emit(Note(text=f"{second.what}", level="warning"))

    def secrets_known(self) -> Mapping[str, Secret]:
        """The secrets, where none is missing; else nothing."""
        try:
            return self.secrets()
        except PilotageError:
            return {}


def none(root: Path = Path()) -> Hooks:
    """No hooks at all: for whoever has no project."""

    async def version() -> str:
        return ""

    return Hooks(
        folders=(),
        root=root,
        command=lambda: Command("", (), (), ""),
        secrets=dict,
        version=version,
        shown=lambda _hook: False,
        told=lambda _hook: False,
    )


def _require_runnable(hook: str, path: Path, shown: str) -> None:
    if path.is_symlink() and not path.exists():
        raise _cannot_run(hook, shown, f"it is a link to {path.readlink()}, which is not there")
    if not path.is_file():
        raise _cannot_run(hook, shown, "it is no file")
    if not os.access(path, os.X_OK):
        raise HookFailed(
            f"the hook {hook} cannot be run: it is not executable",
            where=shown,
            next=f"`chmod +x {shown}`, or run the command with --skip-hooks",
        )


def _cannot_run(hook: str, shown: str, why: str) -> HookFailed:
    return HookFailed(
        f"the hook {hook} cannot be run: {why}",
        where=shown,
        next="mend it, or run the command with --skip-hooks",
    )


def _failed(hook: str, shown: str, status: int, last: deque[str]) -> HookFailed:
    how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"exited {status}"
    quoted = "\n    ".join(("", *last)) if last else " (it printed nothing)"
    return HookFailed(
        f"the hook {hook} {how}; its last output:{quoted}",
        where=shown,
        next="mend what it complains of, or run the command with --skip-hooks",
    )
