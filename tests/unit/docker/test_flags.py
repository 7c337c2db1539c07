"""Options of docker run, exactly."""

from __future__ import annotations

from pilotage.docker import flags


def test_options() -> None:
    given = {
        "publish": ["3306:3306", "33060:33060"],
        "cpus": 2,
        "init": True,
        "rm": False,
        "user": None,
        "add-host": ("a:1", "b:2"),
    }
    assert flags.options(given) == (
        *("--publish", "3306:3306", "--publish", "33060:33060", "--cpus", "2", "--init"),
        *("--add-host", "a:1", "--add-host", "b:2"),
    )
    assert flags.options({}) == ()


def test_labels_and_volumes() -> None:
    assert flags.labels({"a": "1", "b": "x y"}) == ("--label", "a=1", "--label", "b=x y")
    assert flags.volumes(("a:/a", "/b:/b:ro")) == ("--volume", "a:/a", "--volume", "/b:/b:ro")


def test_a_log_has_a_limit_where_nothing_is_said_of_it() -> None:
    assert flags.logging(None, {}) == ("--log-opt", "max-size=10m")
    assert flags.logging("local", {"max-size": "100m"}) == (
        *("--log-driver", "local", "--log-opt", "max-size=100m"),
    )
    assert flags.logging("journald", {}) == ("--log-driver", "journald")
