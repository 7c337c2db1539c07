"""What podman is asked for in the place of Docker: by the real program, and a podman that writes down its words.

What the real podman makes of it is seen in `tests/e2e/docker/test_podman.py`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pilotage.docker import podman
from pilotage.errors import TargetError
from pilotage.targets.docker.diagnosis import require_recent

Asked = Callable[..., list[str]]

LIKE_DOCKER = (
    "--log-driver k8s-file --pids-limit -1 --http-proxy=false --security-opt label=disable"
)
LOW_PORTS = "--sysctl net.ipv4.ip_unprivileged_port_start=0"


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def docker(tmp_path: Path) -> Asked:
    """Runs `docker …`; each command that podman was given, as a line."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "docker").write_text(podman.PROGRAM)
    (bin_ / "docker").chmod(0o755)
    put(bin_, "id", "echo 0")
    said = tmp_path / "said"
    put(
        bin_,
        "podman",
        f'echo "$* ${{REGISTRY_AUTH_FILE:+with a log-in}}" >>{said}\n[ "$1" != volume ]',
    )

    def run(*words: str) -> list[str]:
        said.write_text("")
        path = f"{bin_}:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(tmp_path), "word": "kept"}
        subprocess.run([str(bin_ / "docker"), *words], env=env, check=False, capture_output=True)
        return [line.strip() for line in said.read_text().splitlines()]

    return run


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("network inspect kamal", "network inspect kamal"),
        ("create --network kamal app", f"create {LIKE_DOCKER} {LOW_PORTS} --network kamal app"),
        # The host's own network is not the container's to set.
        ("create --network host app", f"create {LIKE_DOCKER} --network host app"),
        ("run --rm app ls -l", f"run {LIKE_DOCKER} {LOW_PORTS} --rm app ls -l"),
        ("rm --volumes web", "rm --volumes web"),
        # Docker kills at once, and podman would remove the containers of an image.
        ("container rm --volumes web", "rm --volumes web"),
        ("image rm --force redis:7", "image rm redis:7"),
        ("rmi -f redis:7", "image rm redis:7"),
        ("logs db --tail 3 --follow", "logs --tail 3 --follow db"),
        ("logs --tail 3 db", "logs --tail 3 db"),
        ("wait web", "wait --interval 20ms web"),
        ("pull --quiet redis:7", "pull --quiet redis:7"),
        (
            "pull --quiet localhost:5555/shop:1",
            "pull --tls-verify=false --quiet localhost:5555/shop:1",
        ),
        ("image pull 127.0.0.1:5000/shop", "pull --tls-verify=false 127.0.0.1:5000/shop"),
        ("pull localhostess.example/shop", "pull localhostess.example/shop"),
        ("version --format {{.Server.Version}}", "version --format podman {{.Client.Version}}"),
        ("login ghcr.io -u me", "login ghcr.io -u me with a log-in"),
        ("login -u me --password-stdin", "login docker.io -u me --password-stdin with a log-in"),
        ("logout", "logout docker.io"),
        ("pilotage-boot", "ps --all --quiet --no-trunc --filter restart-policy=unless-stopped"),
        (
            "container ls --all --format {{.State}}",
            "ps --all --format {{.ListContainer.State}}",
        ),
        (
            "ps --quiet --filter id=1 --filter status=created",
            'ps --filter id=1 --format {{if and (not (or "")) (eq .ListContainer.State "created" "configured")}}{{.ID}}{{end}}',
        ),
        (
            "volume ls --quiet --filter label=destination= --filter label=service=shop",
            "volume ls --filter label=destination --filter label=service=shop --format"
            ' {{if not (or "" (index .Labels "destination"))}}{{.Name}}{{end}}',
        ),
    ],
)
def test_what_podman_is_asked_for(docker: Asked, words: str, asked: str) -> None:
    assert docker(*words.split())[-1] == asked


def test_a_container_that_is_to_go_goes_at_once(docker: Asked) -> None:
    assert docker("rm", "--force", "--volumes", "web")[-1] == "rm --time 0 --force --volumes web"


@pytest.mark.parametrize(
    ("policy", "signal", "asked"),
    [
        ("no", "15", "kill --signal 15 web"),
        ("unless-stopped", "HUP", "kill --signal HUP web"),
        ("unless-stopped", "SIGKILL", f"stop --time 0 {'a' * 64}"),
        ("unless-stopped", "15", f"stop --time 604800 {'a' * 64}"),
    ],
)
def test_what_is_killed_is_not_started_again(
    docker: Asked, tmp_path: Path, policy: str, signal: str, asked: str
) -> None:
    """Podman takes a signal of `kill` for no reason to leave a container alone."""
    said = tmp_path / "said"
    put(
        tmp_path / "bin",
        "podman",
        f'echo "$*" >>{said}\n'
        f'case $4 in *RestartPolicy*) echo "15 {policy}" ;; *Status*) grep -q "^stop" {said} && echo exited || echo running ;; '
        f"*) echo {'a' * 64} ;; esac",
    )
    put(tmp_path / "bin", "mkdir", "exit 0")
    put(tmp_path / "bin", "setsid", 'exec "$@"')
    assert [
        line for line in docker("kill", "--signal", signal, "web") if "inspect" not in line
    ] == [asked]


def test_a_volume_is_made_once(docker: Asked) -> None:
    asked = docker("volume", "create", "--label", "a=b", "assets")
    assert asked == ["volume exists assets", "volume create --label a=b assets"]


def test_a_folder_that_is_mounted_is_made(docker: Asked, tmp_path: Path) -> None:
    docker("create", "--volume", f"{tmp_path}/not/there:/data", "--volume", "named:/x", "app")
    assert (tmp_path / "not" / "there").is_dir()


def test_nobody_but_root(docker: Asked, tmp_path: Path) -> None:
    put(tmp_path / "bin", "id", "echo 1000")
    assert docker("ps") == []


def test_locks_are_let_go_of(docker: Asked, tmp_path: Path) -> None:
    """Podman stays, as the parent of what it starts: with a script's lock open, the lock would stay too."""
    seen = tmp_path / "open"
    put(tmp_path / "bin", "podman", f"ls /proc/self/fd >{seen}")
    program = tmp_path / "bin" / "docker"
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOME": str(tmp_path)}
    script = f"exec 8>{tmp_path}/one 9>{tmp_path}/other; {program} start web"
    subprocess.run(["sh", "-c", script], env=env, check=True)
    assert not {"8", "9"} & set(seen.read_text().split())


def find(tmp_path: Path, **programs: str) -> str:
    """What `podman.FIND` says where there are these programs."""
    folder = tmp_path / "path"
    folder.mkdir()
    for name in ("sh", "grep"):
        (folder / name).symlink_to(f"/bin/{name}")
    for name, text in programs.items():
        put(folder, name, text)
    done = subprocess.run(
        ["/bin/sh", "-c", podman.FIND],
        env={"PATH": str(folder)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("programs", "found"),
    [
        ({}, "nothing"),
        ({"podman": ""}, "podman"),
        ({"docker": "echo Docker version 26.1.5, build a72d7cd"}, "docker"),
        ({"docker": "echo no >&2; exit 1", "podman": ""}, "docker"),
        # The package `podman-docker`.
        ({"docker": "echo podman version 4.3.1"}, "podman"),
        ({"docker": podman.PROGRAM}, "ours"),
    ],
)
def test_what_a_host_has(tmp_path: Path, programs: dict[str, str], found: str) -> None:
    assert find(tmp_path, **programs) == found


def test_a_podman_that_is_too_old() -> None:
    require_recent("web-1", "podman 4.3.1")
    require_recent("web-1", "podman 10.0.0")
    with pytest.raises(TargetError, match=r"web-1: podman 3\.4\.4 is too old"):
        require_recent("web-1", "podman 3.4.4")
    with pytest.raises(TargetError, match=r"web-1: Docker 4\.3\.1 is too old"):
        require_recent("web-1", "4.3.1")
