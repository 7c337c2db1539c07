"""``pilotage maintenance``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pilotage.cli.closing import act, duration, read_page, replaced
from pilotage.cli.instead import without
from pilotage.cli.options import Settings, common, deploying, json_option
from pilotage.errors import UsageError

if TYPE_CHECKING:
    from pilotage.events import Emit
    from pilotage.maintenance import Changed
    from pilotage.wiring import Project


@click.command("maintenance")
@click.option("--message", metavar="TEXT", help="What the page says.")
@click.option(
    "--page", metavar="FILE", type=click.Path(path_type=Path), help="A page of your own instead."
)
@click.option(
    "--status",
    metavar="CODE",
    type=click.IntRange(200, 599),
    default=503,
    show_default=True,
    help="The status of every answer.",
)
@click.option(
    "--retry-after",
    metavar="TIME",
    callback=duration,
    default="2m",
    show_default=True,
    help="When clients may come back; 0 says nothing of it.",
)
@without(
    "--drain-timeout",
    "requests in flight end as they would, however long they take",
    "leave it out; `pilotage app stop` ends what runs, after `drain_timeout`",
)
@deploying
@json_option
@common
def command(
    settings: Settings,
    *,
    message: str | None,
    page: Path | None,
    status: int,
    retry_after: float,
    lock_wait: float,
    reason: str,
) -> None:
    """Answer every new request at the edge with a page, until `pilotage live`.

    Requests in flight end as they would. What runs goes on running. A deploy, a rollback or a contract
    leaves the maintenance on. Run it again to change the page; it ends a pause.

    The page of --page is one file of UTF-8, HTML unless its name ends in .txt, .json or .xml, of at
    most 256 KiB.
    """
    from pilotage.cli.project import claim
    from pilotage.maintenance import close
    from pilotage.model import Front
    from pilotage.page import MESSAGE, maintenance

    if message is not None and page is not None:
        raise UsageError("--message and --page exclude each other", state="nothing was changed")
    after = round(retry_after) or None
    if page is None:
        front = maintenance(message or MESSAGE, status=status, retry_after=after)
    else:
        body, kind = read_page(page)
        front = Front("maintenance", body, kind, status=status, retry_after=after)
    said = message or (f"the page {page.name}" if page else "")

    async def action(project: Project, emit: Emit) -> Changed:
        who = claim("maintenance", reason=reason, wait=lock_wait)
        return await close(project.world, project.layout, front, who, emit, message=said)

    def words(changed: Changed) -> str:
        where = ", ".join(changed.hosts)
        return (
            f"maintenance is on: new requests get {status} from {where}"
            f"{replaced(changed.before, 'maintenance')}; `pilotage live` ends it"
        )

    act(settings, "maintenance", action, words)
