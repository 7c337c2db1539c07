"""Which hosts must answer for a deploy to some of them; what runs on any other may stay unknown.

See ``docs/decisions/206-a-silent-host-that-was-not-selected.md``.
"""

from __future__ import annotations

from collections.abc import Collection

from pilotage.config import Config
from pilotage.wiring.database import database_of
from pilotage.wiring.hosts import hosts_of


def needed(config: Config, selected: Collection[str]) -> dict[str, str]:
    """The hosts that must answer when ``selected`` are deployed to, booted or stopped, each with what else it is needed for.

    No text: it is selected. All hosts, where nobody records what is begun on one.
    """
    hosts = dict.fromkeys(selected, "")
    migrations, database = config.migrations, database_of(config)
    if migrations is not None and migrations.framework is not None and database is None:
        unseen = "may be running a release command that is recorded nowhere else"
        return {host: hosts.get(host, unseen) for host in config.hosts}
    primary = hosts_of(config)[0]
    if config.state == "target":
        hosts.setdefault(primary, "keeps the deploy lock and the deploy state")
    if migrations is not None and migrations.framework is not None:
        hosts.setdefault(primary, "is where the release command runs")
    if database is not None and database.via is not None:
        via = primary if database.via == "primary" else database.via
        hosts.setdefault(via, "is the way to the database (`via`)")
    return hosts
