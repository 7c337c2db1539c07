"""Where a service stands, and the next command, for every state of the spec row."""

from __future__ import annotations

import pytest

from pilotage.cli.standing import standing
from pilotage.model import DeployState, Endpoint, Observed, Route, Spec

OLD, NEW = "a" * 12, "b" * 12


def observed(spec: Spec | None, serving: str | None) -> Observed:
    active = (Endpoint("i", serving, "127.0.0.1:1"),) if serving else ()
    return Observed(state=DeployState(spec=spec), routes={"here": Route(active)})


@pytest.mark.parametrize(
    ("spec", "serving", "state", "following", "settled"),
    [
        (None, None, "nothing was deployed yet", "pilotage deploy", True),
        (Spec(NEW, OLD, finished_at=1.0), NEW, f"release {NEW} serves", "", True),
        (
            Spec(NEW, OLD),
            OLD,
            f"the deploy to {NEW} is unfinished, before the switch; release {OLD} serves",
            f"`pilotage deploy --version {NEW}` goes on, or `pilotage rollback {OLD}` goes back",
            False,
        ),
        (
            Spec(NEW),
            None,
            f"the deploy to {NEW} is unfinished, before the switch; nothing serves",
            f"`pilotage deploy --version {NEW}` goes on",
            False,
        ),
        (
            Spec(NEW, OLD, switched_at=1.0),
            NEW,
            f"the deploy to {NEW} is unfinished: the traffic is switched; release {NEW} serves",
            f"`pilotage deploy --version {NEW}` goes on, or `pilotage rollback {OLD}` goes back",
            False,
        ),
        (
            Spec(OLD, NEW, direction="rollback"),
            NEW,
            f"the rollback to {OLD} is unfinished, before the switch; release {NEW} serves",
            f"`pilotage rollback {OLD}` goes on, or `pilotage rollback {NEW}` goes back",
            False,
        ),
        (
            Spec(NEW, OLD, aborted_reason="never healthy", finished_at=2.0),
            OLD,
            f"release {NEW} was aborted; release {OLD} serves as before",
            f"deploy a revision that mends it, or `pilotage deploy --version {NEW} --again`",
            True,
        ),
        (
            Spec(NEW, OLD, aborted_reason="never healthy"),
            NEW,
            f"release {NEW} was aborted, and the way back is not finished; release {NEW} serves",
            f"pilotage deploy --version {NEW} (it goes on with the way back)",
            False,
        ),
    ],
)
def test_standing(spec, serving, state, following, settled):
    found = standing(observed(spec, serving))
    assert found.state == state
    assert found.next == following
    assert found.settled is settled
