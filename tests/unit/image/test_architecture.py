"""Which images a host runs."""

from __future__ import annotations

import pytest

from pilotage.image.architecture import architecture, runs_on


@pytest.mark.parametrize(
    ("machine", "name"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "arm"), ("i686", "386"), ("s390x",) * 2],
)
def test_what_docker_calls_it(machine: str, name: str) -> None:
    assert architecture(machine) == name


@pytest.mark.parametrize(
    ("image", "host", "emulators", "runs"),
    [
        ("linux/amd64", "linux/amd64", (), True),
        ("linux/386", "linux/amd64", (), True),
        ("linux/arm", "linux/arm64", (), True),
        ("linux/arm64", "linux/amd64", (), False),
        ("linux/arm64", "linux/arm", (), False),
        ("windows/amd64", "linux/amd64", (), False),
        ("linux/arm64", "linux/amd64", ("python3.11", "qemu-aarch64"), True),
        ("linux/arm64", "linux/amd64", ("python3.11", "qemu-arm"), False),
        ("linux/riscv64", "linux/amd64", ("qemu-riscv64",), True),
        ("linux/amd64", "linux/arm64", ("rosetta",), True),
        ("linux/s390x", "linux/arm64", ("rosetta",), False),
    ],
)
def test_what_runs_where(image: str, host: str, emulators: tuple[str, ...], runs: bool) -> None:
    assert runs_on(image, host, emulators) is runs
