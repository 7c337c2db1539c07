"""Safe forms in PostgreSQL's SQL."""

from __future__ import annotations

from pilotage.hazards.rewrites.postgresql.columns import Columns
from pilotage.hazards.rewrites.postgresql.constraints import Constraints
from pilotage.hazards.rewrites.postgresql.tables import Tables


class PostgreSQL(Columns, Constraints, Tables):
    """`pilotage.hazards.rewrites.Rewriter` for PostgreSQL."""


REWRITER = PostgreSQL()
