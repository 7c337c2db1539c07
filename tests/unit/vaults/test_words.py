"""``$(kamal secrets …)`` in a secrets file is answered without Kamal; values arrive byte for byte."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from pilotage.cli import main
from pilotage.config import Config, load_config
from pilotage.errors import ConfigError, SecretMissing
from pilotage.vaults import extract, is_ours, shell_escaped
from pilotage.vaults.fetch import dumped

NASTY = 'it\'s "q" $HOME $(id) `id` \\n \\ ) } ; | & ü 漢\nsecond line\n'

CONFIG = "service: shop\ntarget: local\nservers: {web: {cmd: run}}\nenv: {secret: [PW]}\n"


def loaded(root: Path, secrets: str, environ: dict[str, str]) -> Config:
    (root / "config").mkdir(exist_ok=True)
    (root / "config" / "deploy.yml").write_text(CONFIG)
    (root / ".kamal").mkdir(exist_ok=True)
    (root / ".kamal" / "secrets").write_text(secrets)
    return load_config(root / "config" / "deploy.yml", environ=environ, run_commands=True)


@pytest.fixture
def lastpass(vendor):
    vendor.install("lpass").teach("status", "Logged in as me.\n")
    return vendor.teach("show", [{"fullname": "Fold/PW", "password": NASTY}])


@pytest.mark.parametrize("program", ["kamal", "pilotage", "bin/kamal", "bundle exec kamal"])
def test_fetch_and_extract(program, lastpass, tmp_path):
    text = (
        f"SECRETS=$({program} secrets fetch --adapter lastpass --account me --from Fold PW)\n"
        f"PW=$({program} secrets extract PW $SECRETS)\n"
        f"WHOLE=$({program} secrets extract Fold/PW ${{SECRETS}})\n"
    )
    config = loaded(tmp_path, text, dict(lastpass.environ))
    # The last line break is lost, as in every `$(…)`.
    assert {n: s.reveal() for n, s in config.store.all().items() if n != "SECRETS"} == {
        "PW": NASTY.removesuffix("\n"),
        "WHOLE": NASTY.removesuffix("\n"),
    }
    assert len(lastpass.asked()) == 3, "asked once: a status twice, and the secret"


def test_options_with_an_equals_sign_and_in_any_order(lastpass, tmp_path):
    text = (
        "SECRETS=$(kamal secrets fetch PW -a lastpass --from=Fold --account=me)\n"
        "PW=$(kamal secrets extract PW $SECRETS)\n"
    )
    assert loaded(tmp_path, text, dict(lastpass.environ)).store.find("PW")


def test_an_error_names_the_line_and_never_a_value(lastpass, tmp_path):
    text = (
        "SECRETS=$(kamal secrets fetch --adapter lastpass --account me --from Fold PW)\n"
        "PW=$(kamal secrets extract PASSWORD $SECRETS)\n"
    )
    config = loaded(tmp_path, text, dict(lastpass.environ))
    with pytest.raises(SecretMissing) as missing:
        config.store.find("PW")
    error = missing.value
    assert error.what == "PW: PASSWORD is not among the secrets that were fetched"
    assert (error.where, error.next) == (".kamal/secrets:2", "there are: Fold/PW")
    (lastpass.folder / "lpass").unlink()
    with pytest.raises(ConfigError, match="SECRETS: LastPass is asked by its program") as gone:
        loaded(tmp_path, text, dict(lastpass.environ)).store.find("PW")
    assert gone.value.where == ".kamal/secrets:1"


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("kamal secrets fetch -a x A", True),
        ('  kamal  secrets extract A \'{"A":"x | y"}\'', True),
        ("./bin/pilotage secrets extract A x", True),
        ("kamal secrets fetch -a x A | jq .", False),
        ("kamal secrets fetch -a x A; echo", False),
        ("kamal secrets fetch -a x A > file", False),
        ("kamal secrets print", False),
        ("kamal config", False),
        ("cat kamal secrets fetch ", False),
        ("kamal secrets fetch 'A", False),
    ],
)
def test_which_commands_are_answered(command, ours):
    assert is_ours(command) is ours


def test_what_fetch_prints_is_what_kamal_prints():
    # Recorded from Kamal 2.11.0's `secrets fetch --adapter lastpass --account me a/b`.
    assert dumped({"a/b": "x y'z\"ü"}) == '{"a/b":"x y\'z\\"ü"}'


def test_what_is_put_into_a_secrets_file_is_one_word():
    text = json.dumps({"a/b": NASTY})
    assert shlex.split(shell_escaped(text)) == [text]
    assert shlex.split(shell_escaped(NASTY)) == [NASTY]
    assert shell_escaped("") == "''"
    assert extract("b", shell_escaped(text)) == NASTY
    assert extract("b", json.dumps({"a/b": 5432})) == "5432"


def test_the_commands(lastpass, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(lastpass.folder))
    asked = ["secrets", "fetch", "-a", "lastpass", "--account", "me", "--from", "Fold", "PW"]
    assert main(asked) == 0
    fetched = capsys.readouterr().out.removesuffix("\n")
    assert main(["secrets", "extract", "PW", fetched]) == 0
    assert capsys.readouterr().out == f"{NASTY}\n"
    assert main(["secrets", "extract", "NO", fetched]) == 2
    assert "NO is not among" in capsys.readouterr().err
    loaded(tmp_path, "A=1\nB=$(echo two)\n", {})
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    assert main(["secrets", "print"]) == 0
    assert capsys.readouterr().out == "A=1\nB=two\n"
