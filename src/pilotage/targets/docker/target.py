"""The target itself: `pilotage.targets.base.Target` over the Docker hosts of a service.

What a container is, is said by `pilotage.targets.docker.containers`; what is done on one host, by
`pilotage.targets.docker.host`; how a command is run once, by `pilotage.targets.docker.jobs`. Nothing is
kept but on the hosts: what is remembered here of containers saves questions, and is asked anew where it does
not hold.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from pilotage.docker.names import network_alias
from pilotage.errors import HostError, TargetError, Unhealthy, UsageError
from pilotage.events import Emit
from pilotage.model import Host, Instance
from pilotage.secret import Secret
from pilotage.shell.base import Shell
from pilotage.shell.everywhere import everywhere
from pilotage.shell.fenced import Command, Lock, Part, Ran, Then
from pilotage.shell.lines import Lines
from pilotage.targets.base import SOON, Gate, Job, OnOutput, OnWritten, TargetView
from pilotage.targets.docker import assets, commands, names
from pilotage.targets.docker.bridge import bridge_assets
from pilotage.targets.docker.checks import Check
from pilotage.targets.docker.containers import Container
from pilotage.targets.docker.document import DockerDocument
from pilotage.targets.docker.environment import container_environment, given
from pilotage.targets.docker.host import DockerHost
from pilotage.targets.docker.jobs import JobRun, attached, follow
from pilotage.targets.docker.question import ask, newest_revision
from pilotage.targets.docker.sight import Sight
from pilotage.targets.docker.spec import DockerRole, DockerService
from pilotage.targets.docker.starting import Made, Start
from pilotage.targets.shared.environment import Environment

PRUNE_LIMIT = 600.0
"""Seconds in which a host removes what is old; a large image takes many."""

QUOTED = 10
"""How many of its last lines are quoted when an instance fails."""


class Images(Protocol):
    """Where the images of releases come from."""

    def reference(self, revision: str) -> str:
        """The image of a revision, as Docker takes it."""
        ...

    async def fetch(self, revision: str, shell: Shell, *, kept: bool = False) -> None:
        """Have it on a host. Idempotent. ``kept``: one that is there is taken as it is.

        Raises
        ------
        TargetError
            It cannot be had; nothing was changed.
        """
        ...

    def prune(self, keep: Collection[str]) -> Command:
        """Removes those of all other revisions that nothing uses, from a host; it writes a word for each."""
        ...


@dataclass(frozen=True, slots=True)
class DockerTarget:
    """Containers on Docker hosts. ``shells``: one for each host of the service, by its name.

    ``secrets``: further ones to be masked, beside those of the environments. ``silent``: hosts that did not
    answer and need not, with why: they are not asked again, and what runs there stays unknown. ``at``: hosts
    that a release is fetched on; None: on all.
    """

    service: DockerService
    shells: Mapping[str, Shell]
    images: Images
    emit: Emit
    secrets: frozenset[Secret] = frozenset()
    silent: Mapping[str, HostError] = field(default_factory=dict)
    at: Collection[str] | None = None
    _known: dict[str, tuple[Container, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _seen: dict[str, Sight] = field(default_factory=dict, init=False, repr=False, compare=False)
    _fetching: dict[str, asyncio.Task[None]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _document: list[DockerDocument] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    # -- what is -----------------------------------------------------------------------------

    @property
    def state(self) -> DockerDocument:
        """``state.json`` on the primary host."""
        if not self._document:
            primary = self.shells[self.service.hosts[0]]
            self._document.append(DockerDocument(primary, self.service.state_dir))
        return self._document[0]

    async def highest(self) -> int:
        """What the fences of the hosts that answer say, or said when they were looked at just before.

        A token above an older answer may be too low: a host then refuses it, as it does any that was overtaken.
        """
        seen = self._seen.values() or await self._look_everywhere()
        return max((sight.fence for sight in seen if isinstance(sight, Sight)), default=0)

    async def observe(self, *, token: int | None = None) -> TargetView:
        """Ask every host for its containers, all at once."""
        hosts: list[Host] = []
        instances: list[Instance] = []
        for name, seen in zip(
            self.service.hosts, await self._look_everywhere(token=token), strict=True
        ):
            if isinstance(seen, TargetError):
                # What cannot be asked may be running: that is not 'nothing runs', it is 'unknown'.
                hosts.append(Host(name, reachable=False, detail=seen.what))
                continue
            hosts.append(Host(name))
            self._seen[name] = seen
            for instance in seen.instances():
                self._known[instance.id] = seen.of(instance.id)
                instances.append(instance)
        return TargetView(hosts=tuple(hosts), instances=tuple(instances))

    async def _look_everywhere(self, *, token: int | None = None) -> list[Sight | TargetError]:
        async def one(name: str) -> Sight | TargetError:
            if name in self.silent:
                return self.silent[name]
            try:
                return await self._host(name).look(token=token)
            except TargetError as error:
                return error

        found = await asyncio.gather(
            *(one(name) for name in self.service.hosts), return_exceptions=True
        )
        for lost in found:
            if isinstance(lost, BaseException) and not isinstance(lost, TargetError):
                raise lost
        return [each for each in found if isinstance(each, Sight | TargetError)]

    # -- releases ----------------------------------------------------------------------------

    async def fetch(self, revision: str) -> None:
        """Have the release's image, and the network, on every host where it may run, all at once.

        Whoever asks while that is under way, or after it, waits for the same. Where it fails, every host on which
        it does is named with its own reason.
        """
        self.fetch_ahead(revision)
        try:
            await asyncio.shield(self._fetching[revision])
        except TargetError:
            self._fetching.pop(revision, None)  # the next one tries again
            raise

    def fetch_ahead(self, revision: str, *, kept: bool = False) -> None:
        """Begin what `fetch` waits for. ``kept``: a host that has the image is not asked to pull it again."""
        if revision not in self._fetching:
            self._fetching[revision] = asyncio.create_task(self._fetch(revision, kept=kept))

    async def _fetch(self, revision: str, *, kept: bool) -> None:
        async def one(name: str) -> None:
            host = self._host(name)
            # What is wrong with Docker itself is told first: nothing can be pulled then, either.
            fetching = asyncio.ensure_future(self.images.fetch(revision, host.shell, kept=kept))
            try:
                await host.prepare()
                await fetching
            finally:
                fetching.cancel()
                await asyncio.gather(fetching, return_exceptions=True)

        hosts = self.service.hosts if self.at is None else self.at
        fetched = {name: one(name) for name in hosts}
        await everywhere(fetched, failed=f"{self.images.reference(revision)} could not be had")

    async def close(self) -> None:
        """Let go of what nobody waits for any more."""
        for fetching in self._fetching.values():
            fetching.cancel()
        await asyncio.gather(*self._fetching.values(), return_exceptions=True)

    # -- instances ---------------------------------------------------------------------------

    async def start(self, instance: Instance, revision: str, *, token: int, gate: Gate) -> Instance:
        """Create its container, await the gate, start it."""
        role = self._role(instance)
        return await self._start(instance, role, revision, token=token, gate=gate)

    async def _start(
        self, instance: Instance, role: DockerRole, revision: str, *, token: int, gate: Gate
    ) -> Instance:
        host = self._host(instance.host)
        name = names.container_name(self.service, instance, revision)
        if role.assets is not None:
            image = self.images.reference(revision)
            await bridge_assets(host, role, instance.role, revision, image=image, token=token)
            role = assets.mounted(self.service, role, instance.role, revision)
        create = self._create(instance, role, name=name, revision=revision, token=token)
        begun = Start(host, instance, name, create, token)
        found = await begun.record(again=True)
        if isinstance(found, Made):
            made = found
            try:
                await gate()
                found = await begun.launch(made)
            except BaseException:
                await asyncio.shield(begun.take_back(made))
                raise
        self._known[instance.id] = (found,)
        sight = Sight(self.service, host.name, (found,), token, found.created)
        return next(iter(sight.instances()), instance)

    async def check(self, instance: Instance, *, limit: float | None = None) -> float:
        """Ask until it is healthy, hopeless, or the limit is reached."""
        return await self._wait(instance, limit)

    async def _wait(
        self, instance: Instance, limit: float | None = None, *, quiet: float = 0.0
    ) -> float:
        role, host = self._role(instance), self._host(instance.host)
        known = self._known.get(instance.id)
        if known is None:
            known = (await host.look()).of(instance.id)
        check = Check(host, role, known[0] if known else None)
        seconds, why = await check.wait(limit, quiet=quiet)
        if not why:
            return seconds
        lines = await self._printed(host, check.container, QUOTED) if check.container else ()
        quoted = "\n    ".join(("", *lines)) if lines else " (it printed nothing)"
        raise Unhealthy(
            f"{host.masked(why)}; its last output:{quoted}",
            where=f"{instance.id} on {host.name}",
            next=f"`pilotage logs {instance.id}` shows all of it",
        )

    async def boot(
        self,
        instance: Instance,
        revision: str,
        *,
        limit: float,
        token: int,
        gate: Gate,
        output: OnOutput,
    ) -> Instance:
        """Start it without Docker's restarts, which it gets once it is healthy."""
        role, host = self._role(instance), self._host(instance.host)
        started = await self._start(instance, _once(role), revision, token=token, gate=gate)
        (container,) = self._known[instance.id]
        printed = asyncio.create_task(self._tell(host, container, output))
        try:
            await self._wait(started, quiet=limit)
        finally:
            printed.cancel()
            await asyncio.gather(printed, return_exceptions=True)
        again = Command(commands.restart_always(self.service, role, container.id))
        if (await host.run((again,), token=token)).finished:
            return started
        # podman before 5.1 cannot. What had to be run once has been: an ordinary one takes its place.
        await self.stop(started, token=token)
        return await self.start(instance, revision, token=token, gate=gate)

    async def _tell(self, host: DockerHost, container: Container, output: OnOutput) -> None:
        """What it prints, once it takes longer than usual."""
        await asyncio.sleep(SOON)
        await follow(host, container.id, lambda line: output(host.masked(line)))

    async def stop(self, instance: Instance, *, token: int) -> bool:
        """End it; its container is kept for its log, under another name."""
        host = self._host(instance.host)
        role = self.service.roles.get(instance.role)
        grace = role.stop_timeout if role else DockerRole().stop_timeout
        known = self._known.pop(instance.id, None)
        if known is None:
            known = (await host.look(token=token)).of(instance.id)
        killed = []
        for container in known:
            killed.append(await host.end(container, grace=grace, token=token))
            if sight := self._seen.get(host.name):
                self._seen[host.name] = sight.after_end(container)
        return any(killed)

    async def run_once(self, job: Job, *, token: int | None, gate: Gate, output: OnOutput) -> int:
        """Run, join or remember one command; see `pilotage.targets.base.Target.run_once`."""
        role, host = self._role(job.instance), self._host(job.instance.host)
        if job.image is None:
            role = replace(role, env={**role.environment(host.name), **job.env}, host_env={})
        else:
            role, job = role.tool(job.argv[0], job.env), replace(job, argv=job.argv[1:])
        secrets = {value for value in job.env.values() if isinstance(value, Secret)}
        host = replace(host, secrets=frozenset((*host.secrets, *secrets)))
        create = self._create(
            job.instance,
            role,
            name=names.job_name(job.instance),
            revision=job.revision,
            token=token,
            job=job,
        )
        return await JobRun(host, role, job, create, output).run(token=token, gate=gate)

    async def enter(
        self,
        instance: Instance,
        argv: tuple[str, ...],
        *,
        env: Mapping[str, str],
        terminal: bool,
        written: OnWritten | None,
    ) -> int:
        """Run a command in the container of an instance that runs; its exit status. It dies with the instance.

        ``env``: variables more. ``terminal``, ``written``: as those of a `Job` that is interactive.

        Raises
        ------
        TargetError
            The instance does not run.
        UsageError
            A variable holds a secret: it would stand in the list of the host's processes.
        """
        host = self._host(instance.host)
        ways = given(env, self._secrets())
        if ways.exported or ways.lines:
            raise UsageError(
                "a variable of this command holds a secret, which others on the host could read then",
                state="nothing was run",
                next="leave --reuse out: a container of its own is given it in secret",
            )
        known = (await host.look()).of(instance.id)
        if not known or not known[0].runs:
            raise TargetError(
                "it does not run, so nothing can be run in it",
                where=f"{instance.id} on {host.name}",
                next="`pilotage status` shows what runs; without --reuse the command gets a container of its own",
            )
        line = commands.enter(
            self.service,
            known[0].id,
            argv,
            environment=ways.words,
            interactive=written is None,
            terminal=terminal,
        )
        began = time.monotonic()
        status = await attached(host, line, written)
        host.ran(line, time.monotonic() - began, status)
        return status

    def _create(
        self,
        instance: Instance,
        role: DockerRole,
        *,
        name: str,
        revision: str,
        token: int | None,
        job: Job | None = None,
    ) -> Command:
        """The command that creates the container of an instance, or of a job."""
        env = container_environment(
            instance, role.environment(instance.host), name=name, revision=revision
        )
        ways = given(env, self._secrets())
        with_this = {
            "image": (job and job.image) or self.images.reference(revision),
            "name": name,
            "hostname": names.hostname(instance.host, instance.id),
        }
        labels = names.labels(self.service, instance, revision=revision, token=token)
        if job is None:
            argv = commands.create(
                self.service,
                role,
                alias=network_alias(instance.id),
                environment=ways.words,
                labels=labels,
                **with_this,
            )
        else:
            if job.timeout is not None:
                labels[names.TIMEOUT] = f"{job.timeout:g}"
            argv = commands.create_job(
                self.service,
                role,
                environment=ways.words,
                labels=labels,
                argv=job.argv,
                interactive=job.interactive and job.written is None,
                terminal=job.terminal,
                **with_this,
            )
        return Command(argv, env=ways.exported, lines=ways.lines)

    async def ask(
        self, role: str, line: str, env: Environment, *, otherwise: str, limit: float
    ) -> Ran:
        """What a line for ``sh`` prints on the primary host, with the environment of a role.

        It is run in the image of the release that came last there; before the first, in that of the
        revision ``otherwise``. ``limit``: seconds.

        Raises
        ------
        TargetError
            The image cannot be had, the host does not answer, or it took longer.
        """
        host = self._host(self.service.hosts[0])
        revision = await newest_revision(host)
        if revision is None:
            revision = otherwise
            await asyncio.gather(self.images.fetch(revision, host.shell), host.ensure_network())
        image = self.images.reference(revision)
        return await ask(host, self.service.roles[role], line, env, image=image, limit=limit)

    # -- logs --------------------------------------------------------------------------------

    async def last_lines(
        self, id: str, *, lines: int | None = QUOTED, since: str | None = None
    ) -> tuple[str, ...]:
        """The last lines that an instance printed, also after it was stopped; secrets are masked."""
        found = await self._with_logs(id)
        return await self._printed(*found, lines, since=since) if found else ()

    async def follow(
        self, id: str, output: OnOutput, *, lines: int | None = None, since: str | None = None
    ) -> None:
        """Give the lines of an instance to ``output`` until it ends; the last ``lines`` of those that
        are there already, None for all. Secrets are masked."""
        found = await self._with_logs(id)
        if found:
            host, container = found
            await follow(
                host,
                container.id,
                lambda line: output(host.masked(line)),
                lines=lines,
                since=since,
            )

    async def _with_logs(self, id: str) -> tuple[DockerHost, Container] | None:
        """The container of an instance that has its log, and where it is."""
        for name, seen in zip(self.service.hosts, await self._look_everywhere(), strict=True):
            if isinstance(seen, Sight) and (container := seen.with_log(id)):
                return self._host(name), container
        return None

    async def _printed(
        self,
        host: DockerHost,
        container: Container,
        lines: int | None,
        *,
        since: str | None = None,
    ) -> tuple[str, ...]:
        said: list[str] = []
        reader = Lines(said.append)
        argv = commands.logs(self.service, container.id, lines=lines, since=since)
        try:
            await host.shell.stream(argv, lambda _stream, block: reader.feed(block))
        except HostError:
            return ()
        reader.close()
        kept = said if lines is None else said[-lines:] if lines else []
        return tuple(host.masked(line) for line in kept)

    # -- tidying up --------------------------------------------------------------------------

    async def seen(self) -> TargetView:
        """As `observe` saw it last, but for what was ended here since; it looks where it never did."""
        if self._seen.keys() != set(self._asked):
            return await self.observe()
        instances = (i for sight in self._seen.values() for i in sight.instances())
        return TargetView(tuple(map(Host, self._seen)), tuple(instances))

    async def prune(
        self,
        keep: Collection[str],
        *,
        token: int,
        retain: int,
        hosts: Collection[str] | None = None,
    ) -> tuple[int, int]:
        """Remove what is old, on every host that is not silent, or on ``hosts``; how many containers and images
        those were.

        Stopped containers but the newest ``retain`` of each role, which stay for their logs; of those that were seen (`seen`):
        one that ended later is left to the next time. Then the assets and images of revisions that are not in ``keep``.

        Raises
        ------
        LeaseLost
            A host has seen a higher token.
        TargetError
            A host could not say which images it has.
        """

        async def one(name: str) -> tuple[int, int]:
            host = self._host(name)
            sight = self._seen.get(name) or await host.look(token=token)
            surplus = tuple(container.id for container in sight.surplus(retain))
            ran = await host.run(self._prune(surplus, keep), token=token, limit=PRUNE_LIMIT)
            if not ran.finished:
                raise host.failed(ran, state="what is old may be left")
            if name in self._seen:
                self._seen[name] = self._seen[name].without(surplus)
            return len(surplus), len(ran.last.out.split())

        done = await asyncio.gather(*map(one, self._asked if hosts is None else hosts))
        return sum(containers for containers, _ in done), sum(images for _, images in done)

    def _prune(self, containers: Collection[str], keep: Collection[str]) -> list[Part]:
        parts: list[Part] = []
        if containers:
            parts.append(Command(commands.remove(self.service, *containers), then=Then.ALWAYS))
        if any(role.assets is not None for role in self.service.roles.values()):
            parts.append(Command(assets.prune(self.service, keep), then=Then.ALWAYS))
        # Images may be large, and the next deploy does not have to wait for the fence meanwhile.
        return [*parts, Lock.LET_GO, self.images.prune(keep)]

    # -- small things ------------------------------------------------------------------------

    @property
    def _asked(self) -> tuple[str, ...]:
        return tuple(name for name in self.service.hosts if name not in self.silent)

    def _host(self, name: str) -> DockerHost:
        try:
            shell = self.shells[name]
        except KeyError:
            raise TargetError(
                f"the configuration has no host {name!r}",
                where=name,
                next=f"hosts: {', '.join(self.service.hosts) or 'none'}",
            ) from None
        return DockerHost(self.service, shell, self.emit, self._secrets())

    def _role(self, instance: Instance) -> DockerRole:
        try:
            return self.service.roles[instance.role]
        except KeyError:
            raise TargetError(
                f"the configuration has no role {instance.role!r}",
                where=f"{instance.id} on {instance.host}",
                next=f"roles: {', '.join(self.service.roles) or 'none'}",
            ) from None

    def _secrets(self) -> frozenset[Secret]:
        environments = [
            env
            for role in self.service.roles.values()
            for env in (role.env, *role.host_env.values())
        ]
        own = {v for env in environments for v in env.values() if isinstance(v, Secret)}
        return self.secrets | own


def _once(role: DockerRole) -> DockerRole:
    """The role without Docker's restarts."""
    return replace(role, options={**role.options, "restart": "no"})
