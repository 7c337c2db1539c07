"""Ports of a host, as Docker's options write them."""

from __future__ import annotations

import pytest

from pilotage.config.ports import Published, published


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:80", Published("8080")),
        ("0.0.0.0:8080:80", Published("8080")),
        ("127.0.0.1:8080:80/udp", Published("8080", "127.0.0.1", "udp")),
        ("[::1]:8000-8010:80-90", Published("8000-8010", "[::1]")),
        ("80", None),
        ("127.0.0.1::80", None),
    ],
)
def test_what_is_published(text: str, port: Published | None) -> None:
    assert Published.of(text) == port


def test_which_can_be_had_together() -> None:
    everywhere, here = Published("80"), Published("80", "127.0.0.1")
    assert everywhere.meets(here)
    assert here.meets(everywhere)
    assert not here.meets(Published("80", "10.0.0.1"))
    assert not everywhere.meets(Published("80", protocol="udp"))
    assert published({"publish": ["80:80", "81"], "p": "82:82"}) == (
        Published("80"), Published("82"),
    )  # fmt: skip
    assert published({"publish": None}) == ()
