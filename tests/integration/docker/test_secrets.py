"""Where secrets go on a host: into the container, byte for byte, and nowhere that others can look."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.docker.place import REVISION, WEB, Place, instance, job, open_gate, play
from tests.lab.lab import Lab

from pilotage.errors import StartFailed, UsageError
from pilotage.secret import Secret
from pilotage.targets.docker import DockerRole

pytestmark = pytest.mark.integration

MARK = f"s3cr3t-3141592-{os.getpid()}"  # another worker puts its own into an argv, on purpose
ENV = {
    "QUOTED": Secret(f'{MARK} it\'s "so" `x` $HOME ${{HOME}} \\n !'),
    "LINES": Secret(f"{MARK}\n  second line\n\nlast\n"),
    "UNICODE": Secret(f"{MARK} é ✓ 漢"),
    "DOCKER_HOST": Secret(f"tcp://{MARK}"),
    "PATH": Secret(f"/usr/local/bin:/usr/bin:/bin:/{MARK}"),
    "with.dots": Secret(f"{MARK} it's"),
    "EMPTY": Secret(""),
    "URL": f"https://u:{MARK}-2@example.com/",
    "CLEAR": "it's $clear",
}
WORD = Secret(f"{MARK}-2")  # a secret that stands in a value which is none itself


@contextlib.contextmanager
def watching() -> Iterator[list[str]]:
    """Look at the argv of every process of the machine, all hosts' too, again and again."""
    found: list[str] = []
    looks = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal looks
        while not ended.is_set():
            looks += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    argv = path.read_bytes()
                    if MARK.encode() in argv:
                        found.append(argv.decode(errors="replace"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
    assert looks > 3


def environments(place: Place, id: str) -> tuple[dict[str, str], dict[str, str]]:
    """The environment that Docker gives an instance, and what a process in it has."""
    container = place.host.docker("ps", "-q", "--filter", f"label=pilotage.instance={id}").strip()
    given = json.loads(place.host.docker("inspect", "-f", "{{json .Config.Env}}", container))
    ask = "import os, json; print(json.dumps(dict(os.environ)))"
    had = json.loads(place.host.docker("exec", container, "python3", "-c", ask))
    return dict(entry.split("=", 1) for entry in given), had


def test_they_are_byte_exact_in_the_container_and_in_no_argv_and_no_event(lab: Lab) -> None:
    async def story(place: Place) -> None:
        place.target = replace(place.target, secrets=frozenset({WORD}))
        with watching() as found:
            started = await place.start(instance(place.host.address))
            output: list[str] = []
            sh = ("sh", "-c", 'printf "%s\\n" "$QUOTED" "$ALONE"')
            once = job(place.host.address, *sh, env={"ALONE": Secret(f"{MARK}-job")})
            status = await place.target.run_once(
                once, token=1, gate=open_gate, output=output.append
            )
        assert status == 0
        assert not found
        # What an instance prints is masked on its way to us.
        assert output == ["[secret]", "[secret]"]
        env, had = environments(place, started.id)
        for name, value in ENV.items():
            plain = value.reveal() if isinstance(value, Secret) else value
            assert env[name] == plain, name
            # The shell that starts Python in this image leaves out what is no name to it.
            assert had.get(name) == plain or name == "with.dots", name
        assert env["KAMAL_VERSION"] == REVISION
        assert env["KAMAL_HOST"] == place.host.address
        assert env["KAMAL_CONTAINER_NAME"] == f"shop-web-{REVISION}"
        assert env["PILOTAGE_INSTANCE"] == started.id

    place = play(
        lab, {"web": replace(WEB, env=ENV), "job": DockerRole(env={"QUOTED": ENV["QUOTED"]})}, story
    )
    told = json.dumps([event.to_json() for event in place.events])
    assert "docker" in told
    assert MARK not in told
    creation = next(argv for argv in place.commands if argv[1] == "create")
    assert creation[creation.index("CLEAR=it's $clear") - 1] == "--env"
    assert creation[creation.index("QUOTED") - 1] == "--env"
    # On the host nothing of it is left in a file.
    assert not [p for p in place.host.home.rglob("*") if p.is_file() and MARK in p.read_text()]


def test_none_is_in_the_error_of_a_start_that_fails(lab: Lab) -> None:
    wrong = replace(WEB, env=ENV, options={"memory": MARK})

    async def story(place: Place) -> None:
        place.target = replace(place.target, secrets=frozenset({Secret(MARK)}))
        with pytest.raises(StartFailed) as failed:
            await place.start(instance(place.host.address))
        shown = "".join(traceback.format_exception(failed.value))
        assert "[secret]" in shown
        assert MARK not in shown

    play(lab, {"web": wrong}, story)


def test_what_can_be_given_in_no_way_is_refused_before_anything_is_done(lab: Lab) -> None:
    async def story(place: Place) -> None:
        with pytest.raises(UsageError, match="LD_PRELOAD") as refused:
            await place.start(instance(place.host.address))
        assert MARK not in "".join(traceback.format_exception(refused.value))
        assert (await place.target.observe()).instances == ()

    play(lab, {"web": replace(WEB, env={"LD_PRELOAD": Secret(f"{MARK}\nx")})}, story)
