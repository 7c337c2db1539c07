"""How a run of the command line ends: exit statuses, errors, crashes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilotage.cli import main
from pilotage.cli.app import COMMANDS
from pilotage.cli.lazy import LazyGroup


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_can_be_imported_and_says_what_the_list_says():
    import click

    from pilotage.cli.app import root

    context = click.Context(root)
    for section in COMMANDS.values():
        for name in section:
            command = root.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert command.help


def test_no_configuration_is_wrong_usage(capsys):
    assert main(["status"]) == 2
    err = capsys.readouterr().err
    assert "no configuration" in err
    assert "pilotage init" in err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["deploy", "--nonsense"], ["history", "-n", "x"]]
)
def test_wrong_usage(arguments, capsys):
    assert main(arguments) == 2
    assert "Error" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["logs", "app logs", "accessory logs db", "proxy logs"])
def test_a_pattern_that_cannot_be_read_is_told_alike_wherever_logs_are_shown(words, capsys):
    assert main([*words.split(), "-g", "a("]) == 2
    told = capsys.readouterr().err
    assert told.startswith("✗ --grep 'a(' is not a regular expression: missing )"), told


@pytest.mark.parametrize(
    ("words", "said", "next"),
    [
        ("app logs --grep-options=-i", "--grep-options: a pattern says all of it", "(?i)PATTERN"),
        ("accessory logs db --grep-options=-i", "--grep-options: ", "pipe what is shown to grep"),
        ("app logs --container-id x", "--container-id: ", "`pilotage logs ID`"),
        ("app maintenance --drain-timeout 5", "--drain-timeout: ", "`pilotage app stop`"),
        ("maintenance --drain-timeout 5", "--drain-timeout: ", "`pilotage app stop`"),
        ("init --bundle", "--bundle: pilotage is no gem", "pip install"),
        ("prune images", "no `prune images`", "`pilotage prune`"),
        ("prune containers --retain 2", "no `prune containers`", "--retain N"),
        ("app remove_container one", "no `app remove_container`", "`pilotage prune`"),
        ("app remove_images", "no `app remove_images`", "`pilotage app remove`"),
        (
            "accessory pull_image db",
            "no `accessory pull_image`",
            "`pilotage accessory reboot NAME`",
        ),
        ("accessory upgrade", "no `accessory upgrade`", "Kamal 1"),
        ("proxy boot_config get", "no `proxy boot_config`", "`proxy.run`"),
        ("proxy remove_image", "no `proxy remove_image`", "`pilotage proxy remove`"),
    ],
)
def test_what_only_kamal_has_is_told_with_what_to_use_instead(words, said, next, capsys):
    assert main(words.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("✗ ")
    assert said in told
    assert next in told.partition("next")[2]


def test_prune_knows_no_other_word(capsys):
    assert main(["prune", "some"]) == 2
    assert "'some' is not 'all'" in capsys.readouterr().err


def test_unknown_command_names_the_nearest(capsys):
    assert main(["depoly"]) == 2
    assert "Did you mean 'deploy'?" in capsys.readouterr().err


@pytest.mark.parametrize("order", [["-c", "x.yml", "status"], ["status", "-c", "x.yml"]])
def test_common_options_stand_before_or_after_the_command(order, capsys):
    assert main(order) == 2
    assert "x.yml" in capsys.readouterr().err


def test_option_after_the_command_wins(capsys):
    assert main(["-c", "one.yml", "lock", "-c", "two.yml", "status", "-c", "three.yml"]) == 2
    err = capsys.readouterr().err
    assert "three.yml" in err
    assert "one.yml" not in err


def test_unforeseen_error_is_one_block_and_a_file(tmp_path, monkeypatch, capsys):
    Path("deploy.yml").write_text("service: tiny\ntarget: local\nservers: {web: {cmd: x}}\n")
    monkeypatch.setattr("pilotage.config.load.validate", lambda data: 1 / 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["config"]) == 1
    err = capsys.readouterr().err
    assert "pilotage itself failed: ZeroDivisionError" in err
    assert "Traceback" not in err
    (written,) = tmp_path.glob("pilotage-crash-*.txt")
    assert "ZeroDivisionError" in written.read_text()
    assert written.stat().st_mode & 0o077 == 0


def test_reader_that_goes_away_is_no_crash(tmp_path):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "pilotage", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert "Traceback" not in process.stderr
    assert "itself failed" not in process.stderr


def test_lazy_group_completes_names():
    import click

    from pilotage.cli.app import root

    assert isinstance(root, LazyGroup)
    found = root.shell_complete(click.Context(root), "de")
    assert [item.value for item in found] == ["deploy", "details", "demo"]


def test_no_secret_in_what_is_told_of_a_crash(tmp_path, monkeypatch, capsys):
    Path("deploy.yml").write_text(
        "service: tiny\ntarget: local\nservers: {web: {cmd: x}}\nenv: {secret: [API_KEY]}\n"
    )
    Path(".pilotage").mkdir()
    Path(".pilotage/secrets").write_text("API_KEY=s3cret-value-1234\n")

    def leak(self: object) -> str:
        raise RuntimeError("the key is s3cret-value-1234")

    monkeypatch.setattr("pilotage.config.describe.to_yaml", leak)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["config"]) == 1
    err = capsys.readouterr().err
    (written,) = tmp_path.glob("pilotage-crash-*.txt")
    for told in (err, written.read_text()):
        assert "the key is [secret]" in told
        assert "s3cret" not in told
