"""Safe forms of changes to constraints and indexes, in PostgreSQL's SQL."""

# ruff: noqa: S608 - this SQL is shown to a person and never executed here

from __future__ import annotations

from pilotage.hazards.rewrites import NO_TRANSACTION, Rewriter, in_contract, section, sections
from pilotage.hazards.rewrites.postgresql.apart import in_steps, primary_key
from pilotage.hazards.rewrites.postgresql.naming import beside, quoted, tree, written
from pilotage.migrate.sql import change as c
from pilotage.migrate.sql.postgresql.names import index_name
from pilotage.migrate.sql.postgresql.tables import deparsed


class Constraints(Rewriter):
    """The part of the rewriter that is about constraints and indexes."""

    def add_constraint(self, change: c.AddConstraint, nullable: tuple[str, ...] = ()) -> str:
        """NOT VALID and VALIDATE in two transactions, or a unique index built beside writers."""
        if change.constraint.kind == "primary key":
            steps = primary_key(change.sql, change.table, nullable)
        else:
            steps = in_steps(change.sql)
        return section("expand", *steps, note=NO_TRANSACTION) if steps else ""

    def plain_domain(self, change: c.Create) -> str:
        """The domain by itself; each table demands the rest with a CHECK of its own."""
        node = tree(change.sql)
        del node.constraints[:]
        return section(
            "expand",
            deparsed(node),
            note="Each table that uses it takes a CHECK of its own, NOT VALID and validated later.",
        )

    def constrain_domain(self, change: c.ConstrainDomain) -> str:
        """NOT VALID first; validating stops writers of one table after the other."""
        node = tree(change.sql)
        constraint = getattr(node, "def").constraint
        name = change.constraint or f"{change.domain.name}_check"
        constraint.conname = name
        constraint.skip_validation, constraint.initially_valid = True, False
        return section(
            "expand",
            deparsed(node),
            f"ALTER DOMAIN {written(change.domain)} VALIDATE CONSTRAINT {quoted(name)}",
            note=NO_TRANSACTION,
        )

    def find_duplicates(self, table: c.Name, columns: tuple[str, ...], sql: str) -> str:
        """In contract, after a query that finds what would fail."""
        if "" in columns:
            return ""
        names = ", ".join(map(quoted, columns))
        query = (
            f"SELECT {names}, count(*) FROM {written(table)} "
            f"GROUP BY {names} HAVING count(*) > 1 LIMIT 5"
        )
        note = NO_TRANSACTION if " CONCURRENTLY " in sql.upper() else ""
        return sections(section("verify", query), in_contract(sql, note=note))

    def index(self, change: c.CreateIndex | c.Drop) -> str:
        """The same, CONCURRENTLY."""
        node = tree(change.sql)
        node.concurrent = True
        if isinstance(change, c.CreateIndex) and not change.name:
            node.idxname = index_name(change.table.name, node)
        return section("expand", deparsed(node), note=NO_TRANSACTION)

    def index_of_partitions(self, change: c.CreateIndex, partitions: tuple[c.Name, ...]) -> str:
        """An index ON ONLY the whole, which is valid once an index of each partition is attached."""
        node = tree(change.sql)
        whole = change.name or index_name(change.table.name, node)
        node.idxname, node.relation.inh = whole, False
        steps = [deparsed(node)]
        for partition in partitions or (c.Name(change.table.schema, "each_partition"),):
            node.concurrent, node.relation.inh = True, True
            node.relation.schemaname = partition.schema or ""
            node.relation.relname = partition.name
            node.idxname = index_name(partition.name, node)
            attached = beside(partition, node.idxname)
            steps.append(deparsed(node))
            steps.append(f"ALTER INDEX {beside(change.table, whole)} ATTACH PARTITION {attached}")
        return section("expand", *steps, note=NO_TRANSACTION)

    def build_index_anew(self, change: c.CreateIndex) -> str:
        """Whatever has the name is dropped first; nobody can use an index that is INVALID."""
        node = tree(change.sql)
        node.if_not_exists = False
        name = beside(change.table, change.name or "")
        return section(
            "expand",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            deparsed(node),
            note=NO_TRANSACTION,
        )

    def replace_index(self, drop: c.Drop, create: c.CreateIndex) -> str:
        """Built under another name where it has the old one's, which it takes in the end."""
        node = tree(create.sql)
        node.concurrent = True
        same = create.name == drop.name.name
        node.idxname = f"{create.name}_new" if same or not create.name else create.name
        old = written(drop.name)
        steps = [deparsed(node), f"DROP INDEX CONCURRENTLY {old}"]
        if same:
            steps.append(
                f"ALTER INDEX {beside(drop.name, node.idxname)} RENAME TO {quoted(drop.name.name)}"
            )
        return section("expand", *steps, note=NO_TRANSACTION)

    def reindex(self, change: c.Rewrite) -> str:
        """The same, CONCURRENTLY; there is no such form for the system's own tables."""
        if change.kind == "system":
            return ""
        node = tree(change.sql)
        node.params.add().def_elem.defname = "concurrently"
        return section("expand", deparsed(node), note=NO_TRANSACTION)
