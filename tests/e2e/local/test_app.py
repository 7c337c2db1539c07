"""Kamal's words for what runs, on a real deploy; through the aliases that its template writes."""

from __future__ import annotations

from tests.e2e.local.conftest import App

ALIASES = """\
aliases:
  console: app exec --interactive --reuse "bin/console"
  shout: app exec -r web "printf '%s\\\\0%s' \\"$WHAT\\" '$x'"
"""


def test_versions_logs_details_and_commands(app: App):
    app.configure(more=ALIASES)
    app.write("bin/console", "#!/bin/sh\necho in $PILOTAGE_RELEASE as $PILOTAGE_ROLE\n").chmod(
        0o755
    )
    release = app.commit()
    assert "nothing runs" in app.pilotage("app", "version").out
    app.pilotage("deploy")
    sha = app.git("rev-parse", "HEAD")

    assert app.pilotage("app", "version").out == f"localhost  web  {sha}\nlocalhost  job  {sha}\n"
    assert app.pilotage("app", "version", "-r", "j*", "--json").json == [
        {"host": "localhost", "role": "job", "revisions": [sha]}
    ]
    assert release in app.pilotage("details").out
    assert app.pilotage("app", "details", "--json").json["release"]["id"] == release
    assert "working" in app.pilotage("app", "logs", "-r", "job").out
    assert "listening" not in app.pilotage("app", "logs", "-r", "job").out
    assert app.pilotage("app", "logs", "-g", "listen").out.count("listening") == 1
    assert "no times" in app.pilotage("app", "logs", "--since", "5m", status=2).err

    assert app.pilotage("console").out == f"in {release} as web\n"
    assert app.pilotage("shout", "-e", "WHAT=ü 1").out == "ü 1\0$x", "byte for byte"
    both = app.pilotage("app", "exec", "bin/console")
    assert both.out == f"in {release} as web\nin {release} as job\n"
    assert both.err.splitlines() == ["web on localhost:", "job on localhost:"]
    assert (
        app.pilotage("app", "exec", "--raw", "-p", "--", "sh", "-c", "exit 7", status=7).out == ""
    )
    assert (
        "--roles wbe matches nothing" in app.pilotage("app", "exec", "-r", "wbe", "x", status=2).err
    )
