"""Container images made here, without a daemon: layers of files, pushed to a registry over HTTP.

What runs in them comes from this machine: a program, and the libraries that it loads.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

TOOLS = [
    "sh",
    "cat",
    "ls",
    "id",
    "env",
    "sleep",
    "echo",
    "printf",
    "date",
    "hostname",
    "head",
    "tail",
    "wc",
    "mkdir",
    "rm",
    "mv",
    "cp",
    "chmod",
    "ln",
    "touch",
    "test",
    "true",
    "false",
    "seq",
    "sort",
    "grep",
    "sed",
    "tr",
    "setpriv",
    "nproc",
    "sync",
    "kill",
    "ps",
    "stat",
    "mktemp",
    "basename",
    "dirname",
    "find",
    "flock",
    "getent",
]
"""Programs that every image has, as in Debian's."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, as a registry keeps it (gzip) and as an image names it (the digest of its tar)."""

    data: bytes = field(repr=False)
    diff_id: str

    @property
    def digest(self) -> str:
        """The digest of what is stored."""
        return sha256(self.data)


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its layers and what runs. ``config``: Docker's keys (Cmd, Entrypoint, Env, Labels, …)."""

    layers: tuple[Layer, ...]
    config: Mapping[str, object]
    architecture: str = "amd64" if os.uname().machine == "x86_64" else "arm64"

    def extend(self, *layers: Layer, architecture: str | None = None, **config: object) -> Image:
        """An image on top of this one; lists and maps of its configuration are replaced."""
        return Image(
            (*self.layers, *layers),
            {**self.config, **config},
            architecture or self.architecture,
        )

    @property
    def described(self) -> bytes:
        """The image's own configuration file."""
        return json.dumps(
            {
                "architecture": self.architecture,
                "os": "linux",
                "created": "2026-01-01T00:00:00Z",
                "config": dict(self.config),
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
                "history": [{"created_by": "pilotage's tests"} for _ in self.layers],
            }
        ).encode()


def sha256(data: bytes) -> str:
    """A digest, as registries write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(files: Mapping[str, bytes | str | Path], *, executable: Iterable[str] = ()) -> Layer:
    """Files by their absolute path: content, or a file of this machine."""
    modes = set(executable)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        made: set[str] = set()
        for path, content in sorted(files.items()):
            name = path.lstrip("/")
            for parent in reversed(Path(name).parents[:-1]):
                if str(parent) not in made:
                    made.add(str(parent))
                    tar.addfile(_entry(str(parent), kind=tarfile.DIRTYPE, mode=0o755))
            if isinstance(content, Path):
                data = content.read_bytes()
                mode = 0o755 if os.access(content, os.X_OK) else 0o644
                mtime = int(content.stat().st_mtime)  # what is compiled beside it says it
            else:
                data = content.encode() if isinstance(content, str) else content
                mode = 0o755 if path in modes else 0o644
                mtime = 0
            entry = _entry(name, kind=tarfile.REGTYPE, mode=mode)
            entry.size, entry.mtime = len(data), mtime
            tar.addfile(entry, io.BytesIO(data))
    plain = raw.getvalue()
    # Not compressed: all hosts are on this machine, and each would spend its time on it.
    return Layer(gzip.compress(plain, 0, mtime=0), sha256(plain))


def _entry(name: str, *, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def programs(names: Iterable[str | Path], *, trees: Iterable[Path] = ()) -> dict[str, Path]:
    """Programs with what they link with (and files below ``trees``), at the places that they have here."""
    found: dict[str, Path] = {}
    pending = [Path(os.path.realpath(_which(str(name)))) for name in names]
    links = {str(_which(str(name))): target for name, target in zip(names, pending, strict=True)}
    for tree in trees:
        for path in tree.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found[str(path)] = path
                if ".so" in path.name:
                    pending.append(path)
    found |= {str(program): program for program in pending}
    found |= {library: Path(library) for library in _libraries(pending)}
    return found | links


@cache
def _which(name: str) -> str:
    if "/" in name:
        return name
    for directory in ("/bin", "/usr/bin", "/sbin", "/usr/sbin"):
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    raise FileNotFoundError(name)


def _libraries(programs: Iterable[Path]) -> list[str]:
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(?:=> |^\t)(/\S+)", said, flags=re.MULTILINE)


def packages(*names: str) -> dict[str, bytes | str | Path]:
    """Packages of our own environment (``psycopg``), for `python_files` to import."""
    import importlib.util

    files: dict[str, bytes | str | Path] = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        origins = spec.submodule_search_locations or [str(spec.origin)]
        for origin in map(Path, origins):
            for path in origin.rglob("*") if origin.is_dir() else [origin]:
                if path.is_file() and "__pycache__" not in path.parts:
                    files[f"/app/packages/{path.relative_to(origin.parent)}"] = path
            libraries = origin.parent / f"{name}.libs"
            for path in libraries.glob("*"):
                files[f"/app/packages/{path.relative_to(origin.parent)}"] = path
    return files


def base_files() -> dict[str, bytes | str | Path]:
    """What every image has: a shell and its tools, users, a place for temporary files."""
    return {
        **programs(TOOLS),
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nenvoy:x:101:101::/:/bin/sh\n"
        "nobody:x:65534:65534::/:/bin/sh\n",
        "/etc/group": "root:x:0:\nenvoy:x:101:\nnogroup:x:65534:\n",
        # Libraries stand where they stand here, so they are found as they are here.
        "/etc/ld.so.cache": Path("/etc/ld.so.cache"),
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/root/.keep": "",
        "/tmp/.keep": "",
        "/var/.keep": "",
        "/run/.keep": "",
    }


def python_files() -> dict[str, bytes | str | Path]:
    """Python as it runs here, with its standard library and nothing else."""
    base = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = base / "lib" / version
    files: dict[str, bytes | str | Path] = {}
    unwanted = {
        "test", "tests", "idlelib", "tkinter", "ensurepip", "site-packages", "dist-packages",
        "lib2to3", "turtledemo", "pydoc_data", "distutils", "unittest",
    }  # fmt: skip
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        wanted = not unwanted & set(parts) and not parts[0].startswith("config-")
        superfluous = path.suffix == ".a" or ".opt-" in path.name or "_test" in path.name
        if path.is_file() and wanted and not superfluous and "_tkinter" not in path.name:
            files[str(path)] = path
    binary = Path(os.path.realpath(sys.executable))
    extensions = [path for path in files if path.endswith(".so")]
    files |= programs([str(binary), *extensions])
    # Debian keeps some of its library elsewhere, and finds it by the place of the binary.
    files["/usr/local/bin/python3"] = f'#!/bin/sh\nexec {binary} "$@"\n'
    return files


def cached(name: str, make: object, directory: Path) -> Layer:
    """A layer that is kept in ``directory`` for the next run; ``name`` says all that it depends on."""
    path = directory / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.layer"
    try:
        diff_id, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        made: Layer = make()  # type: ignore[operator]
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
            file.write(made.diff_id.encode() + b"\n" + made.data)
        Path(file.name).rename(path)
        return made
    return Layer(data, diff_id.decode())


class Registry:
    """A registry at ``address`` (``host:port``), spoken to over HTTP."""

    def __init__(self, address: str, *, login: tuple[str, str] | None = None) -> None:
        self.address = address
        self._login = login

    def push(self, image: Image, *tags: str) -> str:
        """Push ``image`` as ``name:tag`` (each of ``tags``); its digest."""
        described = image.described
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {
                    "mediaType": _CONFIG,
                    "size": len(described),
                    "digest": sha256(described),
                },
                "layers": [
                    {"mediaType": _LAYER, "size": len(one.data), "digest": one.digest}
                    for one in image.layers
                ],
            }
        ).encode()
        for tag in tags:
            name, _, version = tag.rpartition(":")
            for blob in (described, *(one.data for one in image.layers)):
                self._blob(name, blob)
            self._ask("PUT", f"/v2/{name}/manifests/{version}", manifest, MANIFEST)
        return sha256(manifest)

    def has(self, tag: str) -> bool:
        """Whether it has ``name:tag``."""
        name, _, version = tag.rpartition(":")
        return self._found(f"/v2/{name}/manifests/{version}")

    def delete(self, name: str, digest: str) -> None:
        """Take an image away, by its digest."""
        self._ask("DELETE", f"/v2/{name}/manifests/{digest}")

    def _blob(self, name: str, data: bytes) -> None:
        digest = sha256(data)
        if self._found(f"/v2/{name}/blobs/{digest}"):
            return
        place = self._ask("POST", f"/v2/{name}/blobs/uploads/", b"")["Location"]
        path = place.split(self.address, 1)[-1]
        self._ask(
            "PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", data,
            "application/octet-stream",
        )  # fmt: skip

    def _found(self, path: str) -> bool:
        try:
            self._ask("HEAD", path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def _ask(
        self, method: str, path: str, data: bytes | None = None, kind: str = ""
    ) -> Mapping[str, str]:
        request = urllib.request.Request(f"http://{self.address}{path}", data, method=method)
        request.add_header("Accept", MANIFEST)
        if kind:
            request.add_header("Content-Type", kind)
        if self._login:
            import base64

            pair = base64.b64encode(":".join(self._login).encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            answer.read()
            return dict(answer.headers)


@contextmanager
def docker_archive(image: Image, tag: str) -> Iterator[Path]:
    """A file that `docker load` takes."""
    described = image.described
    names = [f"{one.diff_id[7:]}/layer.tar" for one in image.layers]
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": names}]
    with tempfile.NamedTemporaryFile(suffix=".tar") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            members: Sequence[tuple[str, bytes]] = [
                ("config.json", described),
                ("manifest.json", json.dumps(manifest).encode()),
                *((name, gzip.decompress(one.data)) for name, one in zip(names, image.layers, strict=True)),
            ]  # fmt: skip
            for name, data in members:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        file.flush()
        yield Path(file.name)
