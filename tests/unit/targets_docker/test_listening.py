"""Where a container listens, from the kernel's list."""

from __future__ import annotations

from pilotage.targets.docker.listening import instead

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
RESOLVER = (
    "   0: 0B00007F:9C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
)
ASKED = (
    "   1: 020012AC:0BB8 010012AC:C3A4 01 00000000:00000000 00:00000000 00000000     0        0 2\n"
)
SIX = "   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0\n"
LOOPBACK6 = SIX.replace(
    "00000000000000000000000000000000:0BB8", "00000000000000000000000001000000:0BB8"
)


def test_at_another_port() -> None:
    every = "   2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3\n"
    found = instead(HEAD + RESOLVER + every + HEAD + SIX, 8080)
    assert found == "it listens on port 80, 3000, and `proxy.app_port` is 8080"


def test_on_the_loopback() -> None:
    told = "it listens on port 3000 of its own loopback alone: have it listen on 0.0.0.0"
    assert instead(HEAD + RESOLVER + HEAD + LOOPBACK6, 3000) == told
    four = RESOLVER.replace("0B00007F:9C41", "0100007F:0BB8")
    assert instead(HEAD + four, 3000) == told


def test_nothing_is_to_be_said() -> None:
    assert instead("", 80) == ""
    assert instead(HEAD + RESOLVER + ASKED, 3000) == ""
    assert instead(HEAD + LOOPBACK6, 80) == ""
    assert instead(HEAD + SIX, 3000) == ""
