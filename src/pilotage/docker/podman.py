"""Podman in the place of Docker: a program called ``docker`` that hands on what a host is asked for.

`pilotage server bootstrap` puts it on hosts that have podman and no Docker, so that every command of ours is the same
on all hosts. Tried with podman 4.3 (Debian 12). Podman has no daemon and mostly takes Docker's words; what differs, and is
made good by `PROGRAM`:

- What starts a container stays its parent, and keeps what is open: the locks of a script (descriptors 8 and 9) would never
  be let go of.
- ``ps`` knows no status ``restarting``, takes ``label=NAME=`` for any value, and has other names in its templates.
- ``image rm --force`` removes the *containers* of an image; ``rm --force`` gives them ten seconds first.
- ``volume create`` fails for a volume that is there, ``logout`` for who is not logged in; ``logs`` takes options only before
  the name. A folder that is mounted is not made. ``wait`` looks four times a second.
- A short name (``caddy:2``) is of no registry, and `REGISTRIES` says of which. One on the loopback is asked by HTTPS alone. Log-ins are forgotten at a reboot.
- ``unless-stopped`` is forgotten at a reboot. So who was stopped is written down in ``/var/lib/pilotage-podman``, and `UNIT`
  starts the others.
- What ``kill`` has ended is started again. So a signal to a container with such a policy is sent by ``stop``, which is
  left waiting.
- A container that ended by itself says ``exited`` until it is started again, some 0.1 s later. One that is put away in that
  moment would come back: `PROGRAM` waits for that, and ends it.
- An ordinary user may not listen on ports below 1024 inside, a container has 2048 processes at most and gets the proxy
  of the host's environment.

What podman cannot do is on the page for Docker hosts.
"""

from __future__ import annotations

import re

MINIMUM = (4, 3)
"""Versions before know other words, or have networks without names."""

PATH = "/usr/local/bin/docker"
"""Where `PROGRAM` is put: found before what a package has in ``/usr/bin``."""

MARK = "Docker's words for podman, by pilotage"
"""A line of `PROGRAM` has it: it is ours, and may be replaced."""

CALLED = "podman"
"""What `PROGRAM` writes before the version of podman."""

# No variable of it may be called as one of a container, whose values come through its environment.
PROGRAM = rf"""#!/bin/sh
# {MARK}: `pilotage server bootstrap` put this here, and replaces it.
exec 8>&- 9>&-
[ "$(id -u)" = 0 ] || {{
  echo "podman takes the place of Docker for root alone" >&2
  exit 125
}}
_plt_marks=/var/lib/pilotage-podman/stopped
_plt_logins=${{HOME:-/root}}/.docker/config.json
[ ! -e "$_plt_logins" ] || export REGISTRY_AUTH_FILE="$_plt_logins"

# The whole ids of the containers that words name.
_plt_ids() {{
  _plt_skip=
  for _plt_word; do
    [ -z "$_plt_skip" ] || {{ _plt_skip=; continue; }}
    case $_plt_word in
      --time | -t | --signal | -s) _plt_skip=yes ;;
      -* | start | stop | kill | rm) ;;
      *) [ ${{#_plt_word}} = 64 ] && echo "$_plt_word" || podman container inspect --format '{{{{.Id}}}}' "$_plt_word" 2>/dev/null ;;
    esac
  done
}}
_plt_stopped() {{
  mkdir -p "$_plt_marks"
  for _plt_id in $(_plt_ids "$@"); do : >"$_plt_marks/$_plt_id"; done
}}
_plt_forget() {{
  [ ! -d "$_plt_marks" ] || for _plt_id in $(_plt_ids "$@"); do rm -f "$_plt_marks/$_plt_id"; done
}}
_plt_local() {{
  for _plt_word; do
    case $_plt_word in localhost | localhost[:/]* | 127.* | "[::1]"*) return 0 ;; esac
  done
  return 1
}}
# Ends what runs, and what ended by itself and is going to be started again.
_plt_settle() {{
  _plt_left=200
  while [ $((_plt_left -= 1)) -gt 0 ]; do
    _plt_was=$(podman container inspect --format '{{{{.State.Status}}}} {{{{.State.StartedAt}}}}' "$1") || return
    case $_plt_was in
      running* | paused* | stopping*)
        podman stop --time 0 "$1" >/dev/null 2>&1
        continue
        ;;
    esac
    podman container cleanup "$1" >/dev/null 2>&1
    _plt_now=$(podman container inspect --format '{{{{.State.StartedAt}}}}' "$1") || return
    [ "${{_plt_was#* }}" != "$_plt_now" ] || return
  done
}}

case $1 in
  container)
    case $2 in
      inspect) ;;
      ls | list | ps) shift 2 && set -- ps "$@" ;;
      *) shift ;;
    esac
    ;;
  image) case $2 in pull | push) shift ;; esac ;;
  rmi) shift && set -- image rm "$@" ;;
esac

case $1 in
  version)
    case $2 in --format | -f) exec podman version --format '{CALLED} {{{{.Client.Version}}}}' ;; esac
    ;;

  create | run)
    _plt_before= _plt_ports=yes
    for _plt_word; do
      case $_plt_before in
        --volume | -v)
          case $_plt_word in /*:*) [ -e "${{_plt_word%%:*}}" ] || mkdir -p "${{_plt_word%%:*}}" ;; esac
          ;;
        --network | --net) case $_plt_word in host | container:* | ns:*) _plt_ports= ;; esac ;;
      esac
      case $_plt_word in
        --network=host | --net=host | --network=container:* | --net=container:*) _plt_ports= ;;
      esac
      _plt_before=$_plt_word
    done
    _plt_verb=$1
    shift
    [ -z "$_plt_ports" ] || set -- --sysctl net.ipv4.ip_unprivileged_port_start=0 "$@"
    exec podman "$_plt_verb" --log-driver k8s-file --pids-limit -1 --http-proxy=false --security-opt label=disable "$@"
    ;;

  start) _plt_forget "$@" ;;
  kill)
    case $2 in --signal | -s) _plt_word=$3 ;; *) _plt_word=KILL ;; esac
    _plt_id=$(_plt_ids "$@")
    _plt_how=$(podman container inspect --format '{{{{.Config.StopSignal}}}} {{{{.HostConfig.RestartPolicy.Name}}}}' "$_plt_id") || exit
    # Only what `stop` has ended stays ended. It sends the container's own signal, and goes on waiting by itself.
    case ${{_plt_how#* }} in
      "" | no) ;;
      *)
        case $_plt_word in
          KILL | SIGKILL | 9) podman stop --time 0 "$_plt_id" || exit ;;
          "${{_plt_how%% *}}" | TERM | SIGTERM)
            setsid podman stop --time 604800 "$_plt_id" </dev/null >/dev/null 2>&1 &
            while kill -0 $! 2>/dev/null && _plt_how=$(podman container inspect --format '{{{{.State.Status}}}}' "$_plt_id"); do
              [ "$_plt_how" = running ] || break
            done
            echo "$_plt_id"
            ;;
          *) exec podman "$@" ;;
        esac
        _plt_stopped "$_plt_id"
        exit
        ;;
    esac
    ;;
  stop)
    podman "$@" || exit
    for _plt_id in $(_plt_ids "$@"); do _plt_settle "$_plt_id"; done
    _plt_stopped "$@"
    exit
    ;;
  wait) shift && set -- wait --interval 20ms "$@" ;;
  rename)
    case $3 in
      *_retired_*)
        _plt_settle "$2"
        _plt_stopped "$2"
        ;;
    esac
    ;;
  rm)
    for _plt_word; do
      case $_plt_word in --force | -f | -fv | -vf) shift && set -- rm --time 0 "$@" && break ;; esac
    done
    _plt_forget "$@"
    ;;

  ps)
    # Labels without a value, and all of Docker's states, are told apart by a template.
    _plt_quiet= _plt_unless= _plt_states= _plt_left=$# _plt_before=
    while [ "$_plt_left" -gt 0 ]; do
      _plt_word=$1 _plt_left=$((_plt_left - 1))
      shift
      [ "$_plt_before" != --format ] || _plt_word=$(printf '%s\n' "$_plt_word" | sed \
        -e 's/{{{{ *\.State *}}}}/{{{{.ListContainer.State}}}}/g' -e 's/\.Label "/index .ListContainer.Labels "/g')
      case $_plt_before$_plt_word in
        --filterlabel=*=)
          _plt_word=${{_plt_word%=}}
          _plt_unless="$_plt_unless (index .ListContainer.Labels \"${{_plt_word#label=}}\")"
          ;;
        --filterstatus=*)
          case ${{_plt_word#status=}} in
            created) _plt_states="$_plt_states \"created\" \"configured\"" ;;
            running) _plt_states="$_plt_states \"running\" \"stopping\"" ;;
            restarting) _plt_states="$_plt_states \"initialized\"" ;;
            exited) _plt_states="$_plt_states \"exited\" \"stopped\"" ;;
            *) _plt_states="$_plt_states \"${{_plt_word#status=}}\"" ;;
          esac
          _plt_before=
          continue
          ;;
      esac
      [ "$_plt_before" != --filter ] || set -- "$@" --filter
      _plt_before=$_plt_word
      case $_plt_word in
        --filter) continue ;;
        --quiet | -q) _plt_quiet=yes && continue ;;
        -aq | -qa) _plt_quiet=yes _plt_word=--all ;;
      esac
      set -- "$@" "$_plt_word"
    done
    if [ -z "$_plt_unless$_plt_states" ]; then
      exec podman "$@" ${{_plt_quiet:+--quiet}}
    fi
    _plt_if="not (or \"\"$_plt_unless)"
    [ -z "$_plt_states" ] || _plt_if="and ($_plt_if) (eq .ListContainer.State$_plt_states)"
    if [ -n "$_plt_quiet" ]; then
      _plt_found=$(podman "$@" --format "{{{{if $_plt_if}}}}{{{{.ID}}}}{{{{end}}}}") || exit
      [ -z "$_plt_found" ] || printf '%s\n' "$_plt_found" | sed '/^$/d'
      exit
    fi
    _plt_found=$(podman "$@" --no-trunc --format "{{{{if $_plt_if}}}}{{{{.ID}}}}{{{{end}}}}") || exit
    set -- "$@" --filter id=-
    for _plt_id in $_plt_found; do set -- "$@" --filter "id=$_plt_id"; done
    ;;

  logs)
    case $2 in
      -* | "") ;;
      *) _plt_word=$2 && shift 2 && set -- logs "$@" "$_plt_word" ;;
    esac
    ;;

  pull | push)
    _plt_verb=$1
    shift
    _plt_local "$@" && set -- --tls-verify=false "$@"
    exec podman "$_plt_verb" "$@"
    ;;

  image)
    if [ "$2" = rm ]; then
      shift 2
      _plt_left=$#
      while [ "$_plt_left" -gt 0 ]; do
        _plt_word=$1 _plt_left=$((_plt_left - 1))
        shift
        case $_plt_word in --force | -f) ;; *) set -- "$@" "$_plt_word" ;; esac
      done
      set -- image rm "$@"
    fi
    ;;

  volume)
    case $2 in
      create)
        for _plt_word; do :; done
        if podman volume exists "$_plt_word"; then echo "$_plt_word" && exit; fi
        ;;
      ls)
        _plt_unless= _plt_left=$# _plt_before=
        while [ "$_plt_left" -gt 0 ]; do
          _plt_word=$1 _plt_left=$((_plt_left - 1))
          shift
          case $_plt_before$_plt_word in
            --filterlabel=*=)
              _plt_word=${{_plt_word%=}}
              _plt_unless="$_plt_unless (index .Labels \"${{_plt_word#label=}}\")"
              ;;
          esac
          _plt_before=$_plt_word
          case $_plt_word in --quiet | -q) continue ;; esac
          set -- "$@" "$_plt_word"
        done
        _plt_found=$(podman "$@" --format "{{{{if not (or \"\"$_plt_unless)}}}}{{{{.Name}}}}{{{{end}}}}") || exit
        [ -z "$_plt_found" ] || printf '%s\n' "$_plt_found" | sed '/^$/d'
        exit
        ;;
    esac
    ;;

  login)
    (umask 077 && mkdir -p "${{_plt_logins%/*}}") && export REGISTRY_AUTH_FILE="$_plt_logins"
    shift
    case $1 in -* | "") set -- docker.io "$@" ;; esac
    _plt_local "$1" && set -- --tls-verify=false "$@"
    exec podman login "$@"
    ;;
  logout)
    _plt_said=$(podman logout "${{2:-docker.io}}" 2>&1) && echo "$_plt_said" && exit
    case $_plt_said in *"ot logged in"*) echo "$_plt_said" && exit ;; esac
    printf '%s\n' "$_plt_said" >&2
    exit 1
    ;;

  pilotage-boot)
    for _plt_id in $(podman ps --all --quiet --no-trunc --filter restart-policy=unless-stopped); do
      [ -e "$_plt_marks/$_plt_id" ] || podman start "$_plt_id" || _plt_left=1
    done
    exit "${{_plt_left:-0}}"
    ;;
esac
exec podman "$@"
"""

REGISTRIES_PATH = "/etc/containers/registries.conf.d/900-pilotage.conf"

REGISTRIES = """\
# By `pilotage server bootstrap`: a name without a registry is of Docker Hub, as it is for Docker.
unqualified-search-registries = ["docker.io"]
"""

UNIT_NAME = "pilotage-podman.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT_NAME}"

UNIT = f"""\
# By `pilotage server bootstrap`: what was not stopped is started again after a reboot, as Docker does it.
[Unit]
Description=Start containers that run unless they are stopped
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
RemainAfterExit=true
ExecStart={PATH} pilotage-boot

[Install]
WantedBy=multi-user.target
"""

FIND = f"""\
docker=$(command -v docker) || {{ command -v podman >/dev/null && echo podman || echo nothing; exit 0; }}
if grep -qs "{MARK}" "$docker"; then echo ours; exit; fi
case $("$docker" --version 2>/dev/null) in *[Pp]odman*) echo podman ;; *) echo docker ;; esac
"""
"""Writes ``docker``, ``podman`` (and no Docker), ``ours`` (`PROGRAM` is there), or ``nothing``."""

READY = """\
[ "$(id -u)" = 0 ] || { echo "podman takes the place of Docker for root alone: set ssh.user to root" >&2; exit 1; }
helper() {
  for folder in /usr/lib/podman /usr/libexec/podman /usr/local/lib/podman /usr/local/libexec/podman; do
    [ ! -x "$folder/$1" ] || return 0
  done
  return 1
}
ready() { command -v podman >/dev/null && helper netavark && helper aardvark-dns; }
if ! ready; then
  if command -v apt-get >/dev/null; then
    apt-get update -qq >/dev/null 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \\
      aardvark-dns netavark crun iptables podman >/dev/null || exit
  elif command -v dnf >/dev/null; then
    dnf install -y -q aardvark-dns netavark podman >/dev/null || exit
  fi
fi
ready || { echo "it has no podman with netavark and aardvark-dns" >&2; exit 1; }
backend=$(podman info --format '{{.Host.NetworkBackend}}') || exit
[ "$backend" = netavark ] || {
  echo "podman's networks are $backend's, where containers have no names: set network_backend to netavark" \\
    "in /etc/containers/containers.conf, then podman system reset" >&2
  exit 1
}
podman version --format '{{.Client.Version}}' || exit
[ ! -d /run/systemd/system ] || echo systemd
"""
"""Has podman from the distribution with what it needs, and writes its version; then ``systemd`` where that runs."""

ENABLE = f"systemctl daemon-reload && systemctl -q enable {UNIT_NAME}"
"""Has `UNIT` run from the next boot on."""


def version_of(text: str) -> tuple[int, int] | None:
    """Podman's version as `PROGRAM` writes it (``podman 4.3.1``); None for Docker's, or what is none."""
    found = re.match(rf"{CALLED} (\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None
