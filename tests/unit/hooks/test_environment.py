"""What a hook is told, against what the real Kamal 2.11.0 gave the same hook of the same project."""

from __future__ import annotations

import pytest

from pilotage.hooks import Command, environment
from pilotage.secret import Secret

SHA = "2b6e6b891a9481bb6095b5abb4eb3a16d270d449"
NOW = 1795334780.9  # 2026-11-22T08:06:20Z

KAMAL = {
    "pre-connect": {
        "DBURL": "postgres://x:secret-db@y/z",
        "KAMAL_COMMAND": "deploy",
        "KAMAL_HOSTS": "127.0.0.1",
        "KAMAL_LOCK": "false",
        "KAMAL_PERFORMER": "ada@example.com",
        "KAMAL_RECORDED_AT": "2026-11-22T08:06:20Z",
        "KAMAL_SERVICE": "shop",
        "KAMAL_SERVICE_VERSION": "shop@2b6e6b8",
        "KAMAL_VERSION": SHA,
        "REG": "regpass",
    },
    "post-deploy": {
        "DBURL": "postgres://x:secret-db@y/z",
        "KAMAL_COMMAND": "rollback",
        "KAMAL_HOSTS": "127.0.0.1",
        "KAMAL_LOCK": "false",
        "KAMAL_PERFORMER": "ada@example.com",
        "KAMAL_RECORDED_AT": "2026-11-22T08:06:20Z",
        "KAMAL_ROLES": "web",
        "KAMAL_RUNTIME": "8",
        "KAMAL_SERVICE": "shop",
        "KAMAL_SERVICE_VERSION": "shop@2b6e6b8",
        "KAMAL_VERSION": SHA,
        "REG": "regpass",
    },
}
"""Recorded: ``env`` in a hook of ``kamal deploy``, and of ``kamal rollback -r web``."""

SECRETS = {"DBURL": Secret("postgres://x:secret-db@y/z"), "REG": Secret("regpass")}


def told(
    *words: str,
    roles: tuple[str, ...] = (),
    destination: str | None = None,
    version: str = SHA,
    lock: bool = False,
    environ: dict[str, str] | None = None,
    **details: str,
) -> dict[str, str]:
    command = Command("shop", words, ("127.0.0.1",), "ada@example.com", destination, roles)
    return environment(
        command,
        hook="pre-deploy",
        version=version,
        lock=lock,
        now=NOW,
        details=details,
        secrets=SECRETS,
        environ=environ or {},
    )


def kamals(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith("PILOTAGE_")}


def test_a_deploy_tells_what_kamal_tells():
    assert kamals(told("deploy")) == KAMAL["pre-connect"]


def test_a_rollback_tells_what_kamal_tells():
    assert kamals(told("rollback", roles=("web",), RUNTIME="8")) == KAMAL["post-deploy"]


def test_under_the_lock_and_with_a_destination():
    env = told("deploy", destination="staging", lock=True)
    assert (env["KAMAL_LOCK"], env["KAMAL_DESTINATION"]) == ("true", "staging")


def test_the_same_is_there_under_our_own_name():
    env = told("app", "boot", roles=("web", "job"), destination="staging", RUNTIME="3")
    ours = {name.removeprefix("PILOTAGE_"): v for name, v in env.items() if name[:3] == "PIL"}
    theirs = {name.removeprefix("KAMAL_"): v for name, v in env.items() if name[:3] == "KAM"}
    assert ours == {**theirs, "HOOK": "pre-deploy"}
    assert theirs["SUBCOMMAND"] == "boot"
    assert theirs["ROLES"] == "web,job"


@pytest.mark.parametrize(
    ("version", "shown"),
    [(SHA, "shop@2b6e6b8"), (f"{SHA}_uncommitted_1f", f"shop@{SHA}_uncommitted_1f"), ("", "shop")],
)
def test_the_version_of_the_service(version, shown):
    assert told("deploy", version=version)["KAMAL_SERVICE_VERSION"] == shown


def test_what_is_inherited_stays_and_what_an_outer_run_told_does_not():
    environ = {"PATH": "/bin", "KAMAL_ROLES": "job", "KAMAL_REGISTRY_PASSWORD": "x", "REG": "old"}
    env = told("deploy", environ={**environ, "PILOTAGE_LOCK": "true", "KAMAL_RUNTIME": "9"})
    assert env["PATH"] == "/bin"
    assert env["KAMAL_REGISTRY_PASSWORD"] == "x"
    assert env["REG"] == "regpass", "a secret wins over what is inherited"
    assert not {"KAMAL_ROLES", "KAMAL_RUNTIME"} & set(env)
    assert env["PILOTAGE_LOCK"] == "false"
