"""Whether an image runs on a host: architectures, in Docker's words and in the kernel's."""

from __future__ import annotations

from collections.abc import Collection

_DOCKERS = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    **dict.fromkeys(("armv6l", "armv7l", "armv8l"), "arm"),
    **dict.fromkeys(("i386", "i486", "i586", "i686"), "386"),
    "loongarch64": "loong64",
}
_KERNELS = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386", "loong64": "loongarch64"}

_RUN_AS_WELL = {"amd64": ("386",), "arm64": ("arm",)}
"""What a processor does beside its own."""

_ROSETTA = "rosetta"


def architecture(machine: str) -> str:
    """What Docker calls the architecture that ``uname -m`` calls ``machine``."""
    return _DOCKERS.get(machine, machine)


def runs_on(image: str, host: str, emulators: Collection[str] = ()) -> bool:
    """Whether a host (``linux/amd64``) runs an image that is made for another, or the same.

    ``emulators``: what the host's kernel hands foreign programs to (names in ``/proc/sys/fs/binfmt_misc``).
    """
    (image_os, _, wanted), (host_os, _, own) = image.partition("/"), host.partition("/")
    if image_os != host_os:
        return False
    if wanted == own or wanted in _RUN_AS_WELL.get(own, ()):
        return True
    by_rosetta = wanted == "amd64" and _ROSETTA in emulators
    return by_rosetta or f"qemu-{_KERNELS.get(wanted, wanted)}" in emulators
