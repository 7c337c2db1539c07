"""Kamal's hooks around the commands that go to hosts, and the audit of them on every host and in the database."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.docker.conftest import Ship
from tests.lab import images
from tests.lab.postgres import url_from
from tests.servers import Postgres

ALL = (
    *("docker-setup", "pre-connect", "pre-build", "pre-deploy", "pre-app-boot", "post-app-boot"),
    *("post-deploy", "pre-proxy-reboot", "post-proxy-reboot", "post-failure"),
)

TELL = """\
#!/bin/sh
echo "$(basename "$0") $KAMAL_COMMAND/$KAMAL_SUBCOMMAND lock=$KAMAL_LOCK $KAMAL_HOSTS${KAMAL_ROLES:+ roles=$KAMAL_ROLES}" >> LOG
[ "$PILOTAGE_COMMAND/$PILOTAGE_HOSTS" = "$KAMAL_COMMAND/$KAMAL_HOSTS" ] && [ "$KAMAL_SERVICE" = shop ]
"""

ACCESSORY = """\
accessories:
  cache: {{image: {image}, host: {host}, cmd: sleep 3600}}
env: {{secret: [DATABASE_URL]}}
databases: {{primary: {{url: DATABASE_URL, via: primary}}}}
migrations: {{path: db/migrations}}
"""


class Log:
    """What hooks wrote since the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def new(self) -> list[str]:
        text = self._path.read_text() if self._path.exists() else ""
        self._path.unlink(missing_ok=True)
        return text.splitlines()


def equipped(ship: Ship, postgres: Postgres, database: str) -> Log:
    """Give the project every hook, an accessory on the third host, and a database."""
    ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, database)
    image = ship.lab.push(images.python(), "acme/cache:1")
    ship.configure(more=ACCESSORY.format(image=image, host=ship.hosts[2].address))
    ship.write("db/migrations/20261121000000_items.sql", "CREATE TABLE items (id int);\n")
    log = ship.root.parent / "hooks.log"
    for name in ALL:
        ship.write(f".kamal/hooks/{name}", TELL.replace("LOG", str(log))).chmod(0o755)
    return Log(log)


def test_hooks_and_audit_of_every_command_that_goes_to_hosts(
    ship: Ship, postgres: Postgres
) -> None:
    with postgres.database() as database:
        log = equipped(ship, postgres, database)
        ship.release("one")
        one, two, three = (host.address for host in ship.hosts)
        every = f"{one},{two},{three}"

        ship.pilotage("setup", "--skip-push")
        assert log.new() == [
            f"pre-connect setup/ lock=false {every}",
            f"docker-setup setup/ lock=false {every}",
            f"pre-deploy setup/ lock=true {every}",
            f"pre-app-boot setup/ lock=true {every}",
            f"post-app-boot setup/ lock=true {every}",
            f"post-deploy setup/ lock=false {every}",
        ]
        for command, told in {
            "server bootstrap": [f"pre-connect {{}} {every}", f"docker-setup {{}} {every}"],
            "server exec --roles job true": [f"pre-connect {{}} {one} roles=job"],
            "accessory stop cache": [f"pre-connect {{}} {three}"],
            "accessory boot cache": [f"pre-connect {{}} {three}"],
            "accessory exec cache --reuse -- true": [f"pre-connect {{}} {three}"],
            "accessory logs cache": [f"pre-connect {{}} {three}"],
            "build pull": [f"pre-connect {{}} {every}"],
            "registry login --skip-local": [f"pre-connect {{}} {one},{two}"],
            "app exec --primary -- true": [f"pre-connect {{}} {one}"],
            "prune": [f"pre-connect {{}} {every}"],
            f"server bootstrap --hosts {three}": [
                f"pre-connect {{}} {three}",
                f"docker-setup {{}} {three}",
            ],
        }.items():
            ship.pilotage(*command.split())
            words = command.split()
            named = f"{words[0]}/{words[1] if words[0] != 'prune' else ''} lock=false"
            assert log.new() == [line.format(named) for line in told], command
        ship.pilotage("proxy", "reboot", "--confirmed", "--rolling")
        assert log.new() == [
            f"pre-connect proxy/reboot lock=false {every}",
            f"pre-proxy-reboot proxy/reboot lock=true {one}",
            f"post-proxy-reboot proxy/reboot lock=true {one}",
            f"pre-proxy-reboot proxy/reboot lock=true {two}",
            f"post-proxy-reboot proxy/reboot lock=true {two}",
        ]
        ship.write(".kamal/hooks/pre-connect", "#!/bin/sh\nexit 3\n")
        refused = ship.pilotage("accessory", "stop", "cache", status=1)
        assert "nothing was touched" in refused.err
        assert ship.hosts[2].docker("ps", "--quiet", "--filter", "name=shop-cache")
        ship.pilotage("--skip-hooks", "server", "exec", "--hosts", two, "false", status=1)

        # What only looks (`accessory logs`), and what a hook stopped before it began, is not there.
        commands = [
            "setup --skip-push (hosts and accessories)",
            "setup --skip-push",
            "server bootstrap",
            "server exec --roles job true",
            "accessory stop cache",
            "accessory boot cache",
            "accessory exec cache --reuse -- true",
            "build pull",
            "registry login --skip-local",
            "app exec --primary -- true",
            "prune",
            f"server bootstrap --hosts {three}",
            "proxy reboot --confirmed --rolling",
            f"--skip-hooks server exec --hosts {two} false",
        ]
        told = json.loads(ship.pilotage("audit", "--json", "-H").out)
        in_database = [(it["command"], it["result"], it["detail"]) for it in told]
        # The tables are made by the first deploy: what came before it, only the hosts know.
        assert in_database[:-1] == [(command, "done", "") for command in commands[1:-1]]
        assert in_database[-1] == (commands[-1], "done", "exit status 1")
        assert {it["who"] for it in told} == {told[0]["who"]} != {""}
        everywhere = {0, 1, 7, 9, 10, 12}
        where = {0: everywhere | {2, 3, 8}, 1: everywhere | {2, 8, 13}, 2: {0, 2, 4, 5, 6, 11}}
        for number, wanted in where.items():
            path = ship.hosts[number].home / ".pilotage" / "shop" / "audit.log"
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            ended = {line["command"] for line in lines if line["result"] == "done"}
            assert ended == {commands[index] for index in wanted}, number
            assert len(lines) == 2 * len(ended)
        there = json.loads(ship.pilotage("audit", "--json", "-H", "--hosts", three).out)
        assert [it["command"] for it in there] == [commands[index] for index in sorted(where[2])]

        ship.write(".kamal/hooks/pre-connect", "#!/bin/sh\n")
        ship.pilotage("app", "boot", "--roles", "job")
        assert log.new() == [
            f"pre-app-boot app/boot lock=true {one} roles=job",
            f"post-app-boot app/boot lock=true {one} roles=job",
        ]
