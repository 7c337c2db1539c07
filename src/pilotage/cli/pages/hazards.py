"""Findings for a person: where, what, why, and the SQL to write instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click

from pilotage.cli import text
from pilotage.hazards.finding import Finding, Severity
from pilotage.hazards.lint import Report, why


def show(report: Report, *, quiet: bool = False, notes: Sequence[str] = ()) -> None:
    """Print a report. Wrapped and coloured for a terminal; in a file each sentence keeps its line."""
    terminal = sys.stdout.isatty()
    lines = _Page(terminal).lines(report, quiet=quiet, notes=notes)
    click.echo("\n".join(lines)) if terminal else sys.stdout.write("\n".join(lines) + "\n")


def diff(report: Report) -> str:
    """What ``--fix`` would change, as one unified diff."""
    from difflib import unified_diff

    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for fixed in report.fixes
        for line in unified_diff(
            fixed.before.splitlines(keepends=True),
            fixed.after.splitlines(keepends=True),
            f"a/{fixed.path}",
            f"b/{fixed.path}",
        )
    )


class _Page:
    """How things look: with styles on a terminal, plain elsewhere."""

    def __init__(self, terminal: bool) -> None:
        self.terminal = terminal
        self.told: set[str] = set()

    def style(self, words: str, **style: object) -> str:
        return click.style(words, **style) if self.terminal else words  # type: ignore[arg-type]

    def lines(self, report: Report, *, quiet: bool, notes: Sequence[str]) -> Iterator[str]:
        for finding in report.findings:
            yield from self._short(finding) if quiet else self._whole(finding)
        left = [(f, reason) for fixed in report.fixes for f, reason in fixed.left]
        for finding, reason in left:
            where = f"{finding.where}: {finding.rule}"
            yield from self._wrapped(f"not fixed: {reason}", f"{where} ", indent=2)
        if not quiet:
            for note in notes:
                yield from self._wrapped(note, self.style("note: ", dim=True), indent=2)
            yield from self._sum(report)

    def _short(self, finding: Finding) -> Iterator[str]:
        yield f"{finding.where}:{finding.column}: {finding.rule} ({finding.class_}) {finding.message}"

    def _whole(self, finding: Finding) -> Iterator[str]:
        error = finding.severity is Severity.ERROR
        colour = "red" if error else "yellow"
        place = self.style(f"{finding.where}:{finding.column}", bold=True)
        kind = self.style(f"{finding.severity} {finding.rule}", fg=colour)
        yield f"{place}  {kind}  {self.style(f'{finding.class_}, {finding.half}', dim=True)}"
        yield from self._wrapped(finding.message, "  ", indent=2)
        if finding.measured:
            yield from self._wrapped(
                finding.measured, self.style("  measured: ", dim=True), indent=12
            )
        if finding.rule not in self.told:  # why it matters is said once
            self.told.add(finding.rule)
            yield from self._wrapped(why(finding.rule), self.style("  why: ", dim=True), indent=7)
        if finding.rewrite:
            yield self.style("  instead:", dim=True)
            for line in finding.rewrite.splitlines():
                yield self._sql(line)
        yield ""

    def _sql(self, line: str) -> str:
        if not line:
            return ""
        return "    " + (self.style(line, fg="cyan") if line.startswith("-- ") else line)

    def _wrapped(self, body: str, first: str, *, indent: int) -> Iterator[str]:
        if self.terminal:
            for part in body.splitlines():
                yield from text.wrapped(part, indent=indent, first=first)
                first = " " * indent
        else:
            yield first + body.replace("\n", "\n" + " " * indent)

    def _sum(self, report: Report) -> Iterator[str]:
        fixed = sum(len(one.fixed) for one in report.fixes)
        done = f"{text.plural(fixed, 'hazard')} fixed; " if fixed else ""
        skipped = (
            f"; {text.plural(len(report.skipped), 'half')} applied already, not judged"
            if report.skipped
            else ""
        )
        files = text.plural(report.files, "file")
        if not report.findings:
            mark = self.style("✓", fg="green")
            yield f"{mark} {done}no hazards in {files}{skipped}"
            return
        errors = sum(f.severity is Severity.ERROR for f in report.findings)
        classes: dict[str, int] = {}
        for finding in report.findings:
            classes[str(finding.class_)] = classes.get(str(finding.class_), 0) + 1
        parts = ", ".join(f"{count} {name}" for name, count in sorted(classes.items()))
        warnings = len(report.findings) - errors
        yield (
            f"{done}{text.plural(errors, 'error')} and {text.plural(warnings, 'warning')} "
            f"in {files}: {parts}{skipped}"
        )
        yield from self._help(report)

    def _help(self, report: Report) -> Iterator[str]:
        from pilotage.hazards.fix import mechanical

        fixable = sum(mechanical(f) for f in report.findings) if not report.fixes else 0
        if fixable:
            yield self.style(
                f"{text.plural(fixable, 'rewrite')} can be written by --fix; --diff shows them first",
                dim=True,
            )
        yield self.style(
            "what is safe passes with a reason: -- pilotage: allow=RULE because …", dim=True
        )
