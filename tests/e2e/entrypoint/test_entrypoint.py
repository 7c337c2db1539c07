"""``pilotage entrypoint`` and ``pilotage wait``, as containers run them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from tests.e2e.entrypoint.conftest import (
    APP,
    SERVER,
    SLOW,
    Image,
    asleep,
    serves,
    signalled,
    until,
)
from tests.probes import Way

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

SHOW = (sys.executable, "-c", "import os; print(os.getpid(), os.environ['PGAPPNAME'], os.environ['DATABASE_URL'])")  # fmt: skip
WORKER = ("--server", "nothing", "--worker", SERVER)


# ----------------------------------------------------------------------------------------------
# The server prepares, others wait, anything else passes
# ----------------------------------------------------------------------------------------------


def test_server_prepares_and_becomes_the_command(image: Image) -> None:
    container = image.start(*SHOW)
    out, err = container.communicate(timeout=60)
    assert container.returncode == 0, err
    pid, name, url = out.split()
    assert int(pid) == container.pid
    assert name == f"plt-{image.release}"
    assert url.endswith(f"?application_name=plt-{image.release}")
    assert image.halves() == {"1/expand": True}
    assert "pilotage: expand 1 create" in err
    assert image.postgres.password not in err


def test_a_new_database_gets_both_halves_and_a_used_one_does_not(
    image: Image, newer: Image
) -> None:
    serves(image.start())
    serves(newer.start())
    assert image.halves() == {"1/expand": True, "2/expand": True}
    assert newer.columns() == {"id", "item", "product"}

    newer.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    for container in newer.containers:
        container.kill()
        container.wait()
    until(lambda: f"plt-{image.release}:entrypoint" not in newer.sessions())
    serves(newer.start())
    assert newer.halves() == {"1/expand": True, "2/expand": True, "2/contract": True}
    assert newer.columns() == {"id", "product"}


def test_a_second_release_finds_a_used_database_although_nothing_ran_in_between(
    image: Image, newer: Image
) -> None:
    """Nobody is registered, yet the contract half has lost its chance to run without proof."""
    image.start("true", entrypoint=("--server", "true")).wait(60)
    newer.start("true", entrypoint=("--server", "true")).wait(60)
    assert newer.halves() == {"1/expand": True, "2/expand": True}


def test_worker_waits_for_the_server(image: Image) -> None:
    worker = image.start(entrypoint=WORKER)
    assert worker.stderr is not None
    assert "waiting: the database does not answer" in worker.stderr.readline()
    server = image.start()
    serves(server)
    serves(worker)
    assert worker.pid != server.pid


def test_one_off_command_passes_straight_through(image: Image) -> None:
    """Its status is the command's, its output is nobody else's, and no database is asked."""
    told, err = image.run(
        "entrypoint", "--", "sh", "-c", "echo $PGAPPNAME; cat; exit 7", status=7,
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
    )  # fmt: skip
    assert told == f"plt-{image.release}\n"
    assert err == ""


def test_command_that_is_not_there(image: Image) -> None:
    assert "No such file" in image.run("entrypoint", "--", "no-such-command", status=127)[1]
    assert "Permission denied" in image.run("entrypoint", "--", str(image.root), status=126)[1]


def test_python_leaves_no_ignored_signal_behind(image: Image) -> None:
    out, _ = image.run("entrypoint", "--", "cat", "/proc/self/status")
    ignored = next(line for line in out.splitlines() if line.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) & 0x7FFFFFFF == 0  # 32 and up are the C library's own


def test_explain(image: Image) -> None:
    out, _ = image.run("entrypoint", "--explain", "--", "bundle", "exec", "rails", "s", "-b", "::")
    assert out.startswith("prepare: ")
    assert image.run("entrypoint", "--explain", "--", "bin/jobs")[0].startswith("wait: ")
    assert image.run("entrypoint", "--explain", "--", "psql")[0].startswith("nothing: ")
    patterns = {"PILOTAGE_SERVER": "./serve; bin/web", "PILOTAGE_WORKER": "bin/work"}
    for words, expected in (
        (("/app/bin/web", "-p", "80"), "prepare"),
        (("./bin/work",), "wait"),
        (("rails", "server"), "nothing"),
    ):
        out, _ = image.run("entrypoint", "--explain", "--", *words, **patterns)
        assert out.startswith(expected)


def test_configuration_in_the_image(image: Image) -> None:
    """deploy.yml gives the names, the roles' commands and the database; the environment its secrets."""
    (image.root / "config").mkdir()
    (image.root / "config" / "deploy.yml").write_text(
        "service: store\n"
        "target: local\n"
        "servers:\n"
        f"  web: {{cmd: {sys.executable} -c}}\n"
        "  job: {cmd: bin/work, hosts: [localhost]}\n"
        "databases: {primary: {url: STORE_URL}}\n"
        "migrations: {path: db/migrations, schema: db/schema.sql}\n"
    )
    given = {"STORE_URL": image.environment["DATABASE_URL"], "DATABASE_URL": "", "PILOTAGE_SERVICE": ""}  # fmt: skip
    serves(image.start(entrypoint=(), **given))
    assert image.execute("SELECT DISTINCT stream FROM pilotage_migrations") == [("store",)]
    assert image.run("entrypoint", "--explain", "--", "bin/work")[0].startswith("wait")
    image.run("wait", "--timeout", "30s", **given)

    (image.root / "config" / "deploy.yml").write_text("service: store\nservice_typo: x\n")
    out, err = image.run("entrypoint", "--", "echo", "a console must always be possible")
    assert out == "a console must always be possible\n"
    assert "deploy.yml was not read" in err
    assert "service_typo" in image.run("entrypoint", "--", "gunicorn", "app", status=2)[1]


# ----------------------------------------------------------------------------------------------
# The rule
# ----------------------------------------------------------------------------------------------


def test_older_release_does_not_start_after_a_contract(image: Image, newer: Image) -> None:
    serves(image.start())
    serves(newer.start())
    told = newer.run("migrate", "apply", "--contract", **configured(newer), status=1)[1]
    assert f"of release {image.release}" in told, "its session stands in the way"
    assert f"plt-{image.release}:entrypoint" in told
    image.containers[0].kill()
    image.containers[0].wait()
    until(lambda: f"plt-{image.release}:entrypoint" not in image.sessions())
    newer.run("migrate", "apply", "--contract", **configured(newer))
    assert newer.columns() == {"id", "product"}
    for entrypoint in (("--server", SERVER), WORKER):
        late = image.start(entrypoint=entrypoint)
        _, said = late.communicate(timeout=60)
        assert late.returncode == 1
        assert "was written before 2/contract" in said
    assert "2/contract" in image.run("wait", "--timeout", "60s", status=1)[1]
    serves(newer.start())


def configured(image: Image) -> dict[str, str]:
    (image.root / "deploy.yml").write_text(
        "service: shop\ntarget: local\nservers: {web: {cmd: x}}\n"
        "databases: {primary: {url: DATABASE_URL}}\n"
    )
    if not (image.root / ".git").exists():
        git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "a release")):
            subprocess.run([*git, *words], cwd=image.root, check=True, capture_output=True)
    return {}


def test_session_lives_as_long_as_the_process(image: Image) -> None:
    container = image.start()
    serves(container)
    name = f"plt-{image.release}:entrypoint"
    assert name in image.sessions()
    container.kill()  # no handler of anybody's runs
    container.wait()
    until(lambda: name not in image.sessions())


def test_announced_contract_bars_a_start_until_it_is_taken_back(image: Image, newer: Image) -> None:
    serves(newer.start())
    newer.execute("INSERT INTO pilotage_intents VALUES ('shop', '2', 'contract', false, 1, now())")
    worker = newer.start(entrypoint=WORKER)
    serves(worker)  # it ships the half
    older = image.start(entrypoint=WORKER)
    assert older.stderr is not None
    line = older.stderr.readline()
    # Applied already on the new database that `newer` prepared: then it is foreign for good.
    assert "2/contract" in line
    assert older.wait(60) == 1


def test_intent_is_waited_for(image: Image, newer: Image) -> None:
    serves(image.start())
    serves(newer.start())
    newer.execute("INSERT INTO pilotage_intents VALUES ('shop', '2', 'contract', false, 1, now())")
    older = image.start(entrypoint=WORKER)
    assert older.stderr is not None
    assert "about to be applied" in older.stderr.readline()
    assert older.poll() is None
    newer.execute("DELETE FROM pilotage_intents")
    serves(older)


def test_new_data_that_older_code_cannot_read_waits_for_its_end(image: Image, newer: Image) -> None:
    newer.write("3_data.sql", "-- pilotage: new-data=breaks-old\n-- expand\nALTER TABLE orders ADD COLUMN x int;\n")  # fmt: skip
    serves(image.start())
    late = newer.start()
    _, said = late.communicate(timeout=60)
    assert late.returncode == 1
    assert f"release {image.release} still runs" in " ".join(said.split())
    assert newer.halves() == {"1/expand": True}, "nothing was touched"
    image.containers[0].kill()
    image.containers[0].wait()
    until(lambda: f"plt-{image.release}:entrypoint" not in image.sessions())
    serves(newer.start())
    serves(newer.start(entrypoint=WORKER))


def test_edited_file_is_refused(image: Image) -> None:
    serves(image.start())
    image.write(
        "1_create.sql", "CREATE TABLE orders (id integer PRIMARY KEY, item text, more int);"
    )
    image.write("2_more.sql", "CREATE TABLE more (i int);")
    late = image.start(PILOTAGE_RELEASE="c" * 12)
    _, said = late.communicate(timeout=60)
    assert late.returncode == 2
    assert "was edited since" in " ".join(said.split())


def test_a_persons_lock_is_respected_and_nothing_pending_needs_none(
    image: Image, newer: Image
) -> None:
    serves(image.start())
    configured(newer)
    newer.run("lock", "acquire", "-m", "freeze")
    serves(image.start())
    late = newer.start(entrypoint=("--server", SERVER, "--timeout", "6s"))
    _, said = late.communicate(timeout=60)
    assert late.returncode == 1
    assert "holds the deploy lock" in said
    assert "freeze" in said
    newer.run("lock", "release", "-y")
    serves(newer.start())


def test_instance_of_a_deploy_leaves_everything_to_the_deploy(image: Image, newer: Image) -> None:
    serves(image.start())
    late = newer.start(
        entrypoint=("--server", SERVER, "--timeout", "5s"), PILOTAGE_INSTANCE="shop-web-1"
    )
    _, said = late.communicate(timeout=60)
    assert late.returncode == 1
    assert "2/expand, not applied yet" in " ".join(said.split())
    assert newer.halves() == {"1/expand": True}


# ----------------------------------------------------------------------------------------------
# Signals and crashes
# ----------------------------------------------------------------------------------------------


def test_signal_while_it_waits(image: Image) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        worker = image.start(entrypoint=WORKER)
        assert worker.stderr is not None
        assert "waiting" in worker.stderr.readline()
        status, said = signalled(worker, number)
        assert status == 128 + number
        assert f"ended by {number.name}" in said


def test_signal_reaches_the_command(image: Image) -> None:
    program = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5));"
        "print('serving', flush=True); time.sleep(600)"
    )
    container = image.start(sys.executable, "-c", program)
    serves(container)
    assert signalled(container, signal.SIGTERM)[0] == 5


def test_signal_that_was_ignored_stays_ignored(image: Image) -> None:
    container = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "pilotage",
         "entrypoint", "--server", SERVER, "--", *APP],
        cwd=image.root, env=image.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    image.containers.append(container)
    serves(container)
    container.send_signal(signal.SIGHUP)
    assert signalled(container, signal.SIGTERM)[0] == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("transaction", [True, False])
def test_ended_in_the_middle_of_a_migration(
    image: Image, number: signal.Signals, transaction: bool
) -> None:
    """The next start finds what is applied, and goes on; the others get their turn meanwhile."""
    serves(image.start())
    text = SLOW if transaction else SLOW.replace("-- expand", "-- expand\n-- pilotage: transaction=false")  # fmt: skip
    path = image.write("2_slow.sql", text)
    again = {"PILOTAGE_RELEASE": "c" * 12}
    first = image.start(**again)
    until(asleep(image))
    (session,) = asleep(image)()
    other = image.start(**again)
    assert other.stderr is not None
    assert "another start prepares the database" in other.stderr.readline()
    path.write_text(text.replace("600", "0.1"))  # a container that starts now sleeps less
    status, said = signalled(first, number)
    if number is signal.SIGTERM:
        assert status == 143
        assert "ended by SIGTERM" in said
        until(lambda: session not in asleep(image)())
    else:
        assert status == -9
        image.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()")  # fmt: skip
    # The one that waited read its files when they still said 600: it works now.
    until(asleep(image))
    assert signalled(other, signal.SIGTERM)[0] == 143
    until(lambda: not asleep(image)())
    last = image.start(**again)
    serves(last)
    assert image.halves() == {"1/expand": True, "2/expand": True}
    assert "slow" in image.columns()


# ----------------------------------------------------------------------------------------------
# wait
# ----------------------------------------------------------------------------------------------


def test_wait_says_what_is_missing(image: Image, newer: Image) -> None:
    serves(image.start())
    _, err = newer.run("wait", "--timeout", "4s", status=1)
    told = " ".join(err.split())
    assert "needs 2/expand, not applied yet (waited" in told
    began = time.monotonic()
    newer.run("wait", "--timeout", "0", status=1)
    assert time.monotonic() - began < 30


def test_wait_ends_when_it_fits(image: Image, newer: Image) -> None:
    serves(image.start())
    waiting = subprocess.Popen(
        [sys.executable, "-m", "pilotage", "wait"],
        cwd=newer.root, env=newer.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    newer.containers.append(waiting)
    assert waiting.stderr is not None
    assert "2/expand, not applied yet" in waiting.stderr.readline()
    serves(newer.start())
    assert waiting.wait(60) == 0
    assert f"release {newer.release} fits the schema" in waiting.stderr.read()
    assert f"plt-{newer.release}:entrypoint" in newer.sessions()


def test_database_that_is_not_up_yet_is_waited_for(image: Image) -> None:
    with Way(image.postgres.port) as way:
        way.cut()
        url = image.environment["DATABASE_URL"].replace(f":{image.postgres.port}/", f":{way.port}/")
        waiting = subprocess.Popen(
            [sys.executable, "-m", "pilotage", "wait"],
            cwd=image.root, env={**image.environment, "DATABASE_URL": url},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        image.containers.append(waiting)
        assert waiting.stderr is not None
        assert "waiting: the database does not answer" in waiting.stderr.readline()
        server = image.start(DATABASE_URL=url)
        assert server.stderr is not None
        assert "no PostgreSQL server answers" in server.stderr.readline()
        way.mend()
        serves(server)
        assert waiting.wait(60) == 0


def test_time_is_up_while_the_database_is_down(image: Image) -> None:
    down = {"DATABASE_URL": "postgresql://shop:s3cret-word@127.0.0.1:1/shop"}
    _, err = image.run("wait", "--timeout", "1s", status=1, **down)
    assert "s3cret-word" not in err
    assert "the database does not answer" in err
    late = image.start(entrypoint=("--server", SERVER, "--timeout", "1s"), **down)
    _, said = late.communicate(timeout=60)
    assert late.returncode == 1
    assert "no PostgreSQL server answers" in said
    assert "s3cret-word" not in said


def test_usage(image: Image) -> None:
    assert "PILOTAGE_SERVICE" in image.run("entrypoint", "--", "gunicorn", status=2, PILOTAGE_SERVICE="")[1]  # fmt: skip
    assert "DATABASE_URL" in image.run("wait", status=2, DATABASE_URL="")[1]
    assert "not a duration" in image.run("wait", "--timeout", "soon", status=2)[1]
    assert "folder is missing" in image.run("wait", status=2, PILOTAGE_MIGRATIONS="elsewhere")[1]


def test_without_a_named_release(image: Image) -> None:
    """Images with the same files ship the same: their name is made of that."""
    names = []
    for _ in range(2):
        out, err = image.start(*SHOW, PILOTAGE_RELEASE="").communicate(timeout=60)
        names.append(out.split()[1])
        assert names[-1].startswith("plt-"), err
    assert names[0] == names[1]


def test_sqlite(image: Image, newer: Image) -> None:
    file = image.root / "shop.db"
    url = {"DATABASE_URL": f"sqlite:///{file}"}
    serves(image.start(**url))
    assert file.exists()
    newer.run("wait", "--timeout", "1s", status=1, **url)
    worker = newer.start(entrypoint=WORKER, **url)
    serves(newer.start(**url))
    serves(worker)
    newer.run("wait", "--timeout", "30s", **url)


def test_worker_needs_no_migrators_rights(image: Image, newer: Image) -> None:
    serves(image.start())
    role = f"app_{image.database}"
    image.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'app-w0rd'",
        "GRANT SELECT ON pilotage_instances, pilotage_meta, pilotage_streams, pilotage_migrations,"
        f" pilotage_intents TO {role}",
        f"GRANT UPDATE (first_start_at) ON pilotage_streams TO {role}",
    )
    try:
        url = image.postgres.url(image.database, user=role, password="app-w0rd")
        serves(image.start(entrypoint=WORKER, DATABASE_URL=url))
        both = {"DATABASE_URL": url, "PILOTAGE_MIGRATION_URL": newer.environment["DATABASE_URL"]}
        serves(image.start(**both))
        late = newer.start(**both)
        _, said = late.communicate(timeout=60)
        assert late.returncode == 1
        assert f'GRANT INSERT, DELETE ON "public".pilotage_instances TO "{role}"' in said
        image.execute(f"GRANT INSERT, DELETE ON pilotage_instances TO {role}")
        serves(newer.start(**both))
        assert newer.halves() == {"1/expand": True, "2/expand": True}
    finally:
        for container in image.containers:
            container.kill()
            container.wait()
        image.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
