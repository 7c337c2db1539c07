"""How a container gets its environment."""

from __future__ import annotations

import pytest

from pilotage.errors import UsageError
from pilotage.model import Instance, release_id
from pilotage.secret import Secret
from pilotage.targets.docker.environment import container_environment, given

RELEASE = release_id("1")


def test_what_is_no_secret_is_in_the_argv_and_what_is_one_is_not() -> None:
    ways = given(
        {
            "A": "it's\n$x",
            "B": Secret("hush-hush"),
            "C": "with hush-hush in it",
            "my.name": "x",
            "DOCKER_HOST": "tcp://clear",
            "HOME": Secret("/home"),
            "your.name": Secret("y"),
        },
        {Secret("hush-hush")},
    )
    assert ways.words == (
        *("--env", "A=it's\n$x", "--env", "B", "--env", "C", "--env", "my.name=x"),
        *("--env", "DOCKER_HOST=tcp://clear", "--env-file", "/dev/fd/3"),
    )
    assert ways.exported == {"B": Secret("hush-hush"), "C": Secret("with hush-hush in it")}
    assert ways.lines == (Secret("HOME=/home"), Secret("your.name=y"))
    assert "hush" not in repr(ways)


@pytest.mark.parametrize("name", ["", "a=b", "a b", "a\nb"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        given({name: "x"}, ())


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "UID", "HTTPS_PROXY", "out", "my.name"])
def test_a_secret_of_several_lines_under_a_name_that_means_something(name: str) -> None:
    with pytest.raises(UsageError, match=name) as refused:
        given({name: Secret("hush\nhush")}, ())
    assert "hush" not in str(refused.value)


def test_the_whole_environment() -> None:
    instance = Instance("web-1", "shop", "web", "h1", RELEASE)
    env = {"URL": Secret("postgres://db/shop"), "PILOTAGE_ROLE": "mine", "KAMAL_HOST": "mine"}
    whole = container_environment(instance, env, name="shop-web-1", revision="1")
    assert whole == {
        "KAMAL_CONTAINER_NAME": "shop-web-1",
        "KAMAL_VERSION": "1",
        "KAMAL_HOST": "mine",
        "URL": Secret(f"postgres://db/shop?application_name=plt-{RELEASE}"),
        "PILOTAGE_ROLE": "web",
        "PILOTAGE_RELEASE": RELEASE,
        "PILOTAGE_INSTANCE": "web-1",
        "PGAPPNAME": f"plt-{RELEASE}",
    }
