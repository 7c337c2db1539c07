#!/bin/sh
# Stands in for docker on a simulated host: containers are files, and nothing runs. What pilotage and Kamal ask of a
# worker's containers is answered as Docker would; the shell's own words alone, for a program would cost more than the
# answer, thirty-two times.
home=$HOME/containers
[ -d "$home" ] || mkdir -p "$home"

load() { # a container's id, or the beginning of it, or its name
  for file in "$home"/*; do
    [ -f "$file" ] || continue
    . "$file"
    case "$id" in "$1"*) return 0 ;; esac
    [ "$name" != "$1" ] || return 0
  done
  return 1
}
save() {
  printf "id='%s' name='%s' created='%s' started='%s' finished='%s' status='%s' labels='%s'\n" \
    "$id" "$name" "$created" "$started" "$finished" "$status" "$labels" >"$home/$id"
}
now() { now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ); }
made() { # the words of `create` and `run`
  name= labels=
  while [ $# -gt 0 ]; do
    case "$1" in
      --name) name=$2; shift ;;
      --label) labels="$labels${labels:+,}\"${2%%=*}\":\"$(unquoted "${2#*=}")\""; shift ;;
    esac
    shift
  done
  now
  read -r id </proc/sys/kernel/random/uuid
  read -r more </proc/sys/kernel/random/uuid
  id=$(printf %s "$id$more" | tr -d -)
  created=$now started=0001-01-01T00:00:00Z finished=0001-01-01T00:00:00Z status=created
}
unquoted() { text=${1#\"}; printf %s "${text%\"}"; }
listed() { # the words of `ps`: what passes all filters
  for file in "$home"/*; do
    [ -f "$file" ] || continue
    . "$file"
    shown "$@" && echo "$id"
  done
  return 0
}
shown() {
  states=
  while [ $# -gt 0 ]; do
    case "$1" in
      --filter)
        case "$2" in
          label=*=*) pair=${2#label=}; case "$labels" in *"\"${pair%%=*}\":\"${pair#*=}\""*) ;; *) return 1 ;; esac ;;
          id=*) case "$id" in "${2#id=}"*) ;; *) return 1 ;; esac ;;
          name=*) wanted=${2#name=^}; [ "$name" = "${wanted%$}" ] || return 1 ;;
          status=*) states="$states ${2#status=}" ;;
        esac
        shift ;;
    esac
    shift
  done
  case "$states" in ""|*" $status"*) return 0 ;; esac
  return 1
}

verb=$1
shift
case "$verb" in
  container|image) verb="$verb $1"; shift ;;
esac
case "$verb" in
  version) echo 27.0.0 ;;
  info) echo linux/x86_64 / ;;
  create) made "$@"; save; echo "$id" ;;
  run) made "$@"; started=$now status=running; save; echo "$id" ;;
  start) load "$1" || exit 1; now; started=$now status=running; save; echo "$1" ;;
  kill) load "$3" && [ "$status" = running ] || exit 1; now; finished=$now status=exited; save; echo "$3" ;;
  stop) for last; do :; done; load "$last" || exit 1; now; finished=$now status=exited; save; echo "$last" ;;
  wait) load "$1" || exit 1; echo 0 ;;
  rename) load "$1" || exit 1; name=$2; save ;;
  rm) for each; do case "$each" in -*) ;; *) ! load "$each" || rm -f "$home/$id" ;; esac; done ;;
  ps|"container ls")
    case "$*" in *--quiet*|*-q*) listed "$@" ;; esac ;;
  inspect)
    case "$*" in
      *"--type container"*)
        shift 4
        for each; do
          load "$each" || exit 1
          printf '["%s","/%s","%s",0,{"Status":"%s","StartedAt":"%s","FinishedAt":"%s","ExitCode":0},{%s},"SIGTERM",false,"pilotage",{}]\n' \
            "$id" "$name" "$created" "$status" "$started" "$finished" "$labels"
        done ;;
      *Labels.service*) echo shop ;;
      *) echo running ;;
    esac ;;
  "image inspect") echo sha256:0 linux/amd64 ;;
esac
