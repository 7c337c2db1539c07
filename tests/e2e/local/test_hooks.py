"""Hooks around real deploys: which run, in which order, with what; and what a failing one leaves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.e2e.local.conftest import App

ALL = (
    *("pre-connect", "pre-build", "pre-deploy", "pre-app-boot", "post-app-boot", "post-deploy"),
    *("docker-setup", "pre-proxy-reboot", "post-proxy-reboot", "post-failure"),
)

TELL = """\
#!/bin/sh
echo "$(basename "$0") $KAMAL_COMMAND lock=$KAMAL_LOCK $KAMAL_VERSION" >> "$LOG"
env > "$LOG.$(basename "$0")"
echo "the secret is $MARK"
"""


@pytest.fixture
def log(app: App) -> Path:
    """Every hook is there, and writes down that it ran."""
    path = app.root.parent / "hooks.log"
    app.environment["LOG"] = str(path)
    app.mark = "hush-hush"
    for name in ALL:
        app.write(f".kamal/hooks/{name}", TELL).chmod(0o755)
    app.commit("hooks")
    return path


def ran(log: Path) -> list[str]:
    """What ran since the last time."""
    text = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    return text.splitlines()


def told(log: Path, hook: str) -> dict[str, str]:
    """The environment of the last run of a hook."""
    lines = Path(f"{log}.{hook}").read_text().splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def replace(app: App, hook: str, text: str, *, mode: int = 0o755) -> None:
    app.write(f".kamal/hooks/{hook}", f"#!/bin/sh\n{text}\n").chmod(mode)


def test_the_hooks_of_deploy_and_rollback_run_in_kamals_order(app, log):
    first = app.git("rev-parse", "HEAD")
    deployed = app.pilotage("deploy")
    assert ran(log) == [
        f"pre-connect deploy lock=false {first}",
        f"pre-build deploy lock=false {first}",
        f"pre-deploy deploy lock=true {first}",
        f"pre-app-boot deploy lock=true {first}",
        f"post-app-boot deploy lock=true {first}",
        f"post-deploy deploy lock=false {first}",
    ]
    env = told(log, "post-deploy")
    assert env["MARK"] == "hush-hush"
    assert env["KAMAL_PERFORMER"] == env["PILOTAGE_PERFORMER"] != ""
    assert env["PILOTAGE_RELEASE"] == first[:12]
    assert int(env["KAMAL_RUNTIME"]) >= 0
    assert "the secret is" not in deployed.out, "shown with --verbose only"

    app.pilotage("deploy")
    assert [line.split()[0] for line in ran(log)] == ["pre-connect", "pre-build"]

    app.release(2)
    second = app.git("rev-parse", "HEAD")
    shown = app.pilotage("deploy", "-v").out
    assert len(ran(log)) == 6
    assert told(log, "pre-deploy")["PILOTAGE_FROM_RELEASE"] == first[:12]
    assert "the secret is [secret]" in shown
    assert "hush-hush" not in shown

    app.pilotage("rollback")
    assert ran(log) == [
        f"pre-connect rollback lock=false {second}",
        f"pre-deploy rollback lock=true {first}",
        f"pre-app-boot rollback lock=true {first}",
        f"post-app-boot rollback lock=true {first}",
        f"post-deploy rollback lock=false {first}",
    ]

    app.pilotage("redeploy", "--version", second)
    assert app.serving() == second[:12]
    assert f"post-deploy redeploy lock=false {second}" in ran(log)
    app.pilotage("rollback", "-H")
    app.pilotage("deploy", "--skip-hooks")
    assert app.serving() == second[:12]
    assert ran(log) == []
    app.pilotage("status")
    app.pilotage("plan")
    assert ran(log) == [], "to look runs nothing"


def test_a_hook_that_says_no_stops_the_deploy_before_what_comes_after_it(app, log):
    app.pilotage("deploy", "-H")
    served = app.serving()
    app.release(2)
    replace(app, "pre-deploy", 'echo "not on a Friday, $MARK"; exit 4')
    app.commit("pre-deploy says no")

    refused = app.pilotage("deploy", status=1)
    assert "the hook pre-deploy exited 4; its last output:\n" in refused.err
    assert "not on a Friday, [secret]" in refused.err
    assert f"release {served} serves" in refused.err
    assert "--skip-hooks" in refused.err
    assert [line.split()[0] for line in ran(log)] == ["pre-connect", "pre-build", "post-failure"]
    env = told(log, "post-failure")
    assert env["PILOTAGE_ERROR"].startswith("the hook pre-deploy exited 4")
    assert env["PILOTAGE_STEP"] == "run the hook pre-deploy: .kamal/hooks/pre-deploy"
    assert env["PILOTAGE_OUTCOME"] == "failed"
    assert ("items", "price") not in app.schema(), "pre-deploy comes before the schema changes"
    assert app.serving() == served
    assert app.status()["lock"] is None

    replace(app, "pre-deploy", ":")
    replace(app, "pre-app-boot", "exit 1")
    release = app.commit("pre-app-boot says no")
    app.pilotage("deploy", status=1)
    assert ("items", "price") in app.schema(), "pre-app-boot comes after it"
    assert app.serving() == served
    assert {i["release"] for i in app.status()["instances"]} == {served}

    replace(app, "pre-app-boot", ":", mode=0o644)
    release = app.commit("pre-app-boot is not executable")
    unusable = app.pilotage("deploy", status=1)
    assert "`chmod +x .kamal/hooks/pre-app-boot`" in unusable.err

    replace(app, "pre-app-boot", ":")
    replace(app, "post-app-boot", "exit 1")
    replace(app, "post-failure", "exit 9")
    release = app.commit("post-app-boot says no")
    late = app.pilotage("deploy", status=1)
    assert app.serving() == release
    assert "the hook post-failure exited 9" in late.out
    assert f"release {release} serves" in late.err

    replace(app, "post-app-boot", ":")
    replace(app, "post-deploy", "exit 1")
    ran(log)
    after = app.pilotage("deploy", "--version", release, "--json", status=1)
    assert after.result["error"]["error"] == "HookFailed"
    assert "nothing of it is undone" in after.result["error"]["state"]
    assert app.status()["settled"]


def test_ctrl_c_while_a_hook_runs(app, log):
    app.pilotage("deploy", "-H")
    served = app.serving()
    app.release(2)
    pid = app.root.parent / "pid"
    replace(app, "pre-app-boot", f"echo $$ > {pid}; sleep 300")
    app.commit("pre-app-boot takes long")
    deployer = app.start("deploy")
    app.wait(lambda: pid.exists() and pid.read_text().strip() != "")

    deployer.send_signal(signal.SIGINT)
    stopped = app.ended(deployer, status=1)

    assert "interrupted by Ctrl-C" in stopped.err
    assert app.serving() == served
    assert app.status()["lock"] is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert told(log, "post-failure")["PILOTAGE_OUTCOME"] == "interrupted"


def test_a_deploy_that_never_came_to_a_plan_is_told_as_well(app, log):
    app.write("more.txt", "not committed")
    app.pilotage("deploy", status=2)
    assert [line.split()[0] for line in ran(log)] == ["pre-connect", "post-failure"]
    assert "not committed" in told(log, "post-failure")["PILOTAGE_ERROR"]


def test_hooks_path_and_hooks_output(app, log):
    app.write("ops/pre-deploy", "#!/bin/sh\necho from ops\n").chmod(0o755)
    app.write("ops/post-deploy", "#!/bin/sh\necho after\n").chmod(0o755)
    app.configure(more="hooks_path: ops\nhooks_output: {pre-deploy: verbose}\n")
    app.commit("hooks are in ops")
    shown = app.pilotage("deploy").out
    assert "pre-deploy │ from ops" in shown
    assert "post-deploy │" not in shown
    assert "ops/post-deploy" in shown
    assert ran(log) == []
