"""Secrets files. Every value is what Kamal 2.11.0 reads (``kamal secrets print``), unless it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.config import dotenv
from pilotage.config.secrets import Secrets
from pilotage.errors import ConfigError, SecretMissing
from pilotage.secret import Secret

ENVIRON = {"HOME": "/home/jane", "PATH": "/usr/bin:/bin", "A": "from environment"}

VALUES = [
    ("B=plain", "plain"),
    ('B="double"', "double"),
    ("B='single $A'", "single $A"),
    ("B=  spaced value  ", "spaced value"),
    ("B=un # comment", "un"),
    ('B="quoted # not comment" # comment', "quoted # not comment"),
    ("B='it''s'", "it''s"),
    (r'B="a\"b"', 'a"b'),
    (r"B='a\'b'", r"a\'b"),
    (r'B="tab\tx"', "tabtx"),
    (r'B="line\nbreak"', r"line\nbreak"),
    (r"B=line\nbreak", "linenbreak"),
    ('B="multi\n line $HOME\nend"', "multi\n line /home/jane\nend"),
    ("B='multi\n$A'", "multi\n$A"),
    ("export B=exported", "exported"),
    ("  B=indented", "indented"),
    ("B = spaced", "spaced"),
    ("B: yaml style", "yaml style"),
    ("B=", ""),
    ('B=""', ""),
    ("A=1\nB=$A-${A}", "1-1"),
    ('A=1\nB="$A ${A}"', "1 1"),
    (r"B=\$A", "$A"),
    (r'B="\$A"', "$A"),
    ("A=1\nB=$(echo cmd $A)", "cmd 1"),
    ("B='$(echo no)'", "$(echo no)"),
    (r"B=\$(echo no)", "$(echo no)"),
    ("B=a$(echo 1)b$(echo 2)c", "a1b2c"),
    ("B=$(echo $(echo nested))", "nested"),
    ("B=$UNDEFINED", ""),
    ("B=pre$UNDEFINED.post", "pre.post"),
    ("B=cost$5", "cost"),
    ("B=a$", "a$"),
    ("B=100%", "100%"),
    ("B=a=b=c", "a=b=c"),
    (r"B=a\\b", r"a\b"),
    (r'B="a\\nb"', r"a\nb"),
    ("B=föö", "föö"),
    ("B=\"mixed 'quotes'\"", "mixed 'quotes'"),
    ("B='mixed \"quotes\"'", 'mixed "quotes"'),
    ("A=1\nB=${A:-x}", "1:-x}"),
    ("B=`echo backtick`", "`echo backtick`"),
    ('B="unterminated', '"unterminated'),
    ('B=foo"bar"baz', 'foo"bar"baz'),
    ('B=$(echo "$HOME")', "/home/jane"),
    ('B={"json": "value"}', '{"json": "value"}'),
    ('B={"json": "va#lue"}', '{"json": "va'),
    ("B=a\tb", "a\tb"),
    ("B=x#y", "x"),
    ('B="x"#y', "x"),
    ("B=(paren)", "(paren)"),
    (r"B=$(echo \))", ")"),
    ("A=1\nB=$A\nA=2", "1"),
    ("B=1\nB=2", "2"),
    ("B=$A", "from environment"),
    ("A=file\nB=$A", "file"),
    ("A.b=1\r\nB=2\r\n", "2"),
    # as the shell has it, where Kamal 2.11 stops at the first parenthesis
    ("B=\"$(echo 'q)q')\"", "q)q"),
    ('B=$(echo "x)y")', "x)y"),
]


def _secrets(root: Path, *, run: bool = True, **files: str) -> Secrets:
    paths = []
    for name, text in files.items():
        path = root / ".kamal" / name.replace("_", "-")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        paths.append(path)
    return Secrets(
        root=root,
        files=paths or [root / ".kamal/secrets", root / ".pilotage/secrets"],
        environ=ENVIRON,
        run_commands=run,
    )


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values(text: str, value: str, tmp_path: Path) -> None:
    found = _secrets(tmp_path, secrets=text).find("B")
    assert found == Secret(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [("A=1\nnonsense here\nB=2", 2), ("A-B=1", 1), ("A:1", 1), ("# x\n\nA=1\nB\n", 4)],
)
def test_a_line_that_is_no_assignment(text: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither NAME=value nor a comment") as caught:
        _secrets(tmp_path, secrets=text)
    assert caught.value.where == f".kamal/secrets:{line}"


def test_export_of_what_is_set_already_means_nothing() -> None:
    assert [entry.name for entry in dotenv.parse("A=1\nexport A\n", "f")] == ["A"]


def test_a_later_file_wins_and_sees_only_itself_and_the_environment(tmp_path: Path) -> None:
    secrets = _secrets(tmp_path, secrets_common="A=common\nB=common\n", secrets="B=own\nC=$A\n")
    assert secrets.find("A") == Secret("common")
    assert secrets.find("B") == Secret("own")
    assert secrets.find("C") == Secret("from environment")


def test_a_command_runs_once_and_only_when_it_is_needed(tmp_path: Path) -> None:
    text = "ALL=$(echo x >> ran; echo all)\nONE=$(echo $ALL | tr a-z A-Z)\nTWO=$ALL\nNONE=1\n"
    secrets = _secrets(tmp_path, secrets=text)
    assert secrets.find("NONE") == Secret("1")
    assert not (tmp_path / "ran").exists()
    assert secrets.find("ONE") == Secret("ALL")
    assert secrets.find("TWO") == Secret("all")
    assert (tmp_path / "ran").read_text() == "x\n"


def test_commands_that_may_not_run(tmp_path: Path) -> None:
    text = "A=$(touch ran)\nB=pre-$A\nC=plain\n"
    secrets = _secrets(tmp_path, run=False, secrets=text)
    assert secrets.find("B") == Secret("pre-[not run: touch ran]")
    assert secrets.find("C") == Secret("plain")
    assert not (tmp_path / "ran").exists()
    assert secrets.pending("B") == (".kamal/secrets:1: touch ran",)
    assert secrets.pending("C") == ()
    assert secrets.not_run() == (".kamal/secrets:1: touch ran",)
    assert set(secrets.known()) == {"C"}


def test_a_command_that_fails_is_an_error_and_not_an_empty_secret(tmp_path: Path) -> None:
    secrets = _secrets(tmp_path, secrets="\nTOKEN=abcd1234\nA=$(test $TOKEN = b)\n")
    with pytest.raises(ConfigError) as caught:
        secrets.find("A")
    assert caught.value.where == ".kamal/secrets:3"
    assert "`test $TOKEN = b` ended with exit status 1" in caught.value.what
    assert "abcd1234" not in str(caught.value)


def test_a_missing_secret_names_itself_who_needs_it_and_the_files(tmp_path: Path) -> None:
    secrets = _secrets(tmp_path, secrets_common="A=1", secrets="B=1")
    with pytest.raises(SecretMissing) as caught:
        secrets.require("C", where="deploy.yml", key="env.secret", what="the role web")
    assert str(caught.value) == (
        "deploy.yml: the role web needs the secret C, which is not in .kamal/secrets-common or "
        ".kamal/secrets\n  next:  add a line C=… to .kamal/secrets"
    )
    (tmp_path / "empty").mkdir()
    secrets = _secrets(tmp_path / "empty")
    with pytest.raises(SecretMissing) as caught:
        secrets.require("C", where="deploy.yml", key="env.secret", what="the role web")
    assert "there is no secrets file (.kamal/secrets, .pilotage/secrets)" in caught.value.what
    assert caught.value.next == "add a line C=… to .pilotage/secrets"


def test_what_is_known_covers_passwords_in_urls(tmp_path: Path) -> None:
    secrets = _secrets(tmp_path, secrets="URL=postgresql://app:p%40ss%20word@db/shop\nE=\n")
    assert secrets.url("URL", where="f", key="k") == Secret(
        "postgresql://app:p%40ss%20word@db/shop"
    )
    values = {value.reveal() for value in secrets.known().values()}
    assert values == {"postgresql://app:p%40ss%20word@db/shop", "p%40ss%20word", "p@ss word"}
