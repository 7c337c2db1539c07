"""What is a server: exact, whatever stands around it."""

from __future__ import annotations

import doctest
import shlex

import pytest

from pilotage.entrypoint import match
from pilotage.entrypoint.match import SERVERS, WORKERS, Duty, duty, matches

RAILS = [
    "./bin/rails server",
    "./bin/rails server -b 0.0.0.0",
    "bin/rails s -p 80",
    "/rails/bin/rails server",
    "bundle exec rails server -b 0.0.0.0 -e production",
    "/usr/local/bin/bundle exec --keep-file-descriptors rails server",
    "./bin/thrust ./bin/rails server",
    "sh -c 'exec ./bin/rails server'",
    "/bin/sh -c './bin/rails server -b 0.0.0.0 -p $PORT'",
    "/bin/bash -lc 'cd /app && exec bundle exec rails server'",
    "bash -euo pipefail -c 'echo hello; RAILS_ENV=production bin/rails server'",
    "tini -g -- ./bin/rails server",
    "tini -p SIGTERM -- ./bin/rails server",
    "dumb-init bundle exec rails server",
    "env -u FOO RAILS_ENV=production bin/rails server",
    "ruby -W0 -Ilib bin/rails server",
    "gosu app ./bin/rails server",
    "nice -n 5 bin/rails server",
]
NOT_RAILS = [
    "./bin/rails console",
    "./bin/rails runner server",
    "./bin/rails db:migrate",
    "rails new server",
    "echo rails server",
    "grep -r 'rails server' .",
    "sh -c 'echo rails server'",
    "sh -c 'rails server | tee log'",
    "sh -c 'rails server & wait'",
    "sh -c '(rails server)'",
    "sh -c 'rails server > log'",
    'sh -c "rails \'server"',
    "sh rails server",
    "bin/rails-server",
    "notrails server",
    "rails",
    "rails server --help",
    "bundle exec",
    "bundle install rails server",
    "sh -c",
    "",
]


@pytest.mark.parametrize("text", RAILS)
def test_rails_server(text):
    assert matches("rails server", shlex.split(text)) or matches("rails s", shlex.split(text))
    assert duty(shlex.split(text), servers=SERVERS, workers=WORKERS) is Duty.PREPARE


@pytest.mark.parametrize("text", NOT_RAILS)
def test_not_rails_server(text):
    argv = shlex.split(text) if text.count('"') != 1 else ["sh", "-c", "rails 'server"]
    assert duty(argv, servers=SERVERS, workers=WORKERS) is Duty.NOTHING


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gunicorn -w 4 shop.wsgi", Duty.PREPARE),
        ("/venv/bin/gunicorn shop.wsgi", Duty.PREPARE),
        ("python3.12 -u -X dev -m gunicorn shop.wsgi", Duty.PREPARE),
        ("python -W ignore manage.py runserver 0:80", Duty.PREPARE),
        ("uv run --frozen --with rich uvicorn shop:app", Duty.PREPARE),
        ("poetry run python /srv/manage.py runserver", Duty.PREPARE),
        ("ddtrace-run opentelemetry-instrument uvicorn shop:app", Duty.PREPARE),
        ("flask --app shop run -h 0.0.0.0", Duty.PREPARE),
        ("flask --app shop routes", Duty.NOTHING),
        ("flask run", Duty.PREPARE),
        ("python manage.py shell", Duty.NOTHING),
        ("python -c 'import gunicorn'", Duty.NOTHING),
        ("python gunicorn.py", Duty.NOTHING),
        ("gunicorn --version", Duty.NOTHING),
        ("celery -A shop worker -c 4", Duty.WAIT),
        ("celery -A shop inspect active", Duty.NOTHING),
        ("bundle exec sidekiq -q default", Duty.WAIT),
        ("./bin/jobs", Duty.WAIT),
        ("/rails/bin/jobs", Duty.WAIT),
        ("jobs", Duty.NOTHING),
        ("psql", Duty.NOTHING),
        ("bash", Duty.NOTHING),
        ("sh -c", Duty.NOTHING),
        ("env", Duty.NOTHING),
    ],
)
def test_known_commands(text, expected):
    assert duty(shlex.split(text), servers=SERVERS, workers=WORKERS) is expected


def test_a_pattern_may_be_written_as_the_command_is():
    for pattern in ("python -m shop.web", "exec python3 -m shop.web", "sh -c 'python -m shop.web'"):
        assert matches(pattern, ["python3", "-u", "-m", "shop.web", "--port", "80"])
        assert not matches(pattern, ["python3", "-m", "shop.worker"])
    assert matches("bin/server", ["/app/bin/server"])
    assert not matches("bin/server", ["server"])
    assert not matches("bin/server", ["/app/sbin/server"])
    assert matches("node server.js", ["node", "--enable-source-maps", "/app/server.js"])
    assert not matches("", ["anything"])


def test_examples_in_docstrings():
    assert doctest.testmod(match).failed == 0
    assert doctest.testmod(match).attempted >= 3
