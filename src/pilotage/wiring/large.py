"""Which pending halves would take long in a deploy, because a table of theirs is large."""

from __future__ import annotations

from pilotage.errors import DatabaseError
from pilotage.migrate.heavy import Heavy, heavy
from pilotage.migrate.migration import Migrations
from pilotage.model import Half, HalfRef, SchemaView
from pilotage.wiring.project import Project


async def suggestions(
    project: Project, migrations: Migrations, view: SchemaView
) -> tuple[str, ...]:
    """A sentence for each pending half that is better run apart from the deploy; for ``plan``.

    Rows are the database's own estimate. Nothing where it cannot be asked, or nobody uses it yet.
    """
    from pilotage.migrate.runner import SqlSchema

    schema, configured = project.world.schema, project.config.migrations
    if not isinstance(schema, SqlSchema) or configured is None or view.fresh or not view.exists:
        return ()
    work = [
        one
        for migration in migrations
        for half in Half
        if migration.section(half) is not None
        and not migration.replaces
        and not migration.out_of_band(half)
        and not view.applied.has(HalfRef(migration.version, half))
        for one in heavy(migration, half, schema.dialect)
    ]
    try:
        rows = await schema.estimates(sorted({one.sql_name(schema.dialect) for one in work}))
    except DatabaseError:
        return ()
    apart = " --detach" if project.config.target == "local" else ""
    return tuple(
        _sentence(one, found, apart)
        for one in work
        if (found := rows.get(one.sql_name(schema.dialect))) is not None
        and found >= configured.large_table
    )


def _sentence(work: Heavy, rows: int, apart: str) -> str:
    ref = work.ref
    name = ref.version if ref.half is Half.EXPAND else str(ref)
    return (
        f"{ref} {work.does} {work.table}, which has about {rows:,} rows: the deploy waits for it. With "
        f"`-- pilotage: out-of-band` in its section, `pilotage migrate run {name}{apart}` does it apart"
    )
