"""Rails, Alembic and Django by their own commands, with the rule intact: the real ones, on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.e2e.frameworks.load import load

pytestmark = pytest.mark.e2e


def test_a_release_that_drops_a_column_is_deployed_without_a_failed_request(kit):
    one = kit.release(1)
    kit.app.pilotage("deploy")
    assert kit.columns() == {"name", "price"}
    assert kit.app.serving() == one

    with load(kit.app.port) as seen:
        two = kit.release(2)
        said = kit.app.pilotage("deploy").out
        held = kit.versions[2][1][0]
        assert f"{held}/contract" in said, said
        assert kit.columns() == {"name", "price", "note"}
        kit.app.pilotage("rollback")  # still possible
        kit.app.pilotage("deploy", "--again")
        three = kit.release(3)
        kit.app.pilotage("deploy")
    assert kit.columns() == {"name", "note", "tag"}
    assert not seen.failures, seen.failures[:5]
    assert set(seen.answers) == {one, two, three}
    assert len(kit.ran()) == len(set(kit.ran())) == 4

    refused = kit.app.pilotage("rollback", one, status=1)
    assert f"{held}/contract" in refused.err
    kit.app.pilotage("rollback", two)
    assert kit.app.serving() == two
