"""What is said of an event, in one line. Shared by every renderer for people. Pure."""

from __future__ import annotations

import re
import shlex

from pilotage import events
from pilotage.cli.text import count, plural, seconds
from pilotage.events import Event
from pilotage.verdict import measured


def of(event: Event, *, verbose: bool = False) -> str | None:
    """The line of an event, or None when it has none of its own (steps have their own form)."""
    match event:
        case events.LeaseTaken(took_over=str(owner)):
            return f"took the deploy lock over from {owner}, whose lease had expired"
        case events.LeaseWaiting():
            doing = f", now: {event.doing}" if event.doing else ""
            reason = f" ({event.reason})" if event.reason else ""
            waited = seconds(max(0.0, event.at - event.since))
            return f"waiting for {event.owner}{reason}, who has the lock since {waited}{doing}"
        case events.HalfStarted(done=done) if done:
            return f"{event.half} goes on after {plural(done, 'statement')} of {event.statements}"
        case events.HalfStatement() if verbose and event.statements > 1:
            return f"statement {event.number} of {event.statements}, {seconds(event.seconds)}"
        case events.StatementProgress():
            return statement_progress(event)
        case events.HalfRetried():
            wait = seconds(event.wait)
            return f"{event.half} did not get its lock: {event.why}; attempt {event.attempt + 1} in {wait}"
        case events.BackfillProgress():
            return backfill(event)
        case events.BackfillHeld():
            return f"backfill {event.version} pauses: {'; '.join(event.why)}"
        case events.BackfillResumed():
            return f"backfill {event.version} goes on after {seconds(event.seconds)}"
        case events.InstanceStarted():
            where = f" on {event.address}" if event.address else ""
            return f"{event.instance} started{where}"
        case events.InstanceHealthy():
            return f"{event.instance} healthy after {seconds(event.seconds)}"
        case events.InstanceStopped():
            how = "killed: it did not end within its grace" if event.killed else "stopped"
            return f"{event.instance} {how} ({seconds(event.seconds)})"
        case events.Switched():
            rest = f"; not yet on {', '.join(event.rest)}" if event.rest else ""
            return f"{event.release} has the traffic, confirmed by {', '.join(event.hosts)}{rest}"
        case events.EdgesClosed(mode="pause"):
            return f"{', '.join(event.hosts)} holds new requests"
        case events.EdgesClosed():
            return f"{', '.join(event.hosts)} answers new requests with the maintenance page"
        case events.EdgesOpened():
            return f"{', '.join(event.hosts)} passes requests on again"
        case events.Watched():
            return watched(event)
        case events.Judged(finding="unverified"):
            return f"{event.release} is unverified{_share(event.share)}: {event.why}"
        case events.Drained(left=0):
            return f"{event.host} drained in {seconds(event.seconds)}"
        case events.ContractHeld():
            return f"{', '.join(event.halves)} stays held: {'; '.join(event.why)}"
        case events.CommandRan() if verbose:
            return f"$ {command(event)}   ({ran(event)})"
        case events.HookStarted():
            return f"runs the hook {event.hook}: {event.path}"
        case events.HookEnded() if verbose or event.status:
            how = f", exit {event.status}" if event.status else ""
            return f"the hook {event.hook} took {seconds(event.seconds)}{how}"
        case events.Output():
            return f"{event.source} │ {event.line}"
        case events.Note():
            return event.text
    return None


_ID = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = 12  # as `docker ps` shows it


def command(event: events.CommandRan) -> str:
    """A command as a person would type it: it does the same, and fits on a line or two.

    Docker takes the beginning of an id, and how a program wants its answer is left out. Scripts are told as
    one character; JSON has every word.
    """
    words = [_ID.sub(lambda found: found[0][:_SHORT_ID], word) for word in event.argv]
    for option in ("--format", "-f"):
        while option in words[:-1] and "{{" in words[words.index(option) + 1]:
            at = words.index(option)
            del words[at : at + 2]
    return " ".join("…" if "\n" in word else shlex.quote(word) for word in words)


def ran(event: events.CommandRan) -> str:
    """Where a command ran, for how long, and how it ended where that was not well."""
    status = f", exit {event.status}" if event.status else ""
    return f"{event.host}, {seconds(event.seconds)}{status}"


def is_warning(event: Event) -> bool:
    """Whether the line is something to look at."""
    return (
        isinstance(
            event,
            (events.BackfillHeld, events.ContractHeld, events.HalfRetried, events.LeaseWaiting),
        )
        or (isinstance(event, events.Judged) and event.finding == "unverified")
        or (isinstance(event, events.Note) and event.level == "warning")
        or (isinstance(event, events.InstanceStopped) and event.killed)
    )


def statement_progress(event: events.StatementProgress) -> str:
    """How far a statement is."""
    share = f" {event.fraction:.0%}" if event.fraction is not None else ""
    which = f", statement {event.number} of {event.statements}" if event.statements > 1 else ""
    return f"{event.half}{which}: {event.phase}{share}"


def backfill(event: events.BackfillProgress) -> str:
    """How far a backfill is."""
    if event.fraction == 1.0:
        return f"{event.version}: {plural(event.rows, 'row')} changed"
    which = f"pass {event.number}, " if event.number > 1 else ""
    share = f"{event.fraction:.0%}, " if event.fraction is not None else ""
    eta = f", {seconds(event.eta)} left" if event.eta is not None else ""
    far = f"{count(event.rows)} rows, {count(round(event.rate))}/s{eta}"
    return f"{event.version}: {which}{share}{far}"


def watched(event: events.Watched) -> str:
    """How a release that is watched answers."""
    far = f"{event.elapsed:.0f} of {event.seconds:g} s"
    return f"{event.release}{_share(event.share)}, {far}: {measured(event.new, event.old)}"


def _share(share: float) -> str:
    return "" if share == 1 else f" with {share * 100:g} % of the requests"


def title(event: events.Planned) -> str:
    """The first line of a run."""
    plan = event.plan
    origin = plan.spec.from_ or "nothing"
    if plan.verb == "contract":
        return f"contract under release {plan.release.id}"
    if plan.verb == "return":
        return f"going back to {origin}"
    if plan.spec.from_ is None:
        return f"first deploy of {plan.spec.to}"
    way = plan.spec.to if origin == plan.spec.to else f"{origin} → {plan.spec.to}"
    return f"{plan.verb} {way}"
