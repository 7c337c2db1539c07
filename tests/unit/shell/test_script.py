"""Scripts for sh: run by the real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.errors import UsageError
from pilotage.secret import Secret
from pilotage.shell.script import LINES, exports, with_environment

SHOW = "import os, sys; sys.stdout.buffer.write(os.environb[b'VALUE'])"
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


@settings(max_examples=25, deadline=None)
@given(TEXT)
def test_a_value_arrives_byte_for_byte(value: str) -> None:
    script = with_environment((sys.executable, "-S", "-c", SHOW), {"VALUE": Secret(value)})
    done = subprocess.run(("sh",), input=script, capture_output=True, check=True)
    assert done.stdout == value.encode()


def test_the_command_does_not_read_the_script() -> None:
    script = with_environment(("cat",), {}) + b"echo what comes after\n"
    done = subprocess.run(("sh",), input=script, capture_output=True, check=True)
    assert done.stdout == b""


@pytest.mark.parametrize("reads", [False, True])
def test_lines_are_read_beside_the_environment(reads: bool, tmp_path: Path) -> None:
    lines = (Secret("a.b=$HOME 'x'"), Secret("c=d"))
    argv = ("sh", "-c", f'cat {LINES}; printf %s "$VALUE"; cat')
    script = with_environment(argv, {"VALUE": "there"}, lines, reads=reads)
    path = tmp_path / "script"
    path.write_bytes(script)
    begin = ("sh", "-c", f'exec 3<"{path}"; . /dev/fd/3') if reads else ("sh", str(path))
    done = subprocess.run(begin, input=b" typed", capture_output=True, check=True)
    assert done.stdout == b"a.b=$HOME 'x'\nc=d\nthere" + (b" typed" if reads else b"")


def test_words_are_quoted() -> None:
    script = with_environment(("printf", "%s|", "a b", "$HOME", "it's", ""), {})
    done = subprocess.run(("sh",), input=script, capture_output=True, check=True)
    assert done.stdout == b"a b|$HOME|it's||"


@pytest.mark.parametrize("name", ["1ST", "A-B", "A B", "", "A=B", "A;true"])
def test_a_name_that_the_shell_has_not_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        exports({name: "x"})


def test_a_nul_is_refused_without_showing_the_value() -> None:
    with pytest.raises(UsageError, match="NUL") as refused:
        exports({"TOKEN": Secret("hush\0")})
    assert "hush" not in str(refused.value)
