"""What pilotage reasons about, as frozen values, and the one rule: a release *fits* a schema.

Everything here is pure. `fits` is asked by the planner for every plan, by the executor before every
migration step, start and switch, by the start gate of every instance, and by whatever answers for an
instance's readiness.

``rule`` halves, and `fits` · ``parts`` releases, instances, routes · ``sample`` what a release
answered · ``schema`` what the database says ·
``state`` what the Store keeps · ``observed`` all of it at one moment. Only ``rule`` is imported with the
package, and the others when one of their names is first used: what works on files alone needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.model.rule import (
    Applied,
    Fit,
    Half,
    HalfRef,
    Ships,
    cannot_return,
    contract,
    expand,
    fits,
    version_key,
)

if TYPE_CHECKING:
    from pilotage.model.observed import Observed
    from pilotage.model.parts import (
        RELEASE_ID_LENGTH,
        SESSION_PREFIX,
        Endpoint,
        Front,
        Host,
        Instance,
        Kind,
        Life,
        Release,
        Role,
        Route,
        release_id,
        session_name,
        session_release,
    )
    from pilotage.model.sample import Sample
    from pilotage.model.schema import (
        FOUND,
        REVERTING,
        HalfRow,
        Intent,
        Registration,
        SchemaView,
        Session,
        announced,
    )
    from pilotage.model.state import Closure, DeployState, HistoryEntry, LeaseRow, Spec, Stopped

__all__ = [
    "FOUND",
    "RELEASE_ID_LENGTH",
    "REVERTING",
    "SESSION_PREFIX",
    "Applied",
    "Closure",
    "DeployState",
    "Endpoint",
    "Fit",
    "Front",
    "Half",
    "HalfRef",
    "HalfRow",
    "HistoryEntry",
    "Host",
    "Instance",
    "Intent",
    "Kind",
    "LeaseRow",
    "Life",
    "Observed",
    "Registration",
    "Release",
    "Role",
    "Route",
    "Sample",
    "SchemaView",
    "Session",
    "Ships",
    "Spec",
    "Stopped",
    "announced",
    "cannot_return",
    "contract",
    "expand",
    "fits",
    "release_id",
    "session_name",
    "session_release",
    "version_key",
]


if not TYPE_CHECKING:  # a type checker reads the imports above, and so finds a name that is wrong

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from pilotage.model import observed, parts, sample, schema, state

        homes = (parts, schema, state, sample, observed)
        return next(getattr(home, name) for home in homes if hasattr(home, name))
