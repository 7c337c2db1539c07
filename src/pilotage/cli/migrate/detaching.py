"""What the commands on detached runs share: beginning one, finding it, following it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from pilotage.cli.migrate.acting import database
from pilotage.cli.options import Settings
from pilotage.config import Config
from pilotage.detached import Runs, begin, job, require_same, runs_of, see_its_end
from pilotage.errors import HalfFailed, UsageError
from pilotage.events import Emit, Note, Output
from pilotage.model import HalfRef, Instance, release_id
from pilotage.observe import observe
from pilotage.performer import performer
from pilotage.secret import Secret
from pilotage.wiring import Project
from pilotage.wiring.goals import load, migrations_of

WAIT_SECONDS = 600.0
"""How long a detached run waits for another deployer, where nobody says: nobody sits there to try again."""

_ITS_OWN = ("PILOTAGE_", "PGAPPNAME", "PWD", "OLDPWD", "SHLVL", "TERM", "COLUMNS", "LINES", "_")
"""Variables of whoever begins a run that mean nothing, or something else, in it."""


async def runs(project: Project, ref: HalfRef) -> Runs:
    """What the target knows of runs of this half."""
    view = await project.world.target.observe()
    return runs_of(view.instances, project.service, ref)


def is_this(run: Instance) -> bool:
    """Whether it is ourselves: the command in the instance is ``migrate run`` as well."""
    return os.environ.get("PILOTAGE_INSTANCE") == run.id


def image_for(config: Config, ref: HalfRef) -> str | None:
    """The image that a detached run gets on a Docker host; None on the local target, which needs none.

    Raises
    ------
    UsageError
        There is none, or it is no half for one; says what goes on without a terminal there.
    """
    if config.target == "local":
        return None
    from pilotage.wiring.detached import require_runnable

    return require_runnable(config, ref, instead=f"pilotage migrate run {short(ref)}")


async def detach(
    project: Project,
    settings: Settings,
    ref: HalfRef,
    *,
    revision: str | None,
    wait: float,
    reason: str,
    image: str | None,
) -> tuple[Instance | None, bool]:
    """Begin a run; the one that goes on, and whether it is a new one. None: the half is applied already.

    ``image``: see `image_for`.

    Raises
    ------
    UsageError
        The file is not committed as it is, or has no such half.
    Refused
        One runs already that has the half from another file.
    """
    database(project)
    observed = await observe(project.world)
    if observed.schema.applied.has(ref):
        return None, False
    commit = await project.revision(revision, dirty=True)
    release = release_id(commit.sha)
    checksum = await _committed(project, ref, commit.sha, asked=revision is not None)
    found = runs_of(observed.instances, project.service, ref)
    if found.alive:
        require_same(found.alive, ref, checksum, where=release)
        return found.alive, False
    options = (
        *("--lock-wait", f"{wait or WAIT_SECONDS:g}"),
        *("--reason", reason or f"detached run of {ref}"),
    )
    host = project.host
    if image is not None:
        from pilotage.wiring.detached import host_of

        host = host_of(project.config, host)
    instance = found.next(
        role=project.config.primary,
        host=host,
        release=release,
        checksum=checksum,
        by=performer(project.config.root),
    )
    if image is None:
        command = _command(project, settings, ref, commit.sha, options)
        folder = os.getcwd()  # noqa: PTH109 (what the shell says, links and all)
        await begin(
            project.world.target,
            job(instance, commit.sha, command, folder=folder, env=_environment(project)),
        )
    else:
        await _on_host(project, instance, ref, commit.sha, image=image, options=options)
    begun = (await runs(project, ref)).known
    # Whoever was faster by a moment has given it the name that we would have.
    made = next((run for run in begun if run.id == instance.id), instance)
    require_same(made, ref, checksum, where=release)
    return made, True


def _command(
    project: Project, settings: Settings, ref: HalfRef, sha: str, options: tuple[str, ...]
) -> tuple[str, ...]:
    """The run itself, on the local target."""
    return (
        *(sys.executable, "-P", "-m", "pilotage"),
        *("migrate", "run", str(ref), "--version", sha, *options),
        *("--config-file", str(project.config.path)),
        *(("--destination", settings.destination) if settings.destination else ()),
    )


async def _on_host(
    project: Project,
    instance: Instance,
    ref: HalfRef,
    sha: str,
    *,
    image: str,
    options: tuple[str, ...],
) -> None:
    """Begin one in a container on a Docker host."""
    from pilotage.wiring.detached import have_image, host_run

    made = await host_run(project, instance, ref, sha, image=image, options=options)
    await have_image(project.config, made.shell, image, project.emit)
    await begin(project.world.target, made.job, gate=made.hand_over)


async def _committed(project: Project, ref: HalfRef, sha: str, *, asked: bool) -> str:
    """The half's checksum in a commit. Refuse a file that it does not have, or not as it is in the worktree."""
    migration = (await migrations_of(project, sha)).get(ref.version)
    here = None if asked else load(project, project.config.root).get(ref.version)
    if migration is None or migration.section(ref.half) is None:
        if here is not None and here.section(ref.half) is not None:
            raise _not_committed(ref, str(here.path), "is not")
        raise UsageError(
            f"there is no {ref.half} half of {ref.version} in {release_id(sha)}",
            state="nothing was begun",
            next="see `pilotage migrate status`",
        )
    checksum = migration.checksum(ref.half)
    if here is not None and here.checksum(ref.half) != checksum:
        raise _not_committed(ref, str(here.path), "is not as it is here")
    return checksum


def _not_committed(ref: HalfRef, path: str, what: str) -> UsageError:
    return UsageError(
        f"a detached run takes the file of a commit, and {ref.version} {what} in HEAD",
        where=path,
        state="nothing was begun",
        next="commit it; or run it here: `pilotage migrate run "
        f"{ref.version}{'/contract' if ref.half == 'contract' else ''}`",
    )


def _environment(project: Project) -> dict[str, str | Secret]:
    """Our own variables: the configuration may take secrets from them. On record they never are."""
    secret = {value.reveal() for value in project.config.secrets.values()}
    return {
        name: Secret(value) if value in secret else value
        for name, value in os.environ.items()
        if not name.startswith(_ITS_OWN)
    }


async def join(project: Project, run: Instance, ref: HalfRef, emit: Emit) -> None:
    """Follow a run to its end.

    Raises
    ------
    HalfFailed
        It failed; all that it said was told before.
    """
    emit(Note(text=f"{ref} runs in {run.id}: following it"))
    code = await follow(project, run, lambda line: emit(Output(source=run.id, line=line)))
    if code:
        raise HalfFailed(
            f"{run.id} ended with status {code}",
            where=f"{run.id} on {run.host}",
            state=f"see `pilotage migrate status` for how much of {ref} is applied",
            next=f"`pilotage logs {run.id}` has all that it said; `pilotage migrate run` again goes on",
        )


async def follow(project: Project, run: Instance, output: Callable[[str], None]) -> int:
    """Give what it says to ``output``; its exit status."""
    return await see_its_end(project.world.target, run, output)


def short(ref: HalfRef) -> str:
    """A half as a person names it."""
    return ref.version if ref.half == "expand" else str(ref)
