"""Aliases of a project: found where a word is no command, and never in place of one."""

from __future__ import annotations

import pytest

from pilotage.cli import main
from pilotage.cli.aliases import WHY_NOT
from pilotage.cli.app import COMMANDS

CONFIG = """\
service: shop
target: local
servers: {web: {cmd: run}}
aliases:
  doc: config --json
  again: doc
  loop: pool
  pool: loop
  console: app exec --interactive --reuse "bin/rails console"
  history: details
  db: accessory exec db psql
  typo: depoly now
  open: 'app exec "x'
  empty: ' '
"""

BUILT = {name for section in COMMANDS.values() for name in section}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "deploy.yml").write_text(CONFIG)
    (tmp_path / "config" / "deploy.staging.yml").write_text("aliases: {only: config --json}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_alias_and_an_alias_of_an_alias(capsys):
    assert main(["doc"]) == 0
    first = capsys.readouterr().out
    assert '"service": "shop"' in first
    assert main(["again"]) == 0
    assert capsys.readouterr().out == first


def test_further_arguments_are_appended(capsys):
    assert main(["console", "--help"]) == 0
    assert "pilotage app exec" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["-d", "staging", "only"],
        ["only", "-d", "staging"],
        ["only", "-dstaging"],
        ["only", "--destination=staging"],
    ],
)
def test_aliases_of_a_destination(arguments, capsys):
    assert main(arguments) == 0
    assert '"destination": "staging"' in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["-c", "other.yml", "mine"], ["mine", "-c", "other.yml"]])
def test_aliases_of_another_file(project, arguments, capsys):
    (project / "other.yml").write_text(CONFIG.replace("doc:", "mine:"))
    assert main(arguments) == 0
    assert '"service": "shop"' in capsys.readouterr().out


def test_a_command_wins_over_an_alias_of_its_name(capsys):
    assert main(["history", "--help"]) == 0
    assert "pilotage history" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("loop", "The alias 'loop' stands for itself"),
        ("typo", "The alias 'typo' stands for 'depoly'"),
        ("db", "accessories are containers"),
        ("open", "The alias 'open': No closing quotation"),
        ("empty", "stands for nothing"),
        ("depoly", "Did you mean 'deploy'?"),
    ],
)
def test_what_is_refused(word, said, capsys):
    if word == "db" and "accessory" in BUILT:
        word, said = "upgrade", "Kamal 1"
    assert main([word]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("word", sorted(set(WHY_NOT) - BUILT))
def test_a_word_of_kamal_says_what_to_do_instead(word, capsys):
    assert main([word]) == 2
    assert WHY_NOT[word].split()[0] in capsys.readouterr().err


def test_a_configuration_that_cannot_be_read_is_named(project, capsys):
    (project / "config" / "deploy.yml").write_text("servce: shop\n")
    assert main(["doc"]) == 2
    assert "whether it is an alias cannot be told" in capsys.readouterr().err
