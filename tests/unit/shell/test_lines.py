"""Blocks into lines."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pilotage.shell.lines import Lines


def told(*blocks: bytes, keep: int = 0) -> list[str]:
    """The lines that come of some blocks."""
    lines: list[str] = []
    taker = Lines(lines.append, keep=keep)
    for block in blocks:
        taker.feed(block)
    taker.close()
    return lines


def test_a_line_ends_at_its_newline_and_not_at_the_end_of_a_block() -> None:
    assert told(b"one\ntw", b"o\nthree") == ["one", "two", "three"]


def test_a_character_may_be_cut_in_two() -> None:
    letter = "é".encode()
    assert told(letter[:1], letter[1:] + b"\n") == ["é"]


def test_what_is_not_utf8_is_replaced() -> None:
    assert told(b"a\xffb\n") == ["a\ufffdb"]


def test_windows_line_ends_are_one_end_even_when_cut() -> None:
    assert told(b"one\r", b"\ntwo\r\n") == ["one", "two"]


def test_of_a_progress_bar_the_last_state_is_the_line() -> None:
    assert told(b"10%\r50%\r100%\n") == ["100%"]


def test_an_endless_line_is_cut() -> None:
    lines = told(b"x" * 200_000)
    assert "".join(lines) == "x" * 200_000
    assert max(map(len, lines)) == 64 * 1024


def test_the_last_ones_are_kept() -> None:
    taker = Lines(lambda _: None, keep=2)
    taker.feed(b"1\n2\n3\n")
    assert list(taker.kept) == ["2", "3"]


@given(
    st.text(alphabet=st.characters(exclude_characters="\r", exclude_categories=("Cs",))), st.data()
)
def test_how_it_was_cut_does_not_matter(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    edges = [0, *cuts, len(whole)]
    blocks = [whole[a:b] for a, b in itertools.pairwise(edges)]
    assert told(*blocks) == told(whole)
