"""Whatever is in the files, loading them ends in a configuration or in one `ConfigError`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pilotage.config import dotenv, load_config
from pilotage.config.describe import describe, to_yaml
from pilotage.config.erb import Context, render
from pilotage.errors import ConfigError

RUBY = st.lists(
    st.sampled_from(
        [
            "ENV",
            "ENV[",
            "]",
            "(",
            ")",
            "{",
            "}",
            ".",
            ",",
            "?",
            ":",
            "||",
            "&&",
            "!",
            "==",
            "=",
            "+",
            '"',
            "'",
            "`",
            "#{",
            "%w[",
            "%x(",
            "x",
            "nil",
            "true",
            "if",
            "else",
            "end",
            "unless",
            "do",
            "|x|",
            "each",
            "map",
            "strip",
            "fetch",
            "File.read",
            "'a'",
            '"b"',
            "1",
            "2.5",
            "\n",
            ";",
            "<%=",
            "<%-",
            "%>",
            "-%>",
            "<%",
            "#",
            "text:",
        ]
    ),
    max_size=25,
).map(" ".join)
YAML = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("ab: #-[{&*!%@`\n\t'\"", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "service",
                    "servers",
                    "web",
                    "hosts",
                    "cmd",
                    "env",
                    "clear",
                    "secret",
                    "tags",
                    "proxy",
                    "ssl",
                    "host",
                    "hosts",
                    "registry",
                    "target",
                    "databases",
                    "migrations",
                    "rollout",
                    "accessories",
                    "options",
                    "labels",
                    "x-a",
                    "<<",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(RUBY)
@example("<%= " + "(" * 5000)
@example("<%= " + "[" * 5000 + " %>")
@example("<%= " + "!" * 5000 + "1 %>")
def test_any_erb(template: str) -> None:
    where = "f"
    try:
        render(template, "f", Context({}, Path("/nonexistent")))
    except ConfigError as error:
        where = error.where
    assert where.startswith("f")


@given(st.text("AB=:'\"\\$(){}# \n\rexport", max_size=60))
def test_any_dotenv(text: str) -> None:
    line, entries = 1, []
    try:
        entries = list(dotenv.parse(text, "f"))
    except dotenv.Malformed as error:
        line = error.line
    assert 1 <= line <= len(text.splitlines()) + 1
    for entry in entries:
        assert isinstance(entry.evaluate(lambda name: name, lambda command: command), str)


def _load(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deploy.yml"
        path.write_text(text, encoding="utf-8")
        where = "deploy.yml"
        try:
            assert to_yaml(describe(load_config(path, environ={})))
        except ConfigError as error:
            where = error.where
        assert where.startswith("deploy.yml")


@settings(deadline=None)
@given(st.text("service:\n -[]{}ab&*!|>%#'\"\t,<?~", max_size=60))
@example("a: " + "[" * 3000)
@example("a: \ue0000\ue001")
@example("a: \ue000")
def test_any_text(text: str) -> None:
    _load(text)


@settings(deadline=None)
@given(
    st.dictionaries(st.just("servers") | st.text("abx-", min_size=1, max_size=3), YAML, max_size=3)
)
def test_any_structure(data: dict[str, object]) -> None:
    full = {"service": "a", "target": "local", **data}
    _load(json.dumps(full))


@settings(deadline=None)
@given(
    st.sampled_from(
        [
            "service",
            "image",
            "target",
            "servers",
            "primary_role",
            "env",
            "proxy",
            "rollout",
            "migrations",
            "databases",
            "consumers",
            "state",
            "local",
            "stop_timeout",
            "labels",
            "volumes",
            "logging",
            "asset_path",
            "registry",
            "builder",
            "accessories",
            "ssh",
            "sshkit",
            "boot",
            "aliases",
            "hooks_path",
            "hooks_output",
            "secrets_path",
            "error_pages_path",
            "require_destination",
            "allow_empty_roles",
            "retain_containers",
            "minimum_version",
            "readiness_delay",
            "deploy_timeout",
            "drain_timeout",
            "run_directory",
        ]
    ),
    YAML,
)
def test_any_value_of_any_key(key: str, value: object) -> None:
    full = {"service": "a", "target": "local", "servers": {"web": {"cmd": "x"}}, key: value}
    _load(json.dumps(full))
