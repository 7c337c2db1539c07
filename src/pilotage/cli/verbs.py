"""What deploy, rollback and contract share: they show their events, and end in one result."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import click

from pilotage import events
from pilotage.cli import text
from pilotage.cli.failure import Interrupted
from pilotage.cli.options import Settings
from pilotage.cli.project import configuration, hooks_for, opened_with
from pilotage.cli.render import renderer
from pilotage.cli.render.lines import print_json
from pilotage.cli.running import run, told
from pilotage.cli.selecting import Selectors
from pilotage.cli.standing import standing
from pilotage.errors import HookFailed, PilotageError, Refused
from pilotage.events import Emit, Event
from pilotage.hooks import Hook, Hooks
from pilotage.observe import observe
from pilotage.plan import Plan
from pilotage.steps import Stop
from pilotage.wiring import Project, Use

Story = Callable[[Project, Emit], Awaitable[Plan]]
"""One verb on an open project; returns the plan that it ran."""


@dataclass(slots=True)
class Tally:
    """Counts what happens on the way, for the result."""

    show: Emit
    switched: list[events.Switched] = field(default_factory=list)
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    judged: events.Judged | None = None
    plan: Plan | None = None
    failed: str = ""

    @property
    def skew_ms(self) -> float | None:
        """How long two releases got new requests."""
        return events.skew_ms(self.switched)

    def __call__(self, event: Event) -> None:
        """Count, and show."""
        match event:
            case events.Planned():
                self.plan = event.plan
            case events.Switched():
                self.switched.append(event)
            case events.Judged():
                self.judged = event
            case events.StepFailed():
                self.failed = event.step
            case events.HookEnded() if event.status:
                self.failed = f"the hook {event.hook}"
            case events.ContractHeld():
                self.held |= dict.fromkeys(event.halves, event.why)
        self.show(event)


def carry_out(
    settings: Settings,
    verb: str,
    story: Story,
    *,
    version: str | None = None,
    selectors: Selectors | None = None,
) -> None:
    """Run a verb that takes the deploy lock, show it, and print its result.

    ``selectors``: where it is about some hosts, and the others need not answer.

    Raises
    ------
    PilotageError
        It failed or was refused; with ``--json`` the result says so as well.
    """
    began = time.monotonic()
    tally: Tally | None = None
    try:
        with renderer(settings) as show:
            tally = Tally(show)
            plan = run(_tell(settings, tally, story, version, selectors or Selectors()))
    except PilotageError as error:
        if settings.as_json:
            outcome = "interrupted" if isinstance(error, Interrupted) else "failed"
            print_json(result_json(verb, outcome, tally, began, error), settings)
        raise
    except Exception as error:
        if settings.as_json:
            told = PilotageError(f"pilotage itself failed: {type(error).__name__}: {error}")
            print_json(result_json(verb, "failed", tally, began, told), settings)
        raise
    if settings.as_json:
        print_json(result_json(verb, "done", tally, began, None), settings)
    else:
        for line in _summary(verb, plan, tally, began):
            click.echo(line)


async def _tell(
    settings: Settings,
    tally: Tally,
    story: Story,
    version: str | None,
    selectors: Selectors,
) -> Plan:
    began = time.monotonic()
    config = configuration(settings, deploying=True, version=version)
    places = selectors.asked(config)
    hosts, roles = selectors.hosts_of(config), selectors.wanted_roles
    hooks = hooks_for(config, settings, tally, version=version, hosts=hosts, roles=roles)
    try:
        async with opened_with(
            config,
            hooks,
            settings,
            tally,
            use=Use.ACT,
            changes=True,
            selected=tuple(dict.fromkeys(place.host for place in places)) if places else None,
        ) as project:

            async def left() -> tuple[str, str]:
                stands = standing(await observe(project.world))
                return stands.state, stands.next or "see `pilotage status`"

            plan = await told(story(project, tally), left)
        await _afterwards(hooks, plan, began)
    except PilotageError as error:
        await hooks.failed(
            error,
            version=tally.plan.release.revision if tally.plan else None,
            step=tally.failed,
            outcome=_outcome(error),
            runtime=time.monotonic() - began,
        )
        raise
    return plan


async def _afterwards(hooks: Hooks, plan: Plan, began: float) -> None:
    """``post-deploy``, once everything is done and the lock is free."""
    if plan.verb not in ("deploy", "rollback") or not plan.steps:
        return
    runtime = str(round(time.monotonic() - began))
    details = {"RUNTIME": runtime, "RELEASE": plan.release.id}
    try:
        await hooks.run(Hook.POST_DEPLOY, version=plan.release.revision, details=details)
    except HookFailed as error:
        error.state = f"release {plan.release.id} is what runs now: nothing of it is undone"
        error.next = "do by hand what the hook should have done"
        raise


def _outcome(error: PilotageError) -> str:
    if isinstance(error, Interrupted):
        return "interrupted"
    return "refused" if isinstance(error, Refused) else "failed"


def result_json(
    verb: str, outcome: str, tally: Tally | None, began: float, error: PilotageError | None
) -> dict[str, Any]:
    """The last line of ``--json``: one object."""
    plan = tally.plan if tally else None
    return {
        "event": "Result",
        "verb": verb,
        "outcome": outcome,
        "from": plan.spec.from_ if plan else None,
        "to": plan.spec.to if plan else None,
        "release": plan.release.to_json() if plan else None,
        "steps": len(plan.steps) if plan else 0,
        "fingerprint": plan.fingerprint if plan else None,
        "held": _held(plan, tally),
        "skew_ms": tally.skew_ms if tally else None,
        "verdict": _verdict(tally),
        "seconds": round(time.monotonic() - began, 3),
        "error": error.to_json() if error else None,
    }


def _verdict(tally: Tally | None) -> dict[str, str] | None:
    if tally is None or tally.judged is None:
        return None
    return {"finding": tally.judged.finding, "why": tally.judged.why}


def _held(plan: Plan | None, tally: Tally | None) -> list[str]:
    held = [str(ref) for ref in plan.held] if plan else []
    return [*held, *(name for name in (tally.held if tally else ()) if name not in held)]


def _summary(verb: str, plan: Plan, tally: Tally, began: float) -> list[str]:
    """What a person reads last."""
    mark = text.good("✓")
    took = text.seconds(time.monotonic() - began)
    if not plan.steps:
        return [f"{mark} {_nothing(verb, plan)}"]
    if verb == "stop":
        stopped = [i for step in plan.steps if isinstance(step, Stop) for i in step.instances]
        count = text.plural(len(stopped), "instance")
        return [f"{mark} {count} stopped, after {took}; `pilotage app start` starts it again"]
    lines = []
    if verb == "contract":
        halves = len([ref for step in plan.steps for ref in getattr(step, "refs", ())])
        lines.append(
            f"{mark} {text.heading(text.plural(halves, 'half') + ' contracted')} in {took}"
        )
    else:
        skew = f", switched within {_short(tally.skew_ms)}" if tally.skew_ms else ""
        done = text.heading(f"{plan.release.id} is what runs {'there ' if plan.left else ''}now")
        lines.append(f"{mark} {done}, after {took}{skew}")
        lines += _left(plan)
        if tally.judged:
            told = f"{tally.judged.finding}: {tally.judged.why}"
            lines += text.wrapped(told, indent=4, first="  ")
    held = _held(plan, tally)
    if held:
        lines += text.wrapped(f"held: {', '.join(held)}; {_when_held(plan)}", indent=4, first="  ")
    return lines


def _short(milliseconds: float) -> str:
    """A skew: milliseconds, or what a rollout in turns takes."""
    few = milliseconds < 1000
    return f"{milliseconds:.1f} ms" if few else text.seconds(milliseconds / 1000)


def _left(plan: Plan) -> list[str]:
    """What was not selected and is not at the release."""
    if not plan.left:
        return []
    places = dict.fromkeys(f"{i.role or 'unknown'} on {i.host}" for i in plan.left)
    line = (
        f"left as it is: {', '.join(places)}; `pilotage deploy --version {plan.spec.to}` brings the rest to "
        f"{plan.spec.to}, and no contract half runs before"
    )
    return text.wrapped(line, indent=4, first=f"  {text.warn('!')} ")


def _nothing(verb: str, plan: Plan) -> str:
    if verb == "contract":
        return "nothing is held: there is nothing to contract"
    if verb == "stop":
        return "nothing of it runs: there is nothing to stop"
    return f"{plan.release.id} is what runs already; nothing to do"


def _when_held(plan: Plan) -> str:
    return "`pilotage plan` says when it goes" if plan.verb == "deploy" else "`pilotage contract`"
