"""What an instance is told, and how the name of its release gets into its database sessions."""

from __future__ import annotations

import pytest

from pilotage.host.application_name import with_application_name
from pilotage.host.environment import base_environment
from pilotage.model import Instance, session_release
from pilotage.secret import Secret
from pilotage.targets.local.environment import instance_environment, shell_argv

NAME = "plt-0123456789ab"


@pytest.mark.parametrize(
    ("url", "changed"),
    [
        ("postgresql://db/shop", f"postgresql://db/shop?application_name={NAME}"),
        ("postgres://db/shop", f"postgres://db/shop?application_name={NAME}"),
        ("postgresql://", f"postgresql://?application_name={NAME}"),
        ("postgresql://db/shop?", f"postgresql://db/shop?application_name={NAME}"),
        (
            "postgresql://u:p@a:5432,b:5433/shop?sslmode=require&x=1",
            f"postgresql://u:p@a:5432,b:5433/shop?sslmode=require&x=1&application_name={NAME}",
        ),
        (
            "postgresql+psycopg://db/shop?host=/run/postgresql",
            f"postgresql+psycopg://db/shop?host=/run/postgresql&application_name={NAME}",
        ),
        (
            "postgresql://db/shop?application_name=puma&x=1",
            f"postgresql://db/shop?x=1&application_name={NAME}:puma",
        ),
        (
            "postgresql://db/shop?application_name=my%20app",
            f"postgresql://db/shop?application_name={NAME}:my%20app",
        ),
        (
            f"postgresql://db/shop?application_name={NAME}",
            f"postgresql://db/shop?application_name={NAME}",
        ),
        (
            "postgresql://u:what?@db/shop",
            f"postgresql://u:what?@db/shop?application_name={NAME}",
        ),
        (
            "postgresql://db/?options=-c%20x@y",
            f"postgresql://db/?options=-c%20x@y&application_name={NAME}",
        ),
        (
            "jdbc:postgresql://db/shop?ssl=true",
            f"jdbc:postgresql://db/shop?ssl=true&ApplicationName={NAME}",
        ),
    ],
)
def test_a_postgresql_url_gets_the_name(url, changed):
    assert with_application_name(url, NAME) == changed
    secret = with_application_name(Secret(url), NAME)
    assert isinstance(secret, Secret)
    assert secret.reveal() == changed


@pytest.mark.parametrize(
    "value",
    [
        "",
        "postgresql",
        "mysql://db/shop",
        "sqlite:///shop.db",
        "redis://db/0",
        "see postgresql://db/shop",
        "host=db dbname=shop",
        "postgresql+asyncpg://db/shop",  # SQLAlchemy would hand the parameter to asyncpg's connect()
    ],
)
def test_any_other_value_is_left_alone(value):
    assert with_application_name(value, NAME) is value
    secret = Secret(value)
    assert with_application_name(secret, NAME) is secret


def test_our_name_is_first_so_that_it_survives_the_cut_at_63_bytes():
    long = with_application_name(f"postgresql://db/shop?application_name={'x' * 80}", NAME)
    name = long.partition("application_name=")[2][:63]
    assert session_release(name) == "0123456789ab"


def test_libpq_reads_what_we_wrote():
    conninfo = pytest.importorskip("psycopg.conninfo")
    url = with_application_name("postgresql://u:p@a:1,b:2/shop?application_name=my%20app", NAME)
    read = conninfo.conninfo_to_dict(url)
    assert read["application_name"] == f"{NAME}:my app"
    assert read["host"] == "a,b"
    assert read["password"] == "p"


def instance(**changes):
    return Instance(
        **{
            "id": "web-1",
            "service": "shop",
            "role": "web",
            "host": "here",
            "release": "0123456789ab",
            **changes,
        }
    )


def test_ours_wins_over_the_configuration_which_wins_over_what_is_inherited():
    got = instance_environment(
        instance(),
        {"HOME": "/app", "PORT": "1", "PILOTAGE_ROLE": "x", "PGAPPNAME": "puma", "A": Secret("b")},
        environ={"HOME": "/home/me", "PATH": "/bin", "AWS_SECRET": "x", "LC_ALL": "C"},
        port=20_001,
    )
    assert got == {
        "HOME": "/app",
        "PATH": "/bin",
        "LC_ALL": "C",
        "A": "b",
        "PORT": "20001",
        "PILOTAGE_RELEASE": "0123456789ab",
        "PILOTAGE_ROLE": "web",
        "PILOTAGE_INSTANCE": "web-1",
        "PGAPPNAME": f"{NAME}:puma",
    }


def test_an_instance_without_traffic_keeps_the_port_that_it_was_configured_with():
    got = instance_environment(instance(), {"PORT": "1"}, environ={}, port=None)
    assert got["PORT"] == "1"


def test_little_is_inherited():
    environ = {"PATH": "/bin", "TZ": "UTC", "LC_TIME": "C", "http_proxy": "x", "PGPASSWORD": "x"}
    assert base_environment(environ) == {"PATH": "/bin", "TZ": "UTC", "LC_TIME": "C"}


@pytest.mark.parametrize(
    ("cmd", "line"),
    [
        ("bin/rails server -p $PORT", "exec bin/rails server -p $PORT"),
        ("gunicorn 'app:make(1)'", "gunicorn 'app:make(1)'"),
        ("uvicorn app:app --port $PORT > log", "exec uvicorn app:app --port $PORT > log"),
        ("cd web && node server.js", "cd web && node server.js"),
        ("cd web", "cd web"),
        ("RAILS_ENV=production bin/rails s", "RAILS_ENV=production bin/rails s"),
        ("a; b", "a; b"),
        ("a | b", "a | b"),
        ("a\nb", "a\nb"),
        ("exec app", "exec app"),
        ("if true; then app; fi", "if true; then app; fi"),
        ("", ""),
        ("  app  ", "exec   app  "),
    ],
)
def test_a_single_command_replaces_its_shell(cmd, line):
    assert shell_argv(cmd) == ("/bin/sh", "-c", line)
