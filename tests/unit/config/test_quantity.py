"""Durations, percentages and plain YAML scalars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.config.quantity import format_duration, parse_duration, parse_percent
from pilotage.config.scalars import plain, to_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (10, 10.0),
        (0.5, 0.5),
        ("10", 10.0),
        ("500ms", 0.5),
        ("10s", 10.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("1h30m", 5400.0),
        ("2d", 172800.0),
        (" 3s ", 3.0),
        (0, 0.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "10 s", "1y", "-1s", -1, True, None, [], "1s2", float("inf"), float("nan")]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_a_formatted_duration_reads_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "share"),
    [("1%", 0.01), ("2.5%", 0.025), ("100 %", 1.0), (0.5, 0.5), (0, 0.0), (1, 1.0)],
)
def test_percentages(text: object, share: float) -> None:
    assert parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["1", "101%", "-1%", 2, -0.1, True, None, "x%"])
def test_no_percentages(text: object) -> None:
    with pytest.raises(ValueError, match="%"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("yes", True),
        ("On", True),
        ("TRUE", True),
        ("no", False),
        ("off", False),
        ("y", "y"),
        ("0600", 384),
        ("0", 0),
        ("-5", -5),
        ("40_000_000", 40_000_000),
        ("1,000", 1000),
        ("0x1F", 31),
        ("0b101", 5),
        ("08", "08"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.5e+3", 1500.0),
        ("1e3", "1e3"),
        ("22:22", 80_520),
        ("1:30", 5400),
        ("-1:30", -1800),
        ("1:30:15", 5415),
        (".inf", float("inf")),
        ("1.2.3", "1.2.3"),
        ("10.0.0.1", "10.0.0.1"),
        (":verbose", "verbose"),
        (':"a b"', "a b"),
        (":", ":"),
        ("a:b", "a:b"),
        ("-", "-"),
        ("text", "text"),
    ],
)
def test_plain_scalars_are_rubys(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


def test_text_of_a_value_is_rubys() -> None:
    assert [to_text(value) for value in (True, False, 1, 1.5, "a")] == [
        "true",
        "false",
        "1",
        "1.5",
        "a",
    ]
