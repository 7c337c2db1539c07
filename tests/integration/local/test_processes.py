"""Instances of the local target are real processes: how they live, end, and are known."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.target.kits import APP, Said
from tests.integration.local.world import (
    alive,
    command,
    full_disk,
    make_project,
    open_gate,
    until,
    wait_until,
)

from pilotage.errors import LeaseLost, StartFailed, TargetError, Unhealthy
from pilotage.host.launch import Program, launch
from pilotage.host.process import ProcessId
from pilotage.model import Kind, Life
from pilotage.secret import Secret
from pilotage.targets.local import CommandHealth, HttpHealth, LocalPrepare, LocalRole, default_host

pytestmark = pytest.mark.integration

STARTER = """\
import asyncio, os, sys
from pathlib import Path
from tests.integration.local.world import Project, make_project, open_gate
root, revision, host, cmd, token = sys.argv[1:6]
project = Project(Path(root), revision, host)
target = project.worker(cmd)

async def gate():
    print("at the gate", flush=True)
    sys.stdin.readline()

async def main():
    await target.start(
        project.instance("job-1"), revision, token=int(token), gate=gate
    )
    print("started", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def starter(project, cmd="sleep 600", *, token=1):
    return command(STARTER, project.root, project.revision, project.host, cmd, token)


# -- life ----------------------------------------------------------------------------------------


def test_an_instance_outlives_the_command_that_started_it(project):
    with starter(project) as process:
        assert process.stdout.readline() == "at the gate\n"
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "started\n"
        process.kill()
        process.wait()
    observed = asyncio.run(project.observed("job-1"))
    assert observed.life is Life.RUNNING
    main, shim = project.main("job-1"), project.shim("job-1")
    assert alive(main)
    assert os.getsid(main) == shim != os.getsid(0), (
        "it has a session, hence no terminal, of its own"
    )
    assert os.getpgid(main) == main, "it leads its own process group"


def test_a_command_killed_at_the_gate_has_started_nothing(project):
    with starter(project) as process:
        assert process.stdout.readline() == "at the gate\n"
        assert asyncio.run(project.observed("job-1")).life is Life.STARTING
        process.kill()
        process.wait()
    observed = asyncio.run(project.observed("job-1"))
    assert observed.life is Life.DEAD
    assert "never launched" in observed.detail

    async def again():
        await project.start(project.worker("sleep 600"), "job-1")
        assert (await project.observed("job-1")).life is Life.RUNNING

    asyncio.run(again())


def test_a_shim_whose_caller_dies_before_the_record_starts_nothing(project, tmp_path):
    """The promise under everything: on record first. The caller dies in the very act of recording."""
    script = """\
import asyncio, os, sys
from pathlib import Path
from pilotage.host.launch import Program, launch

def record(shim):
    print(shim.pid, flush=True)
    os._exit(1)

folder = Path(sys.argv[1])
asyncio.run(launch(
    Program(argv=("/usr/bin/touch", "ran"), env={}, cwd=folder, status=folder / "status",
            log=folder / "log", title="test"),
    record=record,
))
"""
    with command(script, tmp_path) as process:
        shim = int(process.stdout.readline())
        process.wait()
    wait_until(lambda: not alive(shim))
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "status").exists()


def test_sigterm_reaches_the_program_which_may_take_its_time(project, tmp_path):
    async def story():
        script = tmp_path / "app.sh"
        script.write_text(
            f"trap 'sleep 0.2; echo bye; touch {tmp_path}/clean; exit 0' TERM\n"
            f"touch {tmp_path}/up\nwhile :; do sleep 0.05; done\n"
        )
        target = project.worker(f"/bin/sh {script}")
        instance = await project.start(target, "job-1")
        await until((tmp_path / "up").exists)
        assert await target.stop(instance, token=1) is False
        assert (tmp_path / "clean").exists()
        assert (await target.last_lines("job-1"))[-1] == "bye"

    asyncio.run(story())


def test_sigkill_ends_what_ignores_sigterm(project, tmp_path):
    async def story():
        target = project.worker(
            f"trap '' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done", stop_timeout=0.2
        )
        instance = await project.start(target, "job-1")
        main = project.main("job-1")
        await until((tmp_path / "up").exists)
        assert await target.stop(instance, token=1) is True
        assert not alive(main)
        assert await project.observed("job-1") is None

    asyncio.run(story())


def test_children_of_the_program_end_with_it(project, tmp_path):
    async def story():
        # The second child leaves the process group and the session, as a daemon does.
        target = project.worker(
            f"sleep 600 & echo $! > {tmp_path}/child; "
            f"setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 600' & wait"
        )
        instance = await project.start(target, "job-1")
        files = [tmp_path / "child", tmp_path / "daemon"]
        await until(lambda: all(f.exists() and f.read_text().strip() for f in files))
        pids = [int(f.read_text()) for f in files]
        assert all(map(alive, pids))
        assert await target.stop(instance, token=1) is False
        assert not any(map(alive, pids))

    asyncio.run(story())


def test_what_a_dead_program_leaves_in_its_group_ends_too(project, tmp_path):
    async def story():
        target = project.worker(f"sleep 600 & echo $! > {tmp_path}/child; exit 3")
        await project.start(target, "job-1")
        child = tmp_path / "child"
        await until(lambda: child.exists() and child.read_text().strip())
        await until(lambda: not alive(int(child.read_text())))

    asyncio.run(story())


def test_a_zombie_that_nobody_reaps_does_not_keep_an_instance_alive(project, tmp_path):
    """A parent of the zombie that left the session and sleeps stands for an init that reaps nobody."""
    script = tmp_path / "app.py"
    script.write_text(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0:\n"
        "        os._exit(0)\n"
        "    os.setsid()\n"
        f"    open({str(tmp_path / 'parent')!r}, 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        f"while not os.path.exists({str(tmp_path / 'parent')!r}): time.sleep(0.01)\n"
    )

    async def story():
        target = project.worker(f"{sys.executable} {script}")
        instance = await project.start(target, "job-1")
        await until(lambda: not alive(project.shim("job-1")))
        assert (await project.observed("job-1")).life is Life.DEAD
        parent = int((tmp_path / "parent").read_text())
        assert alive(parent)
        await target.stop(instance, token=1)
        assert not alive(parent), "it carries the name of the instance"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("cmd", "words"),
    [
        ("echo hello; exit 3", "exited 3 at "),
        ("kill -9 $$", "killed by SIGKILL at "),
        ("no-such-program", "exited 127 at "),
    ],
)
def test_a_death_is_noticed_with_its_reason(project, cmd, words):
    async def story():
        target = project.worker(cmd)
        instance = await project.start(target, "job-1")
        async with asyncio.timeout(60):
            while (observed := await project.observed("job-1")).alive:
                await asyncio.sleep(0.005)
        assert observed.detail.startswith(words)
        with pytest.raises(Unhealthy, match=words):
            await target.check(instance)

    asyncio.run(story())


def test_an_app_that_exits_at_start_is_unhealthy_at_once_with_its_last_lines(project):
    async def story():
        target = project.worker(
            "echo one; echo two; exit 1", health=HttpHealth(limit=60.0, interval=0.01)
        )
        instance = await project.start(target, "job-1")
        with pytest.raises(Unhealthy) as caught:
            await target.check(instance)
        assert "exited 1" in caught.value.what
        assert "one\n    two" in caught.value.what

    asyncio.run(story())


def test_a_port_that_is_taken_after_all_shows_in_the_last_lines(project, tmp_path):
    async def story():
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        (tmp_path / "serve.py").write_text(APP)
        target = project.worker(
            f"PORT={port} {sys.executable} {tmp_path}/serve.py 200", health=HttpHealth()
        )
        instance = await project.start(target, "job-1")
        with pytest.raises(Unhealthy, match="address already in use"):
            await target.check(instance)
        taken.close()
        await taken.wait_closed()

    asyncio.run(story())


# -- identity ------------------------------------------------------------------------------------


def test_a_pid_that_somebody_else_has_now_is_not_our_instance(project):
    async def story():
        target = project.worker("exit 0")
        instance = await project.start(target, "job-1")
        await until(lambda: not alive(project.shim("job-1")))
        record = project.records.read("job-1")
        other = subprocess.Popen(("sleep", "600"))
        try:
            reused = ProcessId.of(other.pid)
            project.records.write(
                replace(record, shim=replace(record.shim, pid=other.pid, start=reused.start - 1))
            )
            assert (await project.observed("job-1")).life is Life.DEAD
            await target.stop(instance, token=1)
            assert other.poll() is None, "it is not ours to end"
        finally:
            other.kill()
            other.wait()

    asyncio.run(story())


def test_after_a_reboot_nothing_of_before_runs(project):
    async def story():
        target = project.worker("sleep 600")
        await project.start(target, "job-1")
        main = ProcessId.of(project.main("job-1"))
        record = project.records.read("job-1")
        before = replace(record, shim=replace(record.shim, boot="another boot"))
        status = project.records.status_path("job-1")
        kept = status.read_text()
        status.write_text(kept.replace(main.boot, "another boot"))
        project.records.write(before)
        assert (await project.observed("job-1")).life is Life.DEAD
        status.write_text(kept)
        project.records.write(record)

    asyncio.run(story())


def test_an_instance_whose_shim_was_killed_is_still_seen_and_stopped(project):
    async def story():
        target = project.worker("sleep 600")
        instance = await project.start(target, "job-1")
        main, shim = project.main("job-1"), project.shim("job-1")
        os.kill(shim, signal.SIGKILL)
        await until(lambda: not alive(shim))
        assert (await project.observed("job-1")).life is Life.RUNNING
        assert await target.stop(instance, token=1) is False
        assert not alive(main)

    asyncio.run(story())


def test_another_project_may_have_an_instance_of_the_same_name(project, tmp_path):
    other = make_project(tmp_path / "other")

    async def story():
        target = project.worker("sleep 600")
        instance = await project.start(target, "job-1")
        await other.start(other.worker("sleep 600"), "job-1")
        await target.stop(instance, token=1)
        assert (await other.observed("job-1")).life is Life.RUNNING
        assert alive(other.main("job-1"))

    try:
        asyncio.run(story())
    finally:
        other.close()


def test_a_sigterm_to_the_shim_is_handed_on(project):
    async def story():
        target = project.worker("sleep 600")
        await project.start(target, "job-1")
        os.kill(project.shim("job-1"), signal.SIGTERM)
        async with asyncio.timeout(60):
            while (observed := await project.observed("job-1")).alive:
                await asyncio.sleep(0.005)
        assert observed.detail.startswith("killed by SIGTERM")

    asyncio.run(story())


def test_records_that_cannot_be_read_make_the_host_unknown_not_empty(project):
    async def story():
        await project.start(project.worker("sleep 600"), "job-1")
        path = project.records.path("job-1")
        kept = path.read_bytes()
        path.write_text("{}")
        view = await project.target().observe()
        assert [host.reachable for host in view.hosts] == [False]
        assert "not the record" in view.hosts[0].detail
        path.write_bytes(kept)

    asyncio.run(story())


# -- what it gets --------------------------------------------------------------------------------


def test_the_environment_is_exact_and_leaks_nothing(project, monkeypatch):
    odd = "two\nlines \udcff 'quoted' \"$HOME\" \\ é"
    secret = Secret("s3cr3t-value-of-the-test")
    url = Secret("postgresql://app:s3cr3t-value-of-the-test@db/shop?sslmode=disable")
    monkeypatch.setenv("LEAKED", "from the deployer's shell")
    monkeypatch.setenv("TZ", "Europe/Berlin")

    async def story():
        env = {"ODD": odd, "TOKEN": secret, "DATABASE_URL": url, "EMPTY": "", "PORT": "1"}
        role = LocalRole(cmd="sleep 600", env=env, traffic=True)
        target = project.target(web=role)
        instance = project.instance("web-1", role="web", kind=Kind.TRAFFIC)
        instance = await target.start(instance, project.revision, token=1, gate=open_gate)
        pid = project.main("web-1")
        pairs = Path(f"/proc/{pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
        got = dict(pair.split(b"=", 1) for pair in pairs)
        name = f"plt-{instance.release}".encode()
        assert got[b"ODD"] == os.fsencode(odd)
        assert got[b"TOKEN"] == secret.reveal().encode()
        assert got[b"DATABASE_URL"] == url.reveal().encode() + b"&application_name=" + name
        assert got[b"EMPTY"] == b""
        assert got[b"PORT"] == instance.address.rpartition(":")[2].encode(), "ours wins"
        assert got[b"PILOTAGE_RELEASE"] == instance.release.encode()
        assert got[b"PILOTAGE_ROLE"] == b"web"
        assert got[b"PILOTAGE_INSTANCE"] == b"web-1"
        assert got[b"PGAPPNAME"] == name
        assert got[b"TZ"] == b"Europe/Berlin"
        assert b"LEAKED" not in got
        assert b"LC_CTYPE" not in got or "LC_CTYPE" in os.environ, "no interpreter's own"
        needle = secret.reveal().encode()
        for process in (pid, project.shim("web-1")):
            assert needle not in Path(f"/proc/{process}/cmdline").read_bytes()
        assert needle not in Path(f"/proc/{project.shim('web-1')}/environ").read_bytes()
        files = [path for path in project.state_dir.rglob("*") if path.is_file()]
        assert len(files) > 3
        assert not [path for path in files if needle in path.read_bytes()]
        assert not [event for event in project.events if "s3cr3t" in repr(event.to_json())]

    asyncio.run(story())


def test_it_runs_in_the_checkout_of_its_own_revision(project):
    async def story():
        target = project.worker("pwd -P; cat README; exec sleep 600")
        await project.start(target, "job-1")
        async with asyncio.timeout(60):
            while len(lines := await target.last_lines("job-1")) < 2:
                await asyncio.sleep(0.005)
        folder, text = lines
        assert Path(folder) == (project.state_dir / "releases" / project.revision[:12]).resolve()
        assert text == "a project"

    asyncio.run(story())


def test_secrets_in_the_output_are_masked_where_we_quote_it(project):
    async def story():
        env = {"TOKEN": Secret("s3cr3t-value")}
        target = project.worker("echo $TOKEN; exit 1", env=env)
        instance = await project.start(target, "job-1")
        await until(lambda: not alive(project.shim("job-1")))
        with pytest.raises(Unhealthy) as caught:
            await target.check(instance)
        assert "s3cr3t-value" not in str(caught.value)
        assert "[secret]" in str(caught.value)

    asyncio.run(story())


def test_prepare_runs_once_a_checkout_and_before_the_instance(project):
    async def story():
        count = project.root / "count"
        prepare = LocalPrepare(f"echo prepared; echo x >> {count}; touch ready")
        target = project.target(
            prepare=prepare, job=LocalRole(cmd="test -e ready && exec sleep 600")
        )
        await target.fetch(project.revision)
        await target.fetch(project.revision)
        await project.start(target, "job-1")
        await target.check(project.instance("job-1"))
        assert count.read_text() == "x\n"
        printed = [e for e in project.events if type(e).__name__ == "Output"]
        assert [(event.source, event.line) for event in printed] == [("prepare", "prepared")]

    asyncio.run(story())


def test_a_prepare_that_fails_says_why_and_is_tried_again(project):
    async def story():
        gate = project.root / "gate"
        target = project.target(prepare=LocalPrepare(f"echo no luck; test -e {gate}"))
        with pytest.raises(TargetError, match="no luck"):
            await target.fetch(project.revision)
        gate.touch()
        await target.fetch(project.revision)

    asyncio.run(story())


# -- health --------------------------------------------------------------------------------------


def test_a_command_decides_over_health_in_the_instances_own_environment(project):
    async def story():
        health = CommandHealth(
            "test -e ready && test $PILOTAGE_ROLE = job", interval=0.02, limit=20.0
        )
        target = project.worker("sleep 0.2; touch ready; exec sleep 600", health=health)
        instance = await project.start(target, "job-1")
        with pytest.raises(Unhealthy, match="exited 1"):
            await target.check(instance, limit=0)
        assert await target.check(instance) > 0

    asyncio.run(story())


def test_a_command_that_hangs_is_ended(project):
    async def story():
        health = CommandHealth("sleep 600", timeout=0.1, limit=0.0)
        target = project.worker("sleep 600", health=health)
        instance = await project.start(target, "job-1")
        with pytest.raises(Unhealthy, match=r"did not end within 0\.1 s"):
            await target.check(instance)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n", "answered 503"),
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (None, "no answer within"),
    ],
)
def test_an_unhealthy_answer_is_told(project, answer, words):
    async def story():
        asked = []

        async def serve(reader, writer):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        patience = 0.1 if answer is None else 30.0
        health = HttpHealth(path="/ready?x=1", host="shop.example.org", timeout=patience, limit=0.0)
        target = project.target(web=LocalRole(cmd="sleep 600", traffic=True, health=health))
        instance = project.instance("web-1", role="web", kind=Kind.TRAFFIC)
        instance = await target.start(instance, project.revision, token=1, gate=open_gate)
        record = project.records.read("web-1")
        here = replace(record, instance=replace(record.instance, address=f"127.0.0.1:{port}"))
        project.records.write(here)
        with pytest.raises(Unhealthy, match=words):
            await target.check(instance)
        assert asked[0].startswith(b"GET /ready?x=1 HTTP/1.1\r\nHost: shop.example.org\r\n")
        server.close()
        await server.wait_closed()

    asyncio.run(story())


# -- jobs ----------------------------------------------------------------------------------------


def test_a_job_that_runs_too_long_is_stopped_even_when_its_caller_is_gone(project):
    async def story():
        target = project.worker("true", stop_timeout=0.2)
        job = project.job("job-1", "trap '' TERM; while :; do sleep 0.02; done", timeout=3.0)
        caller = asyncio.create_task(target.run_once(job, token=1, gate=open_gate, output=Said()))
        await until(lambda: project.records.status("job-1"))
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await until(lambda: not alive(project.shim("job-1")))
        with pytest.raises(TargetError, match="ran longer than its limit"):
            await target.run_once(job, token=1, gate=open_gate, output=Said())
        assert project.records.status("job-1").code == 128 + signal.SIGKILL

    asyncio.run(story())


def test_a_job_whose_program_is_missing_is_not_on_record(project):
    async def story():
        target = project.worker("true")
        job = replace(project.job("job-1", ""), argv=("no-such-program",))
        with pytest.raises(StartFailed, match="no-such-program"):
            await target.run_once(job, token=1, gate=open_gate, output=Said())
        assert await project.observed("job-1") is None

    asyncio.run(story())


def test_a_program_is_found_along_its_own_path(project, tmp_path):
    async def story():
        (tmp_path / "bin").mkdir()
        tool = tmp_path / "bin" / "tool"
        tool.write_text("#!/bin/sh\necho found $1\n")
        tool.chmod(0o755)
        env = {"PATH": f"{tmp_path}/empty:{tmp_path}/bin:/usr/bin:/bin"}
        target = project.worker("true", env=env)
        said = Said()
        job = replace(project.job("job-1", ""), argv=("tool", "a b"))
        assert await target.run_once(job, token=1, gate=open_gate, output=said) == 0
        assert said.lines == ["found a b"]

    asyncio.run(story())


def test_a_job_of_whom_nobody_knows_how_it_ended_is_not_taken_for_done(project):
    async def story():
        target = project.worker("true")
        job = project.job("job-1", "sleep 600")
        caller = asyncio.create_task(target.run_once(job, token=1, gate=open_gate, output=Said()))
        await until(lambda: project.records.status("job-1"))
        os.kill(project.shim("job-1"), signal.SIGKILL)
        os.killpg(project.main("job-1"), signal.SIGKILL)
        with pytest.raises(TargetError, match="exit status is not known"):
            await caller

    asyncio.run(story())


def test_a_console_leaves_no_record(project):
    async def story():
        target = project.worker("true")
        said = Said()
        job = project.job("console-1", "echo $PILOTAGE_INSTANCE; exit 9", kind=Kind.CONSOLE)
        assert await target.run_once(job, token=None, gate=open_gate, output=said) == 9
        assert said.lines == ["console-1"]
        assert await project.observed("console-1") is None

    asyncio.run(story())


INTERACTIVE = """\
import asyncio, sys
from pathlib import Path
from pilotage.model import Kind
from tests.integration.local.world import Project, open_gate
root, revision, host, script = sys.argv[1:5]
project = Project(Path(root), revision, host)
job = project.job("console-1", script, kind=Kind.CONSOLE, interactive=True)
status = asyncio.run(
    project.worker("true").run_once(job, token=None, gate=open_gate, output=print)
)
print("status", status)
"""


def test_an_interactive_job_has_the_callers_terminal(project):
    script = "read line; echo got $line; exit 7"
    with command(INTERACTIVE, project.root, project.revision, project.host, script) as process:
        out, _ = process.communicate("some words\n")
    assert out == "got some words\nstatus 7\n"
    assert asyncio.run(project.observed("console-1")) is None


def test_an_interactive_job_dies_with_its_caller_but_not_of_ctrl_c(project):
    script = "trap 'echo interrupted' INT; echo $$; while :; do sleep 0.05; done"
    with command(INTERACTIVE, project.root, project.revision, project.host, script) as process:
        pid = int(process.stdout.readline())
        assert asyncio.run(project.observed("console-1")).kind is Kind.CONSOLE
        for each in (process.pid, project.shim("console-1"), pid):  # as the terminal does
            os.kill(each, signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert process.poll() is None
        process.kill()
        process.wait()
        wait_until(lambda: not alive(pid))


# -- the fence -----------------------------------------------------------------------------------


def test_a_deployer_that_slept_through_its_lease_launches_nothing(project):
    with starter(project, token=1) as slow:
        assert slow.stdout.readline() == "at the gate\n"
        slow.send_signal(signal.SIGSTOP)

        async def take_over():
            await project.start(project.worker("sleep 600"), "job-2", token=2)

        asyncio.run(take_over())
        slow.send_signal(signal.SIGCONT)
        out, _ = slow.communicate("\n")
        assert LeaseLost.__name__ in out
        assert "lease token 2; ours is 1" in out
    assert asyncio.run(project.observed("job-1")) is None
    assert asyncio.run(project.observed("job-2")).alive


def test_an_instance_that_was_stopped_while_it_was_at_its_gate_is_not_launched(project):
    async def story():
        target = project.worker("sleep 600")

        async def gate():
            await target.stop(project.instance("job-1"), token=1)

        with pytest.raises(StartFailed, match="taken back"):
            await target.start(project.instance("job-1"), project.revision, token=1, gate=gate)
        assert await project.observed("job-1") is None

    asyncio.run(story())


# -- the disk ------------------------------------------------------------------------------------


def test_nothing_is_launched_that_could_not_be_recorded(project):
    async def story():
        target = project.worker("sleep 600")
        await target.fetch(project.revision)
        await project.start(target, "job-0")
        with full_disk(), pytest.raises(TargetError, match="cannot write"):
            await project.start(target, "job-1")
        assert await project.observed("job-1") is None
        assert not project.records.path("job-1").exists()

    asyncio.run(story())


def test_a_full_disk_leaves_the_state_document_as_it_was(project):
    from pilotage.errors import StoreError

    async def story():
        document = project.target().state
        assert await document.write({"n": 1}, expected=0)
        before = document.path.read_bytes()
        with full_disk(), pytest.raises(StoreError, match="cannot be written"):
            await document.write({"n": 2}, expected=1)
        assert document.path.read_bytes() == before
        assert sorted(p.name for p in project.state_dir.iterdir() if "tmp" in p.name) == []
        assert await document.write({"n": 2}, expected=1)

    asyncio.run(story())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "1", "body": {}}', "{"])
def test_a_file_that_is_no_state_document_is_refused_and_kept(project, text):
    from pilotage.errors import StoreError

    async def story():
        document = project.target().state
        document.path.write_text(text)
        with pytest.raises(StoreError, match="not a state document"):
            await document.read()
        with pytest.raises(StoreError, match="not a state document"):
            await document.write({}, expected=0)
        assert document.path.read_text() == text

    asyncio.run(story())


def test_the_log_is_bounded(tmp_path):
    async def story():
        script = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); done; sleep 600"
        shims = []
        await launch(
            Program(
                argv=("/bin/sh", "-c", script),
                env=dict(os.environ),
                cwd=tmp_path,
                status=tmp_path / "status",
                log=tmp_path / "log",
                title="test",
                log_limit=1000,
            ),
            record=shims.append,
        )
        older = tmp_path / "log.1"
        await until(lambda: older.exists() and (tmp_path / "log").stat().st_size == 0)
        assert older.read_text().startswith("line 0\n")
        os.kill(shims[0].pid, signal.SIGTERM)
        await until(lambda: not shims[0].alive)

    asyncio.run(story())


# -- the host ------------------------------------------------------------------------------------


def test_the_name_of_the_host_is_made_with_its_state_and_ends_with_it(tmp_path):
    first, again = default_host(tmp_path / "a"), default_host(tmp_path / "a")
    assert first == again
    assert first != default_host(tmp_path / "b")
    subprocess.run(("rm", "-r", tmp_path / "a"), check=True)
    assert default_host(tmp_path / "a") != first


def test_the_state_is_ignored_by_git_and_secrets_are_left_to_the_person(tmp_path):
    project = make_project(tmp_path / "project")

    async def story():
        await project.start(project.worker("exit 0"), "job-1")
        await project.target().state.write({}, expected=0)
        (project.state_dir / "proxy").mkdir()
        (project.state_dir / "proxy" / "envoy.log").touch()
        (project.state_dir / "secrets").touch()
        (project.state_dir / "secrets.production").touch()

    asyncio.run(story())
    shown = subprocess.run(
        ("git", "status", "--porcelain", "--untracked-files=all"),
        cwd=project.root,
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.split("\n")[:-1] == [
        "?? .pilotage/.gitignore",
        "?? .pilotage/secrets",
        "?? .pilotage/secrets.production",
    ]
    project.close()
