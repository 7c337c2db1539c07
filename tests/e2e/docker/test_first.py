"""Images whose entrypoint prepares the database: one instance starts first, alone, and has its time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.docker.conftest import Ship
from tests.lab.postgres import url_from
from tests.servers import Postgres

ENTRYPOINT = """\
#!/bin/sh
# As Rails': the server prepares the database, and of two at once one fails.
if [ "$*" = "python3 /app/app.py" ] && ! [ -e "/gate/done-$VERSION" ]; then
  mkdir /gate/lock || { echo "somebody else migrates"; exit 1; }
  echo "$VERSION" >>/gate/ran
  echo "$VERSION: adding a column"
  while [ -e "/gate/wait-$VERSION" ]; do sleep 0.1; done
  if [ -e "/gate/fail-$VERSION" ]; then
    rm -r /gate/lock
    echo "$VERSION: this column is there already"
    exit 1
  fi
  touch "/gate/done-$VERSION"
  rm -r /gate/lock
fi
exec "$@"
"""


def release(ship: Ship, version: str) -> str:
    """Commit a release whose image prepares; its id."""
    files = {"/app/entrypoint": ENTRYPOINT}
    made = ship.release(
        version, files=files, executable=("/app/entrypoint",), Entrypoint=["/app/entrypoint"]
    )
    return made[:12]


def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


def test_a_long_migration_in_the_entrypoint_runs_once_and_to_its_end(
    ship: Ship, tmp_path: Path
) -> None:
    """Longer than the health limit, past a deployer that is interrupted, with three hosts and a worker."""
    gate = tmp_path / "gate"
    gate.mkdir()
    ship.configure(
        web=3,
        more=f'volumes: ["{gate}:/gate"]\ndeploy_timeout: 12\nmigrations: {{engine: entrypoint, timeout: 5m}}\n',
    )

    def ran() -> list[str]:
        return (gate / "ran").read_text().split() if (gate / "ran").exists() else []

    def running(revision: str) -> int:
        wanted = ("--filter", "label=role=web", "--format", "{{.Names}}")
        names = [name for host in ship.hosts for name in host.docker("ps", *wanted).split()]
        return sum(revision in name for name in names)

    one = release(ship, "one")
    ship.deploy()
    assert ran() == ["one"]
    assert [ship.serving(host) for host in ship.hosts] == ["one"] * 3

    two = release(ship, "two")
    wait = gate / "wait-two"
    wait.touch()
    with ship.load(ship.hosts[2]) as told:
        interrupted = ship.start("deploy", "--skip-push", "--json")
        until(lambda: ran() == ["one", "two"])
        time.sleep(14)  # past the limit of its health
        assert interrupted.poll() is None
        assert running(two) == 1
        interrupted.send_signal(signal.SIGINT)
        said, _ = interrupted.communicate(timeout=240)
        assert "two: adding a column" in said
        again = ship.start("deploy", "--skip-push")
        time.sleep(3)
        assert again.poll() is None
        assert running(two) == 1
        wait.unlink()
        out, err = again.communicate(timeout=300)
        assert again.returncode == 0, out + err
    assert told["failed"] == 0, told
    assert ran() == ["one", "two"]
    assert [ship.serving(host) for host in ship.hosts] == ["two"] * 3
    for host in ship.hosts:
        ids = host.docker("ps", "--quiet", "--filter", "label=role=web").split()
        form = "{{.HostConfig.RestartPolicy.Name}} {{.RestartCount}}"
        assert host.docker("inspect", "--format", form, *ids) == "unless-stopped 0\n"

    (gate / "fail-three").touch()
    release(ship, "three")
    failed = ship.deploy(status=1)
    assert "three: this column is there already" in failed.err
    assert f"release {two} serves as before" in failed.err
    assert ran() == ["one", "two", "three"]

    refused = ship.pilotage("rollback", one, status=1)
    assert f"nobody can say whether release {one} fits the schema" in refused.err
    ship.pilotage("rollback", one, "--force")
    assert [ship.serving(host) for host in ship.hosts] == ["one"] * 3
    assert ran() == ["one", "two", "three"]


TOOL = """\
import json, os, pathlib, sys
print("a warning, which is no answer", file=sys.stderr)
done = pathlib.Path("/gate/applied")
applied = done.read_text().split() if done.exists() else []
if sys.argv[1] == "status":
    print(json.dumps({"applied": applied}))
else:
    for version in os.environ["PILOTAGE_VERSIONS"].split():
        print("applying", version, "with", os.environ["MARK"], flush=True)
        done.write_text(" ".join([*applied, version]))
"""


def test_a_status_command_runs_where_the_service_runs(
    ship: Ship, postgres: Postgres, tmp_path: Path
) -> None:
    """The tool is in the image and nowhere else: it says what is applied, and applies it."""
    gate = tmp_path / "gate"
    gate.mkdir()
    with postgres.database() as name:
        ship.secrets["DATABASE_URL"] = url_from(ship.lab, postgres, name)
        ship.configure(
            more=f'volumes: ["{gate}:/gate"]\nenv: {{secret: [DATABASE_URL, MARK]}}\n'
            "databases: {primary: {url: DATABASE_URL, via: primary}}\n"
            "migrations:\n  engine: command\n  files: changes/*\n"
            "  status: {command: python3 /app/tool.py status}\n"
            "  commands: {expand: python3 /app/tool.py up}\n"
        )
        ship.write("changes/1_items", "anything")
        ship.secrets["MARK"] = "one"
        first = ship.release("one", files={"/app/tool.py": TOOL})[:12]
        assert "applying 1 with one" in ship.deploy().out
        assert ship.serving(ship.hosts[0]) == "one"
        ship.write("changes/2_more", "anything")
        ship.secrets["MARK"] = "two"
        ship.release("two", files={"/app/tool.py": TOOL})
        assert "applying 2 with two" in ship.deploy().out
        assert (gate / "applied").read_text().split() == ["1", "2"]
        assert {instance["fits"] for instance in ship.status()["instances"]} == {True}
        assert "nothing to do" in ship.deploy().out
        ship.pilotage("rollback", first)
    assert (
        ship.hosts[0].docker("ps", "--all", "--quiet", "--filter", "label=pilotage.part=question")
        == ""
    )
