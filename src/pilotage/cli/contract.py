"""``pilotage contract``."""

from __future__ import annotations

import click

from pilotage.cli.options import Settings, common, deploying, json_option


@click.command("contract")
@click.argument("versions", metavar="[VERSION]...", nargs=-1)
@click.option(
    "--expect", metavar="FINGERPRINT", help="Refuse any other plan than the one that was read."
)
@deploying
@json_option
@common
def command(
    settings: Settings,
    *,
    versions: tuple[str, ...],
    expect: str | None,
    lock_wait: float,
    reason: str,
) -> None:
    """Apply held contract halves of the release that runs.

    With VERSION only those, out-of-band ones included. First comes the proof that nothing older runs
    anywhere: no instance on any host, no console, no database session. This is the point of no
    return: after it the releases before cannot be rolled back to.
    """
    from pilotage import deploy as verb
    from pilotage.cli.project import claim
    from pilotage.cli.verbs import carry_out
    from pilotage.errors import UsageError
    from pilotage.events import Emit
    from pilotage.model import contract
    from pilotage.observe import observe
    from pilotage.plan import Plan
    from pilotage.wiring import Project, contract_goal
    from pilotage.wiring.schema_file import record_after

    async def story(project: Project, emit: Emit) -> Plan:
        goal = await contract_goal(project, await observe(project.world))
        known = {migration.version for migration in goal.files}
        wrong = [v for v in versions if v.removesuffix("/contract") not in known]
        if wrong and not all(v.removesuffix("/contract").isdecimal() for v in wrong):
            raise UsageError(
                f"{wrong[0]!r} is not the version of a migration",
                next="see the held halves in `pilotage status`",
            )
        only = tuple(contract(version.removesuffix("/contract")) for version in versions) or None
        who = claim(f"contract under {goal.release.id}", reason=reason, wait=lock_wait)
        plan = await verb.contract(project.world, goal, who, emit, only=only, expect=expect)
        await record_after(plan, project, emit)
        return plan

    carry_out(settings, "contract", story)
