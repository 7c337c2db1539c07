"""What must hold at every moment, decided from what is truly there and from nothing that pilotage says.

The oracle looks straight at the hosts, the proxy and the database. After every call that crosses a port it
lets every running instance read and write; it remembers each value that was acknowledged; and it
knows of every change to whom it was known. It never calls `pilotage.model.fits`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pilotage.edges import VERBS
from pilotage.model import (
    DeployState,
    Endpoint,
    Front,
    Half,
    HalfRef,
    Instance,
    Kind,
    Life,
    Route,
    Session,
    contract,
    expand,
)
from pilotage.proxy.memory import MemoryProxy
from pilotage.targets.memory import MemoryTarget

from .changes import LEVEL, Change, Codec, Squash, Use
from .database import Row, SqlError
from .repository import Repository, Version
from .schema import Server

ROWS = 24
EVERY = 3
"""How many points pass between two pieces of work, as long as nothing changes."""


class Violation(AssertionError):
    """Something that must never be."""


@dataclass(slots=True)
class Evidence:
    """What a deployer saw when it last looked, after it closed the door.

    ``healthy``: the instances that it has seen healthy itself.

    ``hosts``: those that answered; None when it has not looked since it wrote its intents.
    ``shown``: the sessions of its last view, which become part of the look around when it has gone
    on to the hosts.
    """

    intended: set[HalfRef] = field(default_factory=set)
    hosts: frozenset[str] | None = None
    sessions: tuple[Session, ...] | None = None
    shown: tuple[Session, ...] | None = None
    healthy: set[str] = field(default_factory=set)


class Oracle:
    """Watches one example."""

    def __init__(
        self, repository: Repository, target: MemoryTarget, proxy: MemoryProxy, server: Server
    ) -> None:
        self.repository = repository
        self.target = target
        self.proxy = proxy
        self.server = server
        self.core: frozenset[str] = frozenset()
        self.inventory: set[str] = set()
        self.served = False
        self.checks = 0
        self._ledger: dict[str, dict[int, dict[str, int]]] = {}
        self._columns = _columns(repository)
        self._born: dict[str, int] = {}
        self._looked: dict[str, int] = {}
        self._levels: dict[tuple[str, str, int], int] = {}
        self._checked: set[str] = set()
        self._signature: object = None
        self._counter = 0
        server.contracted = self.contracted
        server.reverted = self.reverted

    # -- at every moment ------------------------------------------------------------------------

    def look(self) -> None:
        """Let everything that runs read and write, and check that it fits."""
        running = [i for i in self.target.everything() if i.life is Life.RUNNING]
        releases = tuple(dict.fromkeys(i.release for i in running))
        server = self.server
        signature = (
            tuple(i.id for i in running),
            server.db.structure,
            len(server.begun),
            len(server.done),
        )
        self.checks += 1
        if signature != self._signature:
            self._signature = signature
            for release in releases:
                self._fits(release)
                mine = [i for i in running if i.release == release]
                self._read(release, mine)
                for table in self.repository.by_id(release).code:
                    self._insert(release, table, mine)
                    self._update(release, table, mine)
        elif releases and not self.checks % EVERY:
            release = releases[self.checks % len(releases)]
            mine = [i for i in running if i.release == release]
            tables = tuple(self.repository.by_id(release).code)
            if tables:
                self._work(release, tables[self.checks % len(tables)], mine)

    def _work(self, release: str, table: str, mine: list[Instance]) -> None:
        if self.checks % (3 * EVERY) or len(self._ledger.get(table, ())) >= ROWS:
            self._update(release, table, mine)
        else:
            self._insert(release, table, mine)

    def _fits(self, release: str) -> None:
        """The rule, from the truth: effects that happened, and who knew of them."""
        version = self.repository.by_id(release)
        done, begun = self.server.done, self.server.begun
        for change in version.changes:
            if change.expand() is not None and expand(change.version) not in done:
                raise Violation(f"{release} runs without {change.version}/expand")
            for ref in change.requires:
                if ref not in done:
                    raise Violation(f"{release} runs without {ref}, which it requires")
        for ref in begun:
            if ref.half is Half.CONTRACT and not self.repository.knows(release, ref.version):
                raise Violation(f"{release} runs after {ref}, of which it knows nothing")

    def barred(self, version: Version) -> bool:
        """Whether a release truly cannot run on the schema as it is, whatever a deploy would do."""
        done, begun = self.server.done, self.server.begun
        if any(r.half is Half.CONTRACT and not self._knows(version, r.version) for r in begun):
            return True
        if any(ref not in done for change in version.changes for ref in change.requires):
            return True
        for change in version.changes:
            if isinstance(change, Squash) and expand(change.version) not in done:
                replaced = [self.repository.change[v] for v, _ in change.replaces]
                if any(not self._whole(c) for c in replaced):
                    return True
        return any(
            level > version.code[table][attr].level
            for (table, attr, level) in self._levels
            if attr in version.code.get(table, {})
        )

    def _knows(self, version: Version, change: str) -> bool:
        lane, index = self.repository.place[change]
        return version.positions[lane] > index

    def _whole(self, change: Change) -> bool:
        """Whether every half of a change is applied to its end."""
        done = self.server.done
        return (change.expand() is None or expand(change.version) in done) and (
            change.contract() is None or contract(change.version) in done
        )

    def _read(self, release: str, mine: list[Instance]) -> None:
        for table, uses in self.repository.by_id(release).code.items():
            names = tuple(uses)
            try:
                rows = self.server.db.select(table, tuple(uses[n].column for n in names))
            except SqlError as error:
                raise Violation(f"{release} cannot read {table}: {error!r}") from error
            for key, said in self._ledger.get(table, {}).items():
                if key not in rows:
                    raise Violation(f"row {key} of {table} is gone")
                for name, value in zip(names, rows[key], strict=True):
                    if name in said:
                        self._understands(release, table, name, uses[name], said[name], mine)
                        self._same(release, f"{table}[{key}].{name}", uses[name], said[name], value)

    @staticmethod
    def _same(release: str, where: str, use: Use, said: int, value: object) -> None:
        if value is None and use.once:
            return
        if value is None or use.codec.decode(value) != said:
            raise Violation(f"{release} reads {value!r} at {where}, where {said} was acknowledged")

    def _understands(
        self, release: str, table: str, attr: str, use: Use, said: int, mine: list[Instance]
    ) -> None:
        level = max(0, said) // LEVEL
        if level <= use.level:
            return
        first = self._levels[table, attr, level]
        late = [i.id for i in mine if self._born.get(i.id, 0) > first]
        if late:
            raise Violation(
                f"{late} of {release} started after {table}.{attr} had values of level {level}, "
                f"and understands level {use.level}"
            )

    def _values(
        self, uses: Iterable[tuple[str, Use]], table: str, mine: list[Instance]
    ) -> dict[str, int]:
        """New values; of the code's own level only once the new code has work to do."""
        self._counter += 1
        bold = any(self._has_work(i) for i in mine)
        values = {}
        for attr, use in uses:
            level = use.level if bold else 0
            values[attr] = self._counter + level * LEVEL
            if level:
                self._levels.setdefault((table, attr, level), self._tick())
        return values

    def _has_work(self, instance: Instance) -> bool:
        if instance.kind is Kind.WORKER:
            return True
        route = self.proxy.routes.get(instance.host)
        return route is not None and _has(serving(route), instance.id)

    def _tick(self) -> int:
        self._counter += 1
        return self._counter

    def _insert(self, release: str, table: str, mine: list[Instance]) -> None:
        uses = self.repository.by_id(release).code[table]
        values = self._values(uses.items(), table, mine)
        self._counter += 1
        key = self._counter
        try:
            self.server.db.insert(table, key, _encode(uses, values))
        except SqlError as error:
            raise Violation(f"{release} cannot insert into {table}: {error!r}") from error
        self._ledger.setdefault(table, {})[key] = values

    def _update(self, release: str, table: str, mine: list[Instance]) -> None:
        said = self._ledger.get(table)
        if not said:
            return
        uses = self.repository.by_id(release).code[table]
        keys = list(said)
        key = keys[self.checks % len(keys)]
        if any(said[key].get(attr, 0) // LEVEL > use.level for attr, use in uses.items()):
            return  # a row that this code cannot read is not one that it works on
        values = self._values(((a, u) for a, u in uses.items() if not u.once), table, mine)
        try:
            self.server.db.update(table, key, _encode(uses, values))
        except SqlError as error:
            raise Violation(f"{release} cannot update {table}: {error!r}") from error
        said[key] |= values

    # -- contract halves ------------------------------------------------------------------------

    def contracting(self, change: Change, seen: Evidence) -> None:
        """A contract half is about to begin: is everything older gone, and was that seen?"""
        ref = contract(change.version)
        older = [
            i.id
            for i in self.target.everything()
            if i.life is Life.RUNNING and not self.repository.knows(i.release, change.version)
        ]
        if older:
            raise Violation(f"{ref} begins while {older} run, which do not know it")
        if ref not in seen.intended:
            raise Violation(f"{ref} begins without an intent")
        if seen.hosts is None:
            raise Violation(f"{ref} begins, and nobody looked after its intent was written")
        away = self.inventory - seen.hosts
        if away:
            raise Violation(f"{ref} begins although {sorted(away)} did not answer")
        for session in seen.sessions or ():
            name = session.release
            if name and not self.repository.knows(name, change.version):
                raise Violation(f"{ref} begins although a session of {name} was there")

    def contracted(self, change: Change) -> None:
        """A contract half has ended: what it was meant to remove may go, and nothing else."""
        for table, attr in change.ends():
            if attr is None:
                self._ledger.pop(table, None)
            for said in self._ledger.get(table, {}).values():
                said.pop(attr or "", None)
        self.audit(f"after {change.version}/contract")

    def audit(self, when: str) -> None:
        """Every acknowledged value is still in a column that stands for its attribute."""
        for table, rows in self._ledger.items():
            for key, said in rows.items():
                for attr, value in said.items():
                    if not self._held(table, key, attr, value):
                        raise Violation(f"{when}: {value} of {table}[{key}].{attr} is lost")

    def _held(self, table: str, key: int, attr: str, value: int) -> bool:
        known = self.server.db.tables.get(table)
        row: Row = known.rows.get(key, {}) if known else {}
        return any(
            row.get(column) is not None and codec.decode(row[column]) == value
            for column, codec in self._columns[table, attr]
        )

    def reverted(self, change: Change) -> None:
        """A person took an expand half back: what only its columns held goes with it."""
        if not self.server.db.has(change.table):
            self._ledger.pop(change.table, None)
        for table, attr in change.attrs():
            for key, said in self._ledger.get(table, {}).items():
                if attr in said and not self._held(table, key, attr, said[attr]):
                    del said[attr]
        self.audit(f"after {change.version} was taken back")

    # -- instances and traffic ------------------------------------------------------------------

    def looked(self, hosts: Iterable[str], token: int) -> None:
        """A deployer has looked around at these hosts with authority."""
        for host in hosts:
            self._looked[host] = max(token, self._looked.get(host, 0))

    def acted(self, host: str, token: int | None, what: str) -> None:
        """A deployer did something at a host: nothing of an earlier one is in flight after a look."""
        seen = self._looked.get(host, 0)
        if token is not None and token < seen:
            raise Violation(f"{what} on {host} with token {token}, after the look of {seen}")

    def recorded(self, instance: Instance) -> None:
        """An instance is recorded on its host."""
        self._born[instance.id] = self._tick()
        self._checked.discard(instance.id)

    def launched(self, instance: Instance) -> None:
        """A deployer has launched an instance: a worker only once its release serves."""
        if instance.kind is not Kind.WORKER or not self.served:
            return
        for host in self.core:
            route = self.proxy.routes.get(host)
            others = {e.release for e in route.active} - {instance.release} if route else set()
            if others:
                raise Violation(f"worker {instance.id} starts while {host} serves {others}")

    def checked(self, instance: Instance) -> None:
        """An instance passed its check."""
        self._checked.add(instance.id)

    def stopped(self, instance: Instance, state: DeployState, *, overlap: bool) -> None:
        """A deployer stopped an instance that ran. In a deploy with downtime no other takes its place."""
        route = self.proxy.routes.get(instance.host)
        if instance.host in self.core and route and _has(serving(route), instance.id):
            raise Violation(f"{instance.id} was stopped while {instance.host} sent it requests")
        if instance.kind is Kind.CONSOLE:
            raise Violation(f"a person's console was stopped: {instance.id}")
        spec = state.spec
        downtime = spec and spec.downtime and not spec.finished_at and state.closure is not None
        if instance.kind is Kind.WORKER and overlap and self.served and not downtime:
            others = [i for i in self.target.everything() if i.role == instance.role]
            if not any(i.id in self._checked for i in others):
                raise Violation(f"{instance.id} was stopped, and no other {instance.role} checked")

    def routed(
        self, host: str, before: Route, after: Route, *, wanted: Front | None, healthy: set[str]
    ) -> None:
        """A deployer changed a route.

        ``wanted``: the front that the state asks for at this moment. ``healthy``: the instances that
        this deployer has seen healthy itself.
        """
        core = host in self.core and self.served
        if before.active and not after.active and core and not after.front:
            raise Violation(f"{host} sends requests nowhere")
        if after.front not in ((wanted,) if wanted else (None, before.front)):
            raise Violation(f"{host} does {after.front} with requests; {wanted} is wanted")
        opened = before.front and not after.front and core
        if opened and not any(endpoint.instance in healthy for endpoint in after.active):
            raise Violation(f"{host} is opened, and nobody saw who is to answer: {after.active}")
        for endpoint in serving(after):
            if _has(before.endpoints, endpoint.instance):
                continue
            if endpoint.instance not in self._checked:
                raise Violation(f"{host} sends requests to {endpoint.instance}, never checked")

    def written(self, before: DeployState, after: DeployState, *, verb: str) -> None:
        """The state was written: what a person closed, only a person opens or closes otherwise."""
        was, now = before.closure, after.closure
        if was != now and was is not None and was.by == "person" and verb not in VERBS:
            raise Violation(f"{verb} turned {was} into {now}")

    def forget(self, host: str) -> None:
        """A person says that a host is gone, and it is."""
        self.inventory.discard(host)


def serving(route: Route) -> tuple[Endpoint, ...]:
    """Where new requests go."""
    return (*route.active, *(route.trial if route.share else ()))


def _has(endpoints: tuple[Endpoint, ...], instance: str) -> bool:
    return any(e.instance == instance for e in endpoints)


def _encode(uses: object, values: dict[str, int]) -> Row:
    return {uses[a].column: uses[a].codec.encode(v) for a, v in values.items()}  # type: ignore[index]


def _columns(repository: Repository) -> dict[tuple[str, str], list[tuple[str, Codec]]]:
    """Every column that ever stands for an attribute."""
    found: dict[tuple[str, str], list[tuple[str, Codec]]] = {}
    for lane in repository.lanes:
        for code in lane.codes:
            for table, uses in code.items():
                for attr, use in uses.items():
                    columns = found.setdefault((table, attr), [])
                    if (use.column, use.codec) not in columns:
                        columns.append((use.column, use.codec))
    return found
