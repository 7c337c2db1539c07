"""The commands of the door on a host: pure argv, compared word by word in tests.

The door belongs to all services of a host, and each has its own deployer with its own lease. So what is
written is compared and swapped: under the lock of the door's directory, and only when nobody else wrote
since it was read (``generation``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pilotage.proxy.door.config import ADMIN, CLOSING, HOME, HTTP, HTTPS, METRICS
from pilotage.proxy.door.fragment import DoorSettings, Fragment
from pilotage.secret import Secret
from pilotage.shell.fenced import Command, Then
from pilotage.shell.network import ensure_network
from pilotage.shell.script import LINES

NAME = "pilotage-door"
DIRECTORY = ".pilotage/door"
NETWORK = "kamal"
KAMAL = "kamal-proxy"
TAKE_OVER = "take-over"
"""A file in the door's directory: Kamal's proxy may be replaced though it serves others as well."""

_CLOSES = 1
"""Seconds in which connections are ended with their next answer, before Caddy would cut them off."""

_MIGRATE = "net.ipv4.tcp_migrate_req"
"""Since Linux 5.14: a connection that nobody accepted yet goes to the listener that comes next."""

OVERTAKEN, REFUSED = 78, 79
"""Statuses of `write`: somebody else wrote in between; Caddy did not take it."""

_READ = """\
mkdir -p "$1/fragments" "$1/certificates" && chmod 700 "$1" && cd "$1" || exit
exec 8>>lock && flock -w 30 8 || exit
generation=-
[ ! -e generation ] || read -r generation <generation
printf '%s %s %s\\n' "$generation" "$(id -u):$(id -g)" "$(pwd)"
[ ! -e take-over ] || echo take-over allowed
[ ! -e /proc/sys/net/ipv4/tcp_migrate_req ] || echo net.ipv4.tcp_migrate_req known
"$2" ps --all --filter "name=^/?($3|$4)$" --format '{{.Names}} {{.State}}' || exit
printf '\\036\\n'
for file in fragments/*.json; do
  [ ! -f "$file" ] || { printf '\\037'; cat "$file"; }
done
"""


def read(settings: DoorSettings) -> Command:
    """Tell what is there; `parse` reads the answer."""
    return _sh(_READ, DIRECTORY, settings.program, NAME, KAMAL)


@dataclass(frozen=True, slots=True)
class Found:
    """What `read` found. ``states``: of the door's and Kamal's proxy's containers, by name."""

    generation: str
    user: str
    directory: str
    states: Mapping[str, str] = field(default_factory=dict)
    fragments: tuple[Fragment, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the door is."""
        return self.states.get(NAME) == "running"

    @property
    def kamal(self) -> bool:
        """Whether Kamal's proxy has the ports."""
        return self.states.get(KAMAL) == "running"

    @property
    def may_take_over(self) -> bool:
        """Whether a person allowed to take them from others that it may serve."""
        return TAKE_OVER in self.states


def parse(out: str) -> Found:
    """The answer to `read`. Raises `ValueError`, `KeyError` or `TypeError` for what is none."""
    head, _, rest = out.partition("\x1e")
    first, *lines = head.splitlines()
    generation, user, directory = first.split(" ", 2)
    states = dict(line.rsplit(" ", 1) for line in lines if line)
    fragments = tuple(Fragment.from_json(json.loads(part)) for part in rest.split("\x1f")[1:])
    return Found(generation, user, directory, states, fragments)


_BESIDE = """\
umask 077
cd "$1" && cat <"$2" >"$3"
"""

_WRITE = f"""\
cd "$1" || exit
new=$2
trap 'rm -f ".$new.config" ".$new.fragment" {CLOSING}' EXIT
exec 8>>lock && flock -w 30 8 || exit
generation=-
[ ! -e generation ] || read -r generation <generation
[ "$generation" = "$3" ] || exit {OVERTAKEN}
umask 077
put() {{ printf '%s' "$2" >".new" && mv -f .new "$1"; }}
rm -f old.json && {{ [ ! -e caddy.json ] || ln caddy.json old.json; }} || exit
[ -z "$PILOTAGE_KEY" ] || {{ put "certificates/$6.key" "$PILOTAGE_KEY" && put "certificates/$6.crt" "$7"; }} || exit
[ -z "$8" ] || put "$8" "$9" || exit
mv -f ".$new.config" caddy.json || exit
if [ "${{10}}" = running ]; then
  : >{CLOSING} && sleep {_CLOSES}
  if ! "${{11}}" exec "${{12}}" caddy reload --config {HOME}/caddy.json --address {ADMIN} 8>&- 2>reload.log; then
    [ ! -e old.json ] || mv -f old.json caddy.json
    tail -n 3 reload.log >&2
    exit {REFUSED}
  fi
fi
if [ -n "$5" ]; then mv -f ".$new.fragment" "fragments/$4.json"; else rm -f "fragments/$4.json"; fi || exit
put generation "$new"
"""


@dataclass(frozen=True, slots=True)
class Files:
    """What goes with a fragment: an own certificate, or the root of a CA. Names are below the directory."""

    certificate: str = ""
    chain: str = ""
    key: str | Secret = ""
    root_name: str = ""
    root: str = ""


def write(
    settings: DoorSettings,
    found: Found,
    service: str,
    fragment: Fragment | None,
    *,
    config: Mapping[str, Any],
    files: Files,
    generation: str,
) -> tuple[Command, ...]:
    """Write a service's fragment (None: take it away) and the whole configuration, and have Caddy take it.

    What Caddy does not take is not written. The first commands bring the texts, which may be longer than
    an argument can be; the last one swaps.
    """
    own = json.dumps(fragment.to_json(), indent=2, ensure_ascii=False) if fragment else ""
    texts = {"config": json.dumps(config, indent=2, ensure_ascii=False), "fragment": own}
    swap = _sh(
        _WRITE,
        *(DIRECTORY, generation, found.generation, service, "fragment" if fragment else ""),
        *(files.certificate, files.chain, files.root_name, files.root),
        *("running" if found.running else "", settings.program, NAME),
    )
    beside = (
        Command(_sh(_BESIDE, DIRECTORY, LINES, f".{generation}.{name}").argv, lines=(Secret(text),))
        for name, text in texts.items()
        if text
    )
    return (*beside, Command(swap.argv, env={"PILOTAGE_KEY": files.key}))


def _sh(body: str, *words: str) -> Command:
    return Command(("sh", "-c", body, "sh", *words))


# -- the container ---------------------------------------------------------------------------


def create(settings: DoorSettings, found: Found) -> tuple[str, ...]:
    """What makes the container."""
    program = settings.program
    user = "0:0" if program == "podman" else found.user
    ports = ((settings.http, HTTP), (settings.https, HTTPS)) if settings.publish else ()
    publish = [
        f"{_address(address)}{outer}:{inner}"
        for address in settings.bind or ("",)
        for outer, inner in ports
    ]
    if settings.metrics is not None:
        publish.append(f"127.0.0.1:{settings.metrics}:{METRICS}")
    return (
        *(program, "create", "--name", NAME, "--network", NETWORK, "--restart", "unless-stopped"),
        *(word for port in publish for word in ("--publish", port)),
        *("--log-opt", f"max-size={settings.log_size}", "--label", "pilotage.door=true"),
        *("--sysctl", "net.ipv4.ip_unprivileged_port_start=0"),
        *(("--sysctl", f"{_MIGRATE}=1") if _MIGRATE in found.states else ()),
        *("--volume", f"{found.directory}:{HOME}", "--user", user),
        *settings.options,
        *(settings.image, "caddy", "run", "--config", f"{HOME}/caddy.json"),
    )


def _address(address: str) -> str:
    if not address:
        return ""
    return f"[{address}]:" if ":" in address else f"{address}:"


_START = f"""\
cd "$1" || exit
exec 8>>lock && flock -w 60 8 || exit
program=$2 name=$3 kamal=$4
shift 4
take() {{ "$program" exec "$name" caddy reload --config {HOME}/caddy.json --address {ADMIN} 2>reload.log; }}
runs() {{ [ -n "$("$program" ps --quiet --filter "name=^/?$1$" --filter status=running 8>&-)" ]; }}
if ! runs "$name"; then
  "$program" rm --force "$name" >/dev/null 2>&1
  rm -f admin.sock
  "$@" >/dev/null || exit
  [ -z "$kamal" ] || "$program" stop --time 5 "$kamal" >/dev/null || exit
  "$program" start "$name" >/dev/null 8>&- || failed=1
fi
left=100
while [ -z "$failed" ] && ! take; do
  left=$((left - 1))
  if [ "$left" = 0 ] || ! runs "$name"; then
    "$program" logs --tail 3 "$name" >&2
    failed=1
  else
    sleep 0.1
  fi
done
[ -n "$failed" ] || {{ rm -f take-over; exit 0; }}
[ -z "$kamal" ] || {{
  "$program" stop --time 1 "$name" >/dev/null 2>&1
  "$program" start "$kamal" >/dev/null
}}
exit 1
"""


def network(settings: DoorSettings) -> Command:
    """Make the network where it is missing."""
    return Command(ensure_network(settings.program, NETWORK))


def start(settings: DoorSettings, found: Found, *, kamal: bool) -> Command:
    """Make it and start it, unless somebody else did, and see that it answers with what is written.

    ``kamal``: in the place of Kamal's proxy, which comes back when the door does not start. It is made
    before that one is stopped: nobody has the ports for as long as the one takes to end and the other
    to begin.
    """
    words = (settings.program, NAME, KAMAL if kamal else "")
    body = f"failed=\n{_START}"
    return _sh(body, DIRECTORY, *words, *create(settings, found))


def halt(settings: DoorSettings) -> Command:
    """Stop the container, and keep it."""
    return Command((settings.program, "stop", "--time", "5", NAME))


def stop(settings: DoorSettings) -> tuple[Command, ...]:
    """Stop and remove the container."""
    program = settings.program
    return (
        Command((program, "stop", "--time", "5", NAME), then=Then.ALWAYS),
        Command((program, "rm", "--force", NAME), then=Then.ALWAYS),
    )


def others(settings: DoorSettings) -> Command:
    """The services with a role that run on the host, a line each."""
    return Command(
        (
            *(settings.program, "ps", "--filter", "label=service", "--filter", "label=role"),
            *("--format", '{{.Label "service"}}{{with .Label "destination"}}-{{.}}{{end}}'),
        )
    )


def allow() -> Command:
    """Write down that Kamal's proxy may be replaced; `start` takes the word back once it was."""
    return _sh('mkdir -p "$1" && chmod 700 "$1" && : >"$1/$2"', DIRECTORY, TAKE_OVER)


def details(settings: DoorSettings) -> tuple[str, ...]:
    """The container as Docker shows it."""
    return (settings.program, "ps", "--all", "--filter", f"name=^/?{NAME}$")


def logs(
    settings: DoorSettings, *, lines: int | None, since: str, follow: bool, times: bool
) -> tuple[str, ...]:
    """What Caddy says."""
    return (
        *(settings.program, "logs"),
        *(("--timestamps",) if times else ()),
        *(("--tail", str(lines)) if lines is not None else ()),
        *(("--since", since) if since else ()),
        *(("--follow",) if follow else ()),
        NAME,
    )


def destroy() -> Command:
    """Delete the directory, certificates and all."""
    return Command(("rm", "-rf", DIRECTORY))
