"""What runs beside Envoy in the edge's container: it keeps the addresses of instances up to date.

Docker gives a container another address when it starts it again, after a crash or with the whole host, and
the old one to the next container that asks. Envoy takes addresses of endpoints from files alone. So each
endpoint has in its metadata what Docker's own resolver knows it by, and this script writes the address that it
finds into the file, under the same version: who serves is the deployer's business, where is Docker's.

A name without an answer changes nothing, since the resolver is away whenever Docker is restarted.
"""

from __future__ import annotations

from collections.abc import Sequence

ALIAS = "alias"
"""The key of the name in an endpoint's metadata, which stands before the address in the file."""

LOCK = ".addresses.lock"
"""Held, in the edge's directory, by whoever puts a file in place: what is replaced here is what was read."""

# `current` writes its input with the addresses of now; 1 where a name has no answer. Where the image has
# neither of its programs, the container serves as ever, and stale addresses stay.
_SCRIPT = f"""\
current() {{
  ip= known=0
  while IFS= read -r line; do
    case $line in
      *'"{ALIAS}": "'*)
        name=${{line#*'"{ALIAS}": "'}}
        ip=$(RES_OPTIONS="timeout:1 attempts:1" getent ahostsv4 "${{name%%\\"*}}" 2>/dev/null) || known=1
        ip=${{ip%%[!0-9.]*}}
        ;;
      *'"address": "'*)
        rest=${{line#*'"address": "'}}
        [ -z "$ip" ] || line=${{line%"$rest"}}$ip\\"${{rest#*\\"}}
        ip=
        ;;
    esac
    printf '%s\\n' "$line"
  done
  return $known
}}
refresh() {{
  all=0
  for file in eds/*/*.json; do
    [ -e "$file" ] || continue
    was=$(cat "$file") || continue
    now=$(printf '%s\\n' "$was" | current) || all=1
    [ "$now" != "$was" ] || continue
    (
      flock 8 && [ "$(cat "$file")" = "$was" ] || exit 0
      printf '%s\\n' "$now" >"${{file%/*}}/.addresses" && mv -f "${{file%/*}}/.addresses" "$file"
    ) 8>>{LOCK}
  done
  return $all
}}
began=$(date +%s)
until refresh || [ "$(date +%s)" -ge "$((began + 5))" ]; do sleep 0.5; done
while sleep 1; do refresh; done &
exec envoy "$@"
"""
"""After a reboot, containers start in any order: for five seconds a request is rather refused than sent to whoever
has the address now. A name that Docker does not know it passes on to the host's resolvers, which may not answer: a second
is enough for those that it does know."""


def command(arguments: Sequence[str]) -> tuple[str, ...]:
    """The words after ``sh`` that keep addresses up to date, and become Envoy with its arguments."""
    return ("-c", _SCRIPT, "edge", *arguments)
