"""What ``--hosts``, ``--roles`` and ``--primary`` mean: a part of the places where instances run. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from pilotage.config.config import Config
from pilotage.config.schema.kamal import Accessory
from pilotage.errors import UsageError


class Place(NamedTuple):
    """A role on a host."""

    host: str
    role: str


def select(
    config: Config, *, hosts: str | None = None, roles: str | None = None, primary: bool = False
) -> tuple[Place, ...]:
    """The roles on hosts that are meant; all of them when nothing is asked for.

    ``hosts``, ``roles``: names with commas between, with ``*`` and ``?``, as Kamal reads them.
    ``primary``: the first host of the primary role, and no other role there.

    Raises
    ------
    UsageError
        A name matches nothing, or nothing is left.
    """
    wanted_roles = matching(roles, [role.name for role in config.roles], "--roles")
    wanted_hosts = matching(hosts, config.hosts, "--hosts")
    found = tuple(
        Place(host, role.name)
        for role in config.roles
        for host in role.hosts
        if role.name in wanted_roles and host in wanted_hosts
    )
    if primary:
        found = tuple(place for place in found if place.role == config.primary)[:1]
    if not found:
        raise UsageError(
            "no role on any host is meant by these selectors",
            where=str(config.path),
            next="`pilotage config` shows which roles there are on which hosts",
        )
    return found


def select_hosts(
    config: Config,
    every: Iterable[str],
    *,
    hosts: str | None = None,
    roles: str | None = None,
    primary: bool = False,
) -> tuple[str, ...]:
    """Those of ``every`` that are meant, where it is about hosts as such; all of them when nothing is asked for.

    What is asked for reads as in `select`. A host without a role (an accessory's) is meant by its name.

    Raises
    ------
    UsageError
        A name matches nothing, or nothing is left.
    """
    known = tuple(every)
    wanted_roles = matching(roles, [role.name for role in config.roles], "--roles")
    wanted_hosts = matching(hosts, known, "--hosts")
    if primary:
        wanted_roles &= {config.primary}
    meant = known
    if roles is not None or primary:
        meant = tuple(host for r in config.roles if r.name in wanted_roles for host in r.hosts)
    found = tuple(dict.fromkeys(host for host in meant if host in wanted_hosts))
    if not found:
        raise UsageError(
            "no host is meant by these selectors",
            where=str(config.path),
            next=f"there are: {', '.join(known) or 'none'}; `pilotage config` shows their roles",
        )
    return found[:1] if primary else found


def matching(asked: str | None, names: Iterable[str], option: str) -> set[str]:
    """Those of ``names`` that a selector asks for; all of them where nothing is asked.

    Raises
    ------
    UsageError
        A name matches nothing.
    """
    known = tuple(names)
    if asked is None:
        return set(known)
    chosen: set[str] = set()
    for pattern in filter(None, (part.strip() for part in asked.split(","))):
        found = {name for name in known if fnmatchcase(name, pattern)}
        if not found:
            raise UsageError(
                f"{option} {pattern} matches nothing",
                next=f"there are: {', '.join(known) or 'none'}",
            )
        chosen |= found
    return chosen


def accessory_hosts(config: Config, accessory: Accessory) -> tuple[str, ...]:
    """The hosts that it runs on: named, or those of roles, or those with tags."""
    hosts = [*([accessory.host] if accessory.host else ()), *(accessory.hosts or ())]
    roles = (*([accessory.role] if accessory.role else ()), *(accessory.roles or ()))
    for role in roles:
        hosts += config.role(role).hosts
    wanted = {*([accessory.tag] if accessory.tag else ()), *(accessory.tags or ())}
    for each in config.roles:
        hosts += [host for host in each.hosts if wanted & set(each.tags.get(host, ()))]
    return tuple(dict.fromkeys(hosts))


def all_hosts(config: Config) -> tuple[str, ...]:
    """The hosts of all roles, then those that only accessories run on."""
    beside = (host for it in config.accessories.values() for host in accessory_hosts(config, it))
    return tuple(dict.fromkeys((*config.hosts, *beside)))
