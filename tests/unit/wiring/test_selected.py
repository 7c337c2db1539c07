"""A goal for a part of the places, from what a command line selects."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tests.unit.world import goal

from pilotage.config.select import Place
from pilotage.errors import UsageError
from pilotage.model import Role
from pilotage.plan import Layout
from pilotage.wiring.selected import selected, variables

ROLES = (
    Role("web", ("h1", "h2"), traffic=True),
    Role("admin", ("h1",), traffic=True),
    Role("job", ("h1", "h2")),
)


DOCKER = SimpleNamespace(
    layout=Layout("shop", ROLES), config=SimpleNamespace(target="docker", primary="web")
)
"""As much of a project as is asked for."""


def only(*places: tuple[str, str]) -> frozenset[tuple[str, str]]:
    wanted = goal("v1", roles=ROLES)
    return selected(DOCKER, wanted, (Place(*p) for p in places)).layout.only  # type: ignore[arg-type]


def test_nothing_selected_is_everything() -> None:
    assert only() == frozenset()


def test_places() -> None:
    assert only(("h2", "web"), ("h2", "job")) == {("h2", "web"), ("h2", "job")}


def test_a_host_switches_as_a_whole() -> None:
    assert only(("h1", "web"), ("h1", "admin")) == {("h1", "web"), ("h1", "admin")}
    assert only(("h1", "job")) == {("h1", "job")}
    with pytest.raises(UsageError, match="web and admin take requests on h1") as refused:
        only(("h1", "web"), ("h2", "web"))
    assert refused.value.next == "select all of them: --roles web,admin"


def test_variables_are_given_in_either_way() -> None:
    given = ("A=b:c", "URL:http://x?a=b", "EMPTY=", "LINES=a\nb")
    assert variables(given) == {
        "A": "b:c",
        "URL": "http://x?a=b",
        "EMPTY": "",
        "LINES": "a\nb",
    }
    with pytest.raises(UsageError, match="'WORD' should be NAME=VALUE"):
        variables(("WORD",))
    with pytest.raises(UsageError) as refused:
        variables(("=hush",))
    assert "hush" not in str(refused.value)
