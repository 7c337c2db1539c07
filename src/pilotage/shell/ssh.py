"""A host over SSH: every command a channel of one connection.

**What becomes of a command that we stop waiting for.** Without a terminal sshd does not end what it
started, whatever happens to the connection, and OpenSSH's passes on no signals where root logs in. So each
command carries a token in its environment (``PILOTAGE_RUN``), and after a time limit, or when we are
cancelled, one more command finds by it, in ``/proc``, what is to be ended: SIGTERM, then SIGKILL. A container
is not a child of its client and may run on all the same. When the link breaks nothing can be sent: the command
runs on, with an input that ends and an output that nobody reads, and sshd itself may notice only
hours later. So `HostLost` says that the outcome is not known, and whatever must not happen twice is
guarded on the host (tokens, derived names), not here.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import asyncssh

from pilotage.errors import ForwardingForbidden, HostError, HostUnreachable
from pilotage.shell import files, outcome
from pilotage.shell.ahead import Ahead
from pilotage.shell.base import Connection, OnBytes, Result, Stream
from pilotage.shell.link import Link, Network
from pilotage.shell.quote import command_line
from pilotage.shell.script import MARK
from pilotage.shell.session import Session, Sessions
from pilotage.shell.streams import Reader, Writer
from pilotage.shell.tunnels import listening

MAX_SESSIONS = 10
"""What sshd allows on one connection unless it is told otherwise."""

_ATTEMPTS = 3
_REFUSALS = 4

_KILL_LIMIT = 15.0

_SH = ("sh",)

# $1: `PILOTAGE_RUN=token`. Its own environment has it not. A process that has ended has none.
_KILL = """\
alive() { grep -lF "$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3; }
for signal in TERM KILL; do
    pids=$(alive "$1")
    [ -n "$pids" ] || exit 0
    kill -s "$signal" $pids 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ -n "$(alive "$1")" ] || exit 0
        sleep 0.1
    done
done
exit 1
"""


class SshShell:
    """`pilotage.shell.base.Shell` over SSH."""

    def __init__(self, host: str, network: Network) -> None:
        self._host = host
        self._link: Link = network.link(host)
        self._sessions = Sessions(MAX_SESSIONS - 1)  # one is kept for ending others
        self._one_kill = asyncio.Lock()
        self._killing: set[asyncio.Future[bool]] = set()
        self._proven: asyncssh.SSHClientConnection | None = None
        self._ahead = Ahead(self._open_ahead, self._close_ahead)

    @property
    def host(self) -> str:
        """Its name in the configuration."""
        return self._host

    async def connect(self) -> None:
        """Connect now, where the first command would have.

        Raises
        ------
        HostUnreachable
            It cannot be reached, or does not let us in.
        """
        await self._link.connection()
        self._ahead.heard()

    async def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        limit: float | None = None,
        check: bool = True,
    ) -> Result:
        """`Shell.run`."""
        return await outcome.collected(self, argv, input=input, limit=limit, check=check)

    async def stream(
        self,
        argv: Sequence[str],
        output: OnBytes,
        *,
        input: bytes = b"",
        limit: float | None = None,
    ) -> int:
        """`Shell.stream`."""
        ahead = not input or tuple(argv) == _SH
        async with self._session(argv, output, ahead=ahead) as session:
            given = input
            if session.waits and tuple(argv) != _SH:
                given = f"exec {command_line(argv)} </dev/null\n".encode()
            try:
                async with asyncio.timeout(limit):
                    await session.write(given, end=True)
                    await session.ended.wait()
            except TimeoutError:
                assert limit is not None
                ended = await self._kill(session)
                raise outcome.timed_out(self._host, argv, limit, ended=ended) from None
            return self._status(argv, session)

    async def interactive(self, argv: Sequence[str]) -> int:
        """`Shell.interactive`."""
        from pilotage.shell import terminal

        async with (
            terminal.Terminal() as here,
            self._session(argv, here.write, **here.wanted()) as session,
        ):
            await here.follow(session)
            return self._status(argv, session)

    @contextlib.asynccontextmanager
    async def hold(self, argv: Sequence[str], *, input: bytes = b"") -> AsyncIterator[Result]:
        """`Shell.hold`."""
        written = outcome.Collected()
        entered = asyncio.Event()

        def output(stream: Stream, data: bytes) -> None:
            written(stream, data)
            if stream is Stream.OUT and b"\n" in data:
                entered.set()

        began = time.monotonic()
        async with self._session(argv, output, held=True) as session:
            await session.write(input, end=False)
            first = asyncio.ensure_future(entered.wait())
            over = asyncio.ensure_future(session.ended.wait())
            try:
                await asyncio.wait({first, over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                first.cancel()
                over.cancel()
            early = not entered.is_set()
            status = self._status(argv, session) if early else 0
            yield Result(tuple(argv), status, written.out, written.err, time.monotonic() - began)
            if not early:
                await session.write(b"", end=True)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(outcome.PATIENCE):
                        await session.ended.wait()
                if session.lost is not None:
                    raise outcome.lost(self._host, argv, str(session.lost))
                if not session.closed:
                    await self._kill(session)

    async def put(self, path: str, content: bytes, *, mode: int = 0o600) -> None:
        """`Shell.put`."""
        await files.put(self, path, content, mode=mode)

    async def get(self, path: str) -> bytes | None:
        """`Shell.get`."""
        return await files.get(self, path)

    async def open_tcp(self, host: str, port: int) -> Connection:
        """`Shell.open_tcp`."""
        return await self._open(
            f"{host}:{port}", lambda link: link.open_connection(host, port, encoding=None)
        )

    async def open_unix(self, path: str) -> Connection:
        """`Shell.open_unix`."""
        return await self._open(path, lambda link: link.open_unix_connection(path, encoding=None))

    async def _open(
        self, what: str, opening: Callable[[asyncssh.SSHClientConnection], Awaitable[Any]]
    ) -> Connection:
        for _ in range(_ATTEMPTS):
            connection = await self._link.connection()
            try:
                reader, writer = await opening(connection)
                return cast(Connection, (Reader(reader), Writer(writer)))
            except asyncssh.ChannelOpenError as error:
                if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
                    raise self._forbidden(what) from error
                if not connection.is_closed():
                    raise ConnectionRefusedError(
                        f"{what}, from {self._host}: {error.reason}"
                    ) from error
            except (OSError, asyncssh.Error):
                pass  # nothing was sent yet: a new connection will do
            self._link.abandon(connection)
        raise ConnectionResetError(f"the connections to {self._host} break")

    def _forbidden(self, what: str) -> ForwardingForbidden:
        return ForwardingForbidden(
            f"its sshd forbids the connection to {what}",
            where=self._host,
            state="nothing was changed",
            next="set `AllowTcpForwarding yes` (the default) in its sshd_config and reload sshd",
        )

    def forward(self, host: str, port: int) -> AbstractAsyncContextManager[int]:
        """`Shell.forward`. Each connection to it is a channel of its own; none counts as a session."""
        return listening(lambda: self.open_tcp(host, port))

    @contextlib.asynccontextmanager
    async def reverse(self, port: int, *, to: tuple[str, int]) -> AsyncIterator[int]:
        """`Shell.reverse`. It ends with the link: a link that is made again does not bring it back."""
        connection = await self._link.connection()
        try:
            listener = await connection.forward_remote_port("127.0.0.1", port, *to)
        except (OSError, asyncssh.Error, asyncssh.ChannelListenError) as error:
            raise HostError(
                f"its sshd does not listen on port {port} for us",
                where=self._host,
                state="nothing was changed",
                next=f"see what uses the port there (`ss -ltnp 'sport = :{port}'`), and whether its "
                "sshd_config has AllowTcpForwarding",
            ) from error
        try:
            yield listener.get_port()
        finally:
            listener.close()
            with contextlib.suppress(OSError, asyncssh.Error, TimeoutError):
                async with asyncio.timeout(outcome.PATIENCE):
                    await listener.wait_closed()

    async def close(self) -> None:
        """`Shell.close`. What was told to end is waited for."""
        self._ahead.give_up()
        if self._killing:
            await asyncio.wait(self._killing)
        await self._link.close()

    # ------------------------------------------------------------------ channels

    @contextlib.asynccontextmanager
    async def _session(
        self,
        argv: Sequence[str],
        output: OnBytes,
        *,
        held: bool = False,
        ahead: bool = False,
        **wanted: Any,
    ) -> AsyncIterator[Session]:
        """A channel in which the command was begun; closed, and the command told to end, when it is left.

        ``ahead``: one that waits will do (`Session.waits`); what to do is then its input.
        """
        # A script would have to wait for its ``sh`` either way; a command without input takes two round trips by itself.
        ready = tuple(argv) != _SH
        session = await self._ahead.take(ready=ready) if ahead else None
        if session is not None:
            session.give(output)
        else:
            token = secrets.token_hex(8)
            line = f"{MARK}={token} {command_line(argv)}"
            session = await self._begin(argv, line, output, held=held, wanted=wanted)
            session.token = token
        try:
            yield session
        except BaseException:
            if not session.closed:
                # Not waited for: whoever cancelled us waits for us. `close` does.
                killing = asyncio.ensure_future(self._kill(session))
                self._killing.add(killing)
                killing.add_done_callback(self._killing.discard)
            raise
        finally:
            session.close()
            self._sessions.leave(held=held)

    async def _open_ahead(self) -> Session:
        """A session with a ``sh`` that waits, where there is room for one; see `Ahead`."""
        if not self._sessions.enter_if_free():
            raise HostError("there is no room for one more session", where=self._host)
        session = Session(outcome.nothing)
        session.waits = True
        session.token = secrets.token_hex(8)
        try:
            connection = await self._link.connection()
            line = f"{MARK}={session.token} {command_line(_SH)}"
            await connection.create_session(lambda: session, line, encoding=None)
        except BaseException as error:
            if isinstance(error, asyncssh.ChannelOpenError):
                self._ahead.give_up()
            self._close_ahead(session)
            raise
        return session

    def _close_ahead(self, session: Session) -> None:
        session.close()
        self._sessions.leave()

    async def _kill(self, session: Session) -> bool:
        """End a command and what it started; whether it is known to be gone. Raises nothing."""
        argv = ("sh", "-c", _KILL, "kill", f"{MARK}={session.token}")
        killer = Session(outcome.nothing)
        try:
            # One at a time, in the place that is kept for it.
            async with asyncio.timeout(_KILL_LIMIT), self._one_kill:
                connection = await self._link.connection()
                await connection.create_session(lambda: killer, command_line(argv), encoding=None)
                await killer.write(b"", end=True)
                await killer.ended.wait()
        except (OSError, asyncssh.Error, HostError):
            return False
        finally:
            killer.close()
        return killer.status == 0

    async def _begin(
        self, argv: Sequence[str], line: str, output: OnBytes, *, held: bool, wanted: dict[str, Any]
    ) -> Session:
        for _ in range(_ATTEMPTS):
            session = await self._try(argv, line, output, held=held, wanted=wanted)
            if session is not None:
                return session
        raise HostUnreachable(
            f"its sshd takes connections and breaks them before a command begins ({_ATTEMPTS} times)",
            where=self._host,
            state="nothing was begun there",
            next="see the log of its sshd",
        )

    async def _try(
        self, argv: Sequence[str], line: str, output: OnBytes, *, held: bool, wanted: dict[str, Any]
    ) -> Session | None:
        """The session; None where the connection was of no use, and another one may be."""
        refusals = 0
        while True:
            if self._sessions.full:
                self._ahead.drop()
            await self._sessions.enter(held=held)
            session = Session(output)
            begun = False
            try:
                connection = await self._link.connection()
                try:
                    await connection.create_session(lambda: session, line, encoding=None, **wanted)  # noqa: B023
                except (OSError, asyncssh.Error) as error:
                    gone = connection.is_closed() or not isinstance(
                        error, asyncssh.ChannelOpenError
                    )
                    if session.opened:
                        raise self._not_begun(argv, error, lost=gone) from error
                    if gone:
                        self._link.abandon(connection)
                        return None
                    self._ahead.give_up()
                    if self._sessions.refused(held=held):
                        continue
                    # What has ended, or was told to, counts there until the server has seen it to its end.
                    refusals += 1
                    if refusals > _REFUSALS:
                        if self._proven is not connection or self._sessions.held > held:
                            raise self._too_few() from error
                        self._link.abandon(connection)
                        return None
                else:
                    self._proven = connection
                    self._sessions.succeeded()
                    begun = True
                    return session
            finally:
                if not begun:
                    session.close()
                    self._sessions.leave(held=held)
            await asyncio.sleep(0.1 * 2**refusals)

    def _not_begun(self, argv: Sequence[str], error: Exception, *, lost: bool) -> HostError:
        if lost:
            return outcome.lost(self._host, argv, str(error))
        return HostError(
            f"its sshd runs no commands for this user: {error}",
            where=self._host,
            state="nothing was begun there",
            next="see `ForceCommand` and the user's shell there",
        )

    def _status(self, argv: Sequence[str], session: Session) -> int:
        if session.status is not None:
            self._ahead.heard()
        if session.failed is not None:
            raise session.failed
        if session.status is None:
            why = str(session.lost) if session.lost else "its channel ended without a status"
            raise outcome.lost(self._host, argv, why)
        return session.status

    def _too_few(self) -> HostError:
        return HostError(
            "its sshd allows too few commands at once on a connection",
            where=self._host,
            state="nothing was begun there",
            next="set `MaxSessions 10` (the default) in its sshd_config and reload sshd",
        )
