"""One command of a release in a container of its own: run once, joined by whoever wants it as well.

Its container is called by the job's id, so that a second one cannot be made; whoever finds it there
follows what it prints from the beginning, or reads how it ended. Its time limit is kept by its host.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass

from pilotage.errors import TargetError
from pilotage.model import Kind
from pilotage.shell.base import Stream
from pilotage.shell.fenced import Command
from pilotage.shell.lines import Lines
from pilotage.targets.base import Gate, Job, OnOutput, OnWritten
from pilotage.targets.docker import commands, names
from pilotage.targets.docker.containers import Container, parse
from pilotage.targets.docker.host import ACT_LIMIT, DockerHost
from pilotage.targets.docker.sight import CONSOLE_WAIT
from pilotage.targets.docker.spec import DockerRole
from pilotage.targets.docker.starting import Made, Start

_LOOK_AGAIN = 0.5

_WATCH = """\
end=$(($(date +%s) + $3))
while left=$((end - $(date +%s))) && [ "$left" -gt 0 ]; do
  timeout "$left" "$1" wait "$2" && exit
  "$1" inspect --type container "$2" || { sleep 1; "$1" version || continue; exit; }
done
exec timeout 600 "$1" stop --time "$4" "$2"
"""
"""Ends a container after its time. A Docker that is restarted meanwhile is waited for."""

_ATTACH = """\
trap '"$1" rm --force --volumes "$2" >/dev/null 2>&1' EXIT
trap 'exit 129' HUP TERM
[ $(($(date +%s) - $3)) -lt $4 ] || exit 1
exec 3<&0
"$1" start --attach $5 "$2" <&3 &
wait $!
"""
"""A container on the terminal, which goes when the terminal does. Docker's program would stay: it hands on to
the container that the terminal has gone. So it runs beside the shell, which hears of it as well."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """One caller's run of a job on its host. ``create``: makes its container."""

    host: DockerHost
    role: DockerRole
    job: Job
    create: Command
    output: OnOutput

    async def run(self, *, token: int | None, gate: Gate) -> int:
        """Run it, join it, or remember how it ended; its exit status."""
        job, host = self.job, self.host
        start = Start(host, job.instance, names.job_name(job.instance), self.create, token)
        found = await start.record(again=False)
        if isinstance(found, Container):
            if job.interactive:
                raise TargetError(
                    "somebody else runs it, on a terminal of theirs",
                    where=self._where,
                    next="wait for its end",
                )
            return await self._see_its_end(found)
        try:
            await gate()
            if job.interactive:
                return await self._attach(found)
            launched = await start.launch(found, after=self._watch(found.container))
            if job.detached:
                return 0
        except BaseException:
            await asyncio.shield(start.take_back(found))
            raise
        code = await self._see_its_end(launched)
        if job.instance.kind is Kind.CONSOLE:
            remove = Command(commands.remove(host.service, launched.id))
            await host.run((remove,), limit=ACT_LIMIT)
        return code

    def _watch(self, container: str) -> tuple[Command, ...]:
        if self.job.timeout is None:
            return ()
        limit, grace = math.ceil(self.job.timeout), math.ceil(self.role.stop_timeout)
        docker = self.host.service.docker
        words = ("sh", "-c", _WATCH, "pilotage-limit", docker, container, str(limit), str(grace))
        return (Command(words, detached=True),)

    async def _attach(self, made: Made) -> int:
        """On our terminal, or into `Job.written`, to its end."""
        reads = self.job.written is None
        words = (made.container, str(math.ceil(made.at)), f"{CONSOLE_WAIT:g}")
        began = time.monotonic()
        docker = self.host.service.docker
        status = await attached(
            self.host,
            ("sh", "-c", _ATTACH, "console", docker, *words, "--interactive" if reads else ""),
            self.job.written,
        )
        argv = commands.start_attached(self.host.service, made.container, reads=reads)
        self.host.ran(argv, time.monotonic() - began, status)
        return status

    async def _see_its_end(self, container: Container) -> int:
        """Follow what it prints from its beginning; how it ended."""
        host = self.host
        await follow(host, container.id, lambda line: self.output(host.masked(line)))
        wait = Command(commands.wait(host.service, container.id))
        inspect = Command(commands.inspect(host.service, container.id))
        ran = await host.run((wait, inspect), fenced=False)
        if not ran.finished:
            raise TargetError(
                f"the command ended, and its exit status is not known:{host.masked(ran.words)}",
                where=self._where,
                state="it may have done all of its work, some of it, or none",
                next=f"`pilotage logs {self.job.instance.id}` shows what it printed",
            )
        ended = parse(ran.last.out)[0]
        if ended.timed_out:
            raise TargetError(
                f"`{host.masked(' '.join(self.job.argv))}` ran longer than its limit and was stopped",
                where=self._where,
                state="what it did before is done",
                next=f"`pilotage logs {self.job.instance.id}` shows what it printed",
            )
        return ended.exit_code

    @property
    def _where(self) -> str:
        return f"{self.job.instance.id} on {self.host.name}"


async def attached(host: DockerHost, argv: tuple[str, ...], written: OnWritten | None) -> int:
    """Run a command of a person's on our terminal, or give what it writes to ``written``."""
    if written is None:
        return await host.shell.interactive(argv)
    return await host.shell.stream(argv, lambda stream, block: written(stream is Stream.ERR, block))


async def follow(
    host: DockerHost,
    container: str,
    output: OnOutput,
    *,
    lines: int | None = None,
    since: str | None = None,
) -> None:
    """Give what a container prints to ``output``, line by line, until it ends; see `commands.logs`.

    A Docker that is restarted meanwhile is asked again, and what it gave before is left out.
    """
    given = dict.fromkeys(Stream, 0)
    while True:
        given = await _follow_once(host, container, output, lines=lines, since=since, given=given)
        found, _ = await host.look_at(container)
        if found is None or not found.runs:
            return
        lines = None  # what was given is counted from the first line
        await asyncio.sleep(_LOOK_AGAIN)


async def _follow_once(
    host: DockerHost,
    container: str,
    output: OnOutput,
    *,
    lines: int | None,
    since: str | None,
    given: dict[Stream, int],
) -> dict[Stream, int]:
    """One ``docker logs``; how many lines of each stream were given in all."""
    readers = {stream: _Reader(output, given[stream]) for stream in Stream}
    argv = commands.logs(host.service, container, lines=lines, since=since, follow=True)
    began = time.monotonic()
    status = await host.shell.stream(argv, lambda stream, block: readers[stream].feed(block))
    for reader in readers.values():
        reader.close()
    host.ran(argv, time.monotonic() - began, status)
    return {stream: max(given[stream], reader.count) for stream, reader in readers.items()}


class _Reader:
    """Lines of one stream, without the first ones, which were given before."""

    def __init__(self, output: OnOutput, skip: int) -> None:
        self.count = 0
        self._skip = skip
        self._output = output
        self._lines = Lines(self._line)
        self.feed = self._lines.feed
        self.close = self._lines.close

    def _line(self, line: str) -> None:
        self.count += 1
        if self.count > self._skip:
            self._output(line)
