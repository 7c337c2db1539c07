"""Where images are kept, asked of programs that answer as Docker and podman do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pilotage.image import Delivery
from pilotage.shell.local import LocalShell

# podman: "can't evaluate field DockerRootDir in type *define.Info"
PROGRAM = """\
#!/bin/sh
case "$*" in
"info --format {key}") echo "linux/{machine} {root}" ;;
info*) echo "can't evaluate field" >&2; exit 125 ;;
"pull --quiet shop:1") ;;
"image inspect --format "*" shop:1") echo sha256:abc linux/arm64 ;;
*) exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("key", "machine"),
    [
        ("{{.OSType}}/{{.Architecture}} {{.DockerRootDir}}", "aarch64"),
        ("{{.Host.OS}}/{{.Host.Arch}} {{.Store.GraphRoot}}", "arm64"),
    ],
)
def test_room_is_looked_for_where_the_program_keeps_images(
    tmp_path: Path, key: str, machine: str
) -> None:
    program = tmp_path / "program"
    root = tmp_path / "with a space"
    root.mkdir()
    program.write_text(PROGRAM.format(key=key, machine=machine, root=root))
    program.chmod(0o755)
    delivery = Delivery({"here": LocalShell("here")}, lambda _: None, docker=str(program))
    assert asyncio.run(delivery.pull("shop:1")) == {"here": "sha256:abc"}
