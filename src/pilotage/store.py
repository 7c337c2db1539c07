"""Deploy state, kept as one small document that is swapped whole, and the lease on it.

The document lives in the application's database or at the target (`pilotage.targets.base.Document`).
The lease is a row in it with an expiry and a *rising token*. Expiry only decides when somebody may
take over; what keeps a deployer that slept through its lease from doing harm is the token, which
every write here, every host and every schema compares before it acts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from pilotage.errors import LeaseHeld, LeaseLost, StoreError
from pilotage.events import Emit, LeaseTaken, LeaseWaiting
from pilotage.model import DeployState, LeaseRow
from pilotage.targets.base import Document

POLL_SECONDS = 0.5
CONFLICTS = 50

Floor = Callable[[], Awaitable[int]]
"""The highest token that the hosts have seen (`pilotage.targets.base.Target.highest`)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants the lease, and why. Times in seconds.

    ``ttl``: how long the lease lives without a heartbeat. ``wait``: how long to wait for another
    owner to let go.
    """

    owner: str
    reason: str = ""
    ttl: float = 30.0
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class _Written:
    """What this store wrote last."""

    version: int
    state: DeployState


class Store:
    """Reads and changes `DeployState`; a change needs the token of the lease in force.

    ``floor`` is the highest token that the hosts have seen: a new one is above it even where the
    document was lost with its database, so that a new beginning is not taken for an old deployer.
    """

    def __init__(self, document: Document, *, floor: Floor | None = None) -> None:
        self._document = document
        self._floor = floor
        self._seen: int | None = None
        self._last: _Written | None = None

    async def read(self) -> DeployState:
        """The state as it is now."""
        _, body = await self._document.read()
        return DeployState.from_json(body)

    async def now(self) -> float:
        """The time by which leases are judged, in Unix seconds."""
        return await self._document.now()

    async def update(
        self, change: Callable[[DeployState], DeployState], *, token: int
    ) -> DeployState:
        """Read, change, swap; again when somebody else was faster.

        Raises
        ------
        LeaseLost
            ``token`` is no longer the highest, or the lease was broken by a person.
        """

        last = self._last
        if last is not None and last.state.token == token and last.state.lease is not None:
            # Nobody but us writes under our lease, as a rule: the swap itself tells whether that is so.
            after = change(last.state)
            if await self._write(after, expected=last.version):
                return after

        def fenced(state: DeployState) -> DeployState:
            if state.token != token or state.lease is None:
                raise lease_lost(state)
            return change(state)

        return await self._swap(fenced)

    async def _write(self, state: DeployState, *, expected: int) -> bool:
        self._last = None
        done = await self._document.write(state.to_json(), expected=expected)
        if done:
            self._last = _Written(expected + 1, state)
        return done

    async def _swap(self, change: Callable[[DeployState], DeployState]) -> DeployState:
        for _ in range(CONFLICTS):
            version, body = await self._document.read()
            before = DeployState.from_json(body)
            after = change(before)
            if after == before or await self._write(after, expected=version):
                return after
        raise StoreError(
            f"the deploy state was changed by others {CONFLICTS} times in a row",
            state="nothing was written",
            next="run the command again",
        )

    async def acquire(self, claim: Claim, emit: Emit) -> Lease:
        """Take the lease, waiting up to ``claim.wait`` seconds for its owner to let go.

        Raises
        ------
        LeaseHeld
            Says who holds it, since when, and what they are doing.
        """
        give_up = time.monotonic() + claim.wait
        told = False
        while True:
            seen = await self._highest()
            version, body = await self._document.read()
            state = DeployState.from_json(body)
            now = await self._document.now()
            held = state.lease
            if held is None or held.over(now):
                row = LeaseRow(
                    owner=claim.owner, reason=claim.reason, since=now, expires=now + claim.ttl
                )
                taken = replace(state, token=max(state.token, seen) + 1, lease=row)
                if await self._write(taken, expected=version):
                    emit(
                        LeaseTaken(
                            owner=claim.owner,
                            token=taken.token,
                            took_over=held.owner if held else None,
                        )
                    )
                    return Lease(self, claim, taken.token)
                continue
            if time.monotonic() >= give_up:
                raise lease_held(held, now)
            if not told:
                told = True
                emit(
                    LeaseWaiting(
                        owner=held.owner, reason=held.reason, doing=held.doing, since=held.since
                    )
                )
            await asyncio.sleep(min(POLL_SECONDS, max(0.0, give_up - time.monotonic())))

    async def _highest(self) -> int:
        """The highest token of the hosts, asked once: what others raise it to later, the document has as well."""
        if self._seen is None:
            self._seen = await self._floor() if self._floor else 0
        return self._seen

    async def acquire_hold(self, claim: Claim, emit: Emit) -> Lease:
        """Take the lock for a person: it has no heartbeat and does not expire.

        Nobody deploys until `break_lease`, this person included.

        Raises
        ------
        LeaseHeld
            Somebody has it already.
        """
        lease = await self.acquire(claim, emit)

        def keep(state: DeployState) -> DeployState:
            assert state.lease is not None
            return replace(state, lease=replace(state.lease, hold=True))

        await self.update(keep, token=lease.token)
        return lease

    async def break_lease(self) -> LeaseRow | None:
        """Take the lease away from whoever holds it (a person decides); the token rises, too."""
        broken: list[LeaseRow | None] = []

        def release(state: DeployState) -> DeployState:
            broken.append(state.lease)
            return replace(state, token=state.token + 1, lease=None)

        await self._swap(release)
        return broken[-1]


class Lease:
    """A lease that was taken. ``token`` goes with every mutation."""

    def __init__(self, store: Store, claim: Claim, token: int) -> None:
        self._store = store
        self._claim = claim
        self.token = token

    @property
    def owner(self) -> str:
        """Who took it."""
        return self._claim.owner

    async def renew(self, doing: str | None = None) -> None:
        """Push the expiry out, and say what is being done. Raises `LeaseLost` when it is too late."""
        now = await self._store.now()

        def beat(state: DeployState) -> DeployState:
            assert state.lease is not None
            row = replace(state.lease, expires=now + self._claim.ttl)
            return replace(state, lease=row if doing is None else replace(row, doing=doing))

        await self._store.update(beat, token=self.token)

    async def release(self) -> None:
        """Let go. Not an error when somebody else holds it by now, or when it can only expire."""
        with contextlib.suppress(LeaseLost, StoreError):
            await self._store.update(lambda state: replace(state, lease=None), token=self.token)


@contextlib.asynccontextmanager
async def hold(store: Store, claim: Claim, emit: Emit) -> AsyncIterator[Lease]:
    """Hold the lease for the length of a ``with`` block, with a heartbeat of a third of its life.

    It is released on every way out that Python sees, Ctrl-C included. After SIGKILL it expires.
    """
    lease = await store.acquire(claim, emit)
    heartbeat = asyncio.create_task(_beat(lease, claim.ttl / 3))
    try:
        yield lease
    finally:
        heartbeat.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await heartbeat
        await asyncio.shield(lease.release())


async def _beat(lease: Lease, every: float) -> None:
    """Renew until it is lost; the next mutation then says so. A failed write is tried again."""
    while True:
        await asyncio.sleep(every)
        try:
            await lease.renew()
        except LeaseLost:
            return
        except StoreError:
            continue


def lease_held(row: LeaseRow, now: float) -> LeaseHeld:
    """The error of a second deployer: who, since when, why, and doing what."""
    doing = f", now: {row.doing}" if row.doing else ""
    reason = f" ({row.reason})" if row.reason else ""
    what = (
        f"{row.owner} holds the deploy lock{reason}, since {max(0, now - row.since):.0f} s{doing}"
    )
    if row.hold:
        return LeaseHeld(
            what,
            state="nothing was touched",
            next="it does not expire: ask its owner, or take it away with `pilotage lock release`",
        )
    return LeaseHeld(
        what,
        state="nothing was touched",
        next="wait for it with --lock-wait SECONDS, or, when its owner is gone, "
        f"let it expire (in {max(0, row.expires - now):.0f} s) or run `pilotage lock release`",
    )


def lease_lost(state: DeployState) -> LeaseLost:
    """The error of a deployer whose token is no longer the highest."""
    who = state.lease.owner if state.lease else "nobody, after a person released it"
    return LeaseLost(
        f"the deploy lock was taken over while this deployer did not answer; it is held by {who}",
        state="this deployer touched nothing after that",
        next="see `pilotage status`, then run the command again",
    )
