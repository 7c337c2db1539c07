"""The application's own classes in the migrations of a framework: read as source, never run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """A class of the application in a migration: where it comes in, and what to write instead.

    ``at`` counts characters of the file.
    """

    name: str
    at: int
    instead: str = ""
