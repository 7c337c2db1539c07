"""What a page needs to know of the service that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pilotage.wiring import Project


@dataclass(frozen=True, slots=True)
class About:
    """``dialect`` of the database, None without one. ``contract``: next, auto or manual."""

    service: str
    destination: str | None = None
    dialect: str | None = None
    contract: str = "next"

    @property
    def title(self) -> str:
        """The service, and where it is deployed."""
        return f"{self.service} ({self.destination})" if self.destination else self.service

    @classmethod
    def project(cls, project: Project) -> Self:
        """What there is to know of an open project."""
        return cls(
            project.service, project.config.destination, project.dialect, project.policy.contract
        )
