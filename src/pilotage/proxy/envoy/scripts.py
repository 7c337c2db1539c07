"""What the edge of a Docker host is made of, as commands: pure, and compared word by word in tests.

Every one runs in a fenced script (`pilotage.shell.fenced`), which has compared the token before. File
contents travel as arguments: nothing in them is secret, and an argument may have 128 KiB.

**Nobody holds a lock from one command to the next**, because a link that breaks would leave it held for
hours. Instead each change of the files compares and swaps: the file ``generation`` names the last
change, and whoever finds another name there than it read lets go of everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pilotage.proxy.envoy import addresses
from pilotage.proxy.envoy.names import ADMIN_SOCKET
from pilotage.shell.fenced import Command, Then
from pilotage.shell.network import ensure_network

IMAGE = "envoyproxy/envoy:v1.40.0"
NETWORK = "kamal"
"""Where Kamal's accessories and containers are."""

OVERTAKEN = 78
"""The status of a change that meets another one's."""

_CHUNK = 96 * 1024
_GRACE = 5


@dataclass(frozen=True, slots=True)
class EdgeContainer:
    """The container of one edge.

    ``service``: with its destination (``shop-staging``). ``state_dir``: relative to the home, its files
    are in ``edge/`` below. ``role``: of a further edge of the service. ``program``: ``docker``, or ``podman``,
    which takes the same words.
    """

    service: str
    state_dir: str
    image: str = IMAGE
    program: str = "docker"
    labels: Mapping[str, str] = field(default_factory=dict)
    role: str = ""

    @property
    def part(self) -> str:
        """What the door knows it by. No service has a dot in its name."""
        return f"{self.service}.{self.role}" if self.role else self.service

    @property
    def name(self) -> str:
        """Also its name on the network."""
        return f"{self.part}-edge"

    @property
    def directory(self) -> str:
        """Relative to the home."""
        return f"{self.state_dir}/edge.{self.role}" if self.role else f"{self.state_dir}/edge"

    @property
    def socket(self) -> str:
        """Of the admin interface, relative to the home."""
        return f"{self.directory}/{ADMIN_SOCKET}"


# -- files -----------------------------------------------------------------------------------

_READ = """\
mkdir -p "$1" && cd "$1" || exit
generation=-
[ ! -e generation ] || read -r generation <generation
printf '%s %s %s %s\\n' "$generation" "$(date +%s)" "$(id -u):$(id -g)" "$(pwd)"
for file in bootstrap.json lds/*.json cds/*.json rds/*.json eds/*.json eds/*/*.json; do
  [ ! -f "$file" ] || { printf '\\037%s\\n' "$file"; cat "$file"; }
done
for file in ./*.previous.json ./*.sock; do [ ! -e "$file" ] || printf '\\037%s\\n' "${file#./}"; done
"""


def read(edge: EdgeContainer) -> Command:
    """Make the directory, and tell what is in it; `parse_listing` reads the answer."""
    return _sh(_READ, edge.directory)


@dataclass(frozen=True, slots=True)
class Found:
    """What `read` found. ``generation``: of the last change; ``clock``: the host's, in Unix seconds;
    ``user``: who logs in, as ``UID:GID``; ``directory``: with its whole path."""

    generation: str
    clock: int
    user: str
    directory: str
    contents: Mapping[str, bytes]
    names: frozenset[str]


def parse_listing(out: str) -> Found:
    """The answer to `read`.

    Raises
    ------
    ValueError
        It is none.
    """
    first, *parts = out.split("\x1f")
    generation, clock, user, directory = first.rstrip("\n").split(" ", 3)
    contents, names = {}, set()
    for part in parts:
        name, _, content = part.partition("\n")
        names.add(name)
        if not name.endswith((".sock", ".previous.json")):
            contents[name] = content.rstrip("\n").encode() + b"\n"
    return Found(generation, int(clock), user, directory, contents, frozenset(names))


_SWAP = f"""\
cd "$1" || exit
generation=-
[ ! -e generation ] || read -r generation <generation
case $generation in
  "$3") ;;
  "$2") rm -f ./*.previous.json && printf '%s\\n' "$3" >.generation && mv -f .generation generation ;;
  *) exit {OVERTAKEN} ;;
esac
"""


def swap(edge: EdgeContainer, *, was: str, mine: str) -> Command:
    """Say that the files are being changed by ``mine``, unless somebody else did since ``was``.

    What an earlier change kept for its way back goes then.
    """
    return _sh(_SWAP, edge.directory, was, mine)


_KEEP = """\
cd "$1" && shift || exit
while [ $# -gt 0 ]; do
  rm -f "$2" || exit
  [ ! -e "$1" ] || ln "$1" "$2" || exit
  shift 2
done
"""

_NEW = """\
cd "$1" && mkdir -p "${2%/*}" && printf '%s' "$3" >"$2"
"""

_MORE = """\
cd "$1" && printf '%s' "$3" >>"$2"
"""

_RENAME = f"""\
cd "$1" && shift && exec 8>>{addresses.LOCK} && flock 8 || exit
while [ $# -gt 0 ]; do
  sync "$1" 2>/dev/null || sync
  mv -f "$1" "$2" || exit
  shift 2
done
"""


def write(
    edge: EdgeContainer, files: Mapping[str, bytes], *, keep: Mapping[str, str]
) -> Iterator[Command]:
    """Each file beside, then all renamed into place in the order given; Envoy sees the renames alone."""
    if keep:
        # A second name for the old file, because going back must not need space on the disk.
        yield _sh(_KEEP, edge.directory, *(word for pair in keep.items() for word in pair))
    renames = []
    for name, content in files.items():
        folder, _, last = f"./{name}".rpartition("/")
        beside = f"{folder}/.{last}.new"
        renames += [beside, f"./{name}"]
        for number, chunk in enumerate(_chunks(content.decode())):
            yield _sh(_MORE if number else _NEW, edge.directory, beside, chunk)
    yield _sh(_RENAME, edge.directory, *renames)


def _chunks(text: str) -> Iterator[str]:
    # Counted as characters, of which none has more than 4 bytes in UTF-8 and few more than one.
    size = _CHUNK if text.isascii() else _CHUNK // 4
    for start in range(0, max(len(text), 1), size):
        yield text[start : start + size]


_RESTORE = f"""\
cd "$1" && shift && exec 8>>{addresses.LOCK} && flock 8 || exit
while [ $# -gt 0 ]; do
  if [ -z "$2" ]; then rm -f "$1" || exit
  elif [ -e "$2" ]; then mv -f "$2" "$1" || exit
  fi
  shift 2
done
"""


def restore(edge: EdgeContainer, kept: Mapping[str, str | None]) -> Command:
    """Put files back from their second names."""
    words = (word for name, second in kept.items() for word in (name, second or ""))
    return _sh(_RESTORE, edge.directory, *words)


_DELETE = """\
cd "$1" && shift && rm -f "$@" || exit
rmdir eds/* 2>/dev/null || :
"""


def delete(edge: EdgeContainer, names: Collection[str]) -> Command:
    """Delete files, and the directories below ``eds`` that are empty then."""
    return _sh(_DELETE, edge.directory, *names)


def destroy(edge: EdgeContainer) -> Command:
    """Delete the directory."""
    return Command(("rm", "-rf", edge.directory))


def _sh(body: str, *words: str) -> Command:
    return Command(("sh", "-c", body, "sh", *words))


# -- the container ---------------------------------------------------------------------------


def start(edge: EdgeContainer, found: Found, envoy: Sequence[str]) -> tuple[Command, ...]:
    """Put a new container in the place of whatever has its name.

    ``envoy``: Envoy's arguments. It runs as the user who logs in, since the files and the admin socket are
    that user's alone; under podman without root that is the container's root.
    """
    program = edge.program
    user = "0:0" if program == "podman" else found.user
    # Not `service`, by which Kamal's instances are known.
    labels = {"pilotage.edge": edge.service, **edge.labels}
    argv = (
        *(program, "run", "--detach", "--name", edge.name, "--network", NETWORK),
        *("--restart", "unless-stopped", "--log-opt", "max-size=10m"),
        *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
        *("--sysctl", "net.ipv4.ip_unprivileged_port_start=0"),
        *("--volume", f"{found.directory}:/edge", "--workdir", "/edge"),
        *("--user", user, "--entrypoint", "sh", edge.image, *addresses.command(envoy)),
    )
    return (
        Command(ensure_network(program, NETWORK)),
        Command((program, "rm", "--force", edge.name), then=Then.ALWAYS),
        Command(("rm", "-f", edge.socket)),
        Command(argv),
    )


def stop(edge: EdgeContainer) -> tuple[Command, ...]:
    """Stop and remove the container."""
    return (
        Command((edge.program, "stop", "--time", str(_GRACE), edge.name), then=Then.ALWAYS),
        Command((edge.program, "rm", "--force", edge.name), then=Then.ALWAYS),
        states(edge),
    )


def states(edge: EdgeContainer) -> Command:
    """Its state, as a word; nothing when there is no such container."""
    return Command(
        (
            *(edge.program, "ps", "--all", "--filter", f"name=^/?{edge.name}$"),
            *("--format", "{{.State}}"),
        )
    )


def restarts(edge: EdgeContainer) -> Command:
    """How often it was started again because it ended."""
    return Command((edge.program, "inspect", "--format", "{{.RestartCount}}", edge.name))


def logs(edge: EdgeContainer, *, since: int) -> tuple[str, ...]:
    """What Envoy said since a moment of the host's clock."""
    return (edge.program, "logs", "--since", str(since), "--tail", "100", edge.name)
