"""What we read in OpenSSH's configuration, beside what OpenSSH itself reads there (`ssh -G`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pilotage.errors import ConfigError
from pilotage.shell.address import SshSettings, resolve, resolve_jump

CONFIG = """\
# Comments, blank lines, `=`, quotes, and words in any case.

Include {here}/parts/*.conf
Include {here}/none/*

Host web-1
    HostName = 203.0.113.1
    user "deploy"
    PORT 2222
    IdentityFile {here}/first
    IdentityFile "{here}/second key"

Host web-* !web-3
    Port 2200
    IdentityFile {here}/shared
    HostKeyAlias fleet

Host web-3 db.example
    HostName %h.internal.example
    ProxyCommand nc -X 5 -x "proxy 1:1080" %h %p # not a comment

Match host *.internal.example user deploy
    Port 2022

Match originalhost db.example
    User dba

Match host 203.0.113.* exec "true"
    ProxyJump jump@bastion.example:2201,second

Match exec "false"
    ProxyJump never

Match !host web-9 originalhost web-9
    Port 9

Match final host 203.0.113.1
    IdentitiesOnly yes

Host bastion.example
    User someone
    UserKnownHostsFile {here}/known {here}/known2

Host *
    User fallback
    IdentityFile {here}/last
    IdentityAgent {here}/agent.sock
    ServerAliveInterval 60
    SendEnv LANG
"""

PARTS = {
    "10-b.conf": "Host inc\n  Port 10\n  IdentityFile ~/ten\n",
    "02-a.conf": "Host inc\n  Port 2\n  ProxyJump none\nHost *\n  AddressFamily inet\n",
    "20-c.conf": "Host inc\n  Port 20\n  ProxyJump elsewhere\n",
    "note.txt": "Host inc\n  Port 1\n",
}

HOSTS = ["web-1", "web-2", "web-3", "web-9", "db.example", "inc", "bastion.example", "other"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration above."""
    (tmp_path / "parts").mkdir()
    for name, text in PARTS.items():
        (tmp_path / "parts" / name).write_text(text)
    path = tmp_path / "config"
    path.write_text(CONFIG.format(here=tmp_path))
    return path


def openssh(config: Path, host: str, *options: str) -> dict[str, list[str]]:
    """What `ssh -G` says."""
    said = subprocess.run(
        ["ssh", "-G", "-F", config, *options, host], capture_output=True, text=True, check=True
    )
    found: dict[str, list[str]] = {}
    for line in said.stdout.splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("user", [None, "deploy"])
def test_the_same_is_read(config: Path, host: str, user: str | None) -> None:
    theirs = openssh(config, host, *(("-l", user) if user else ()))
    ours = resolve(host, SshSettings(user=user, files=(config,)))
    assert ours.hostname == theirs["hostname"][0]
    assert str(ours.port) == theirs["port"][0]
    assert ours.user == theirs["user"][0]
    assert ours.jumps == tuple(theirs["proxyjump"][0].split(",") if "proxyjump" in theirs else ())
    assert ours.identities is not None
    home = str(Path.home())
    assert list(ours.identities) == [
        path.replace("~", home).strip('"') for path in theirs["identityfile"]
    ]
    assert ours.identities_only == (theirs["identitiesonly"] == ["yes"])
    assert ours.agent == theirs["identityagent"][0]
    assert ours.family == theirs["addressfamily"][0]
    alias = theirs.get("hostkeyalias")
    port = "" if ours.port == 22 else f":{ours.port}"
    name = f"[{ours.hostname}]{port}" if port else ours.hostname
    assert ours.known_as == (alias[0] if alias else name)
    known = [path.replace("~", home) for path in theirs["userknownhostsfile"][0].split()]
    assert [str(path) for path in ours.known_hosts][: len(known)] == known
    if "proxycommand" in theirs:
        expanded = theirs["proxycommand"][0].replace("%h", ours.hostname)
        assert ours.proxy_command == expanded.replace("%p", str(ours.port))
    else:
        assert ours.proxy_command is None


def test_a_host_in_between_is_looked_up_on_its_own(config: Path) -> None:
    ours = resolve_jump("jump@bastion.example:2201", SshSettings(user="root", files=(config,)))
    assert ours.place == "jump@bastion.example:2201"
    assert [path.name for path in ours.known_hosts[:2]] == ["known", "known2"]
    assert resolve_jump("second", SshSettings(files=(config,))).place == "fallback@second"


def test_files_that_include_each_other(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f"Include {path}\n")
    with pytest.raises(ConfigError, match="include each other") as caught:
        resolve("host", SshSettings(files=(path,)))
    assert caught.value.where == f"{path}:1"


def test_a_line_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text('Host *\n  IdentityFile "open\n')
    with pytest.raises(ConfigError) as caught:
        resolve("host", SshSettings(files=(path,)))
    assert caught.value.where == f"{path}:2"


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("203.0.113.7", "root@203.0.113.7"),
        ("deploy@host:2222", "deploy@host:2222"),
        ("ssh://deploy@host:2222", "deploy@host:2222"),
        ("[2001:db8::7]:2222", "root@[2001:db8::7]:2222"),
        ("2001:db8::7", "root@[2001:db8::7]"),
        ("deploy@2001:db8::7", "deploy@[2001:db8::7]"),
    ],
)
def test_names(name: str, place: str) -> None:
    assert resolve(name, SshSettings()).place == place


def test_a_name_that_is_none() -> None:
    with pytest.raises(ConfigError, match="is not a host"):
        resolve("user@@host", SshSettings())
