"""The same small shop, written for Rails, Django and Alembic, in three releases.

Release 1 has ``items(name, price)``. Release 2 no longer uses ``price``: it adds ``note`` (an expand half)
and drops ``price`` (a contract half). Release 3 adds ``tag``. What a request reads and writes would fail on
a schema that the release does not fit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tests.e2e.local.conftest import App
from tests.servers import missing

GEMS = Path("/usr/share/rubygems-integration/all/gems")
"""Where Debian has Bundler, and gems of which some are a specification without a folder."""

CONFIG = """\
service: shop
target: local
servers:
  web:
    cmd: {web}
    instances: {instances}
  job:
    cmd: sleep 3600
    health: {{delay: 50ms}}
proxy: {{port: {port}}}
deploy_timeout: 60
env:
  clear: {{GATE: "{gate}", {clear}}}
  secret: [DATABASE_URL]
databases:
  primary: {{url: DATABASE_URL}}
migrations: {{engine: {engine}{more}}}
"""

# What the migrations of every kit do besides their work: they tell that they ran, and wait or fail
# when a file asks for it, so that a test can come in between.
GATE_PY = """
import os, time, pathlib
gate = pathlib.Path(os.environ["GATE"])
with (gate / "ran").open("a") as file:
    file.write("{version}\\n")
while (gate / "wait-{version}").exists():
    time.sleep(0.02)
if (gate / "fail-{version}").exists():
    raise RuntimeError("{version} was told to fail")
"""

GATE_RB = """
    gate = ENV.fetch("GATE")
    File.write("#{{gate}}/ran", "{version}\\n", mode: "a")
    sleep 0.02 while File.exist?("#{{gate}}/wait-{version}")
    raise "{version} was told to fail" if File.exist?("#{{gate}}/fail-{version}")
"""


def bundle() -> tuple[str, ...]:
    """Debian's own Bundler. One that came with Ruby takes gems that have no folder for deleted ones."""
    return (
        "bundle",
        *(f"_{path.name.removeprefix('bundler-')}_" for path in GEMS.glob("bundler-*")),
    )


class Kit(ABC):
    """One framework. ``versions``: release → its expand halves and its contract halves."""

    engine: str
    web: str
    clear = 'LANG: "C.UTF-8"'
    instances = 1
    versions: ClassVar[dict[int, tuple[tuple[str, ...], tuple[str, ...]]]]

    def __init__(self, app: App, gate: Path) -> None:
        self.app = app
        self.gate = gate

    def configure(self, more: str = "") -> None:
        """Write the configuration; ``more`` goes into ``migrations:``."""
        text = CONFIG.format(
            web=self.web, port=self.app.port, gate=self.gate, clear=self.clear,
            engine=self.engine, instances=self.instances, more=more,
        )  # fmt: skip
        self.app.write("config/deploy.yml", text)

    @abstractmethod
    def begin(self) -> None:
        """Write what all releases have."""

    @abstractmethod
    def write(self, number: int) -> None:
        """Write what release ``number`` has besides."""

    def release(self, number: int) -> str:
        """Commit a release; its id."""
        self.write(number)
        return self.app.commit(f"v{number}")

    def ran(self) -> list[str]:
        """The migrations that ran, in order, each as often as it did."""
        path = self.gate / "ran"
        return path.read_text().split() if path.exists() else []

    def columns(self) -> set[str]:
        """The columns of ``items`` that are the shop's own."""
        return {column for table, column in self.app.schema() if table == self.table} - {"id"}

    table = "items"


class Rails(Kit):
    engine = "rails"
    web = 'bundle exec puma -C - -e production -b "tcp://127.0.0.1:$PORT" config.ru'
    clear = (
        'LANG: "C.UTF-8", RAILS_ENV: production, RAILS_LOG_TO_STDOUT: "1", RUBYOPT: "-W0", '
        'SECRET_KEY_BASE: "not-a-secret", RAILS_MAX_THREADS: "4"'
    )
    versions: ClassVar = {
        1: (("20260101000000",), ()),
        2: (("20260202000000",), ("20260202000001",)),
        3: (("20260303000000",), ()),
    }

    def begin(self) -> None:
        for program in ("rails", "bundle", "puma"):
            if shutil.which(program) is None:
                missing(f"{program} (Debian: ruby-rails ruby-pg puma bundler)")
        root = self.app.root
        skip = (
            "action-mailer action-mailbox action-text active-storage action-cable active-job "
            "bootsnap spring listen test sprockets javascript bundle git"
        )
        options = [f"--skip-{what}" for what in skip.split()]
        command = ["rails", "new", str(root), "--api", "--database=postgresql", *options]
        self._run([*command, "--name=shop", "--force", "--quiet"])
        gems = 'source "https://rubygems.org"\ngem "rails"\ngem "pg"\ngem "puma"\n'
        self.app.write("Gemfile", gems)
        self._run([*bundle(), "install", "--local", "--quiet"])
        self.app.write(".gitignore", ".pilotage/\nlog/\ntmp/\n")
        database = "production:\n  adapter: postgresql\n  url: <%= ENV['DATABASE_URL'] %>\n"
        self.app.write("config/database.yml", database)
        path = root / "config/application.rb"
        post = '    config.paths["db/migrate"] << "db/post_migrate"\n'
        path.write_text(
            path.read_text().replace("    config.api_only", f"{post}    config.api_only")
        )
        self.app.write(
            "config/routes.rb",
            'Rails.application.routes.draw do\n  root "items#index"\n'
            '  get "/up", to: proc { [200, {}, ["up"]] }\nend\n',
        )

    def _run(self, command: list[str]) -> None:
        env = {**os.environ, "RUBYOPT": "-W0", "BUNDLE_SILENCE_ROOT_WARNING": "1"}
        done = subprocess.run(
            command, cwd=self.app.root, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def write(self, number: int) -> None:
        bodies = {
            "20260101000000": ("migrate", "CreateItems", "create_table(:items) { |t| t.string :name; t.integer :price }"),
            "20260202000000": ("migrate", "AddNote", "add_column :items, :note, :string"),
            "20260202000001": ("post_migrate", "DropPrice", "remove_column :items, :price"),
            "20260303000000": ("migrate", "AddTag", "add_column :items, :tag, :string"),
        }  # fmt: skip
        for version in (*self.versions[number][0], *self.versions[number][1]):
            folder, name, body = bodies[version]
            snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
            self.app.write(
                f"db/{folder}/{version}{snake}.rb",
                f"class {name} < ActiveRecord::Migration[6.1]\n  def up\n"
                f"{GATE_RB.format(version=version)}    {body}\n  end\nend\n",
            )
        ignored = '  self.ignored_columns = ["price"]\n' if number == 2 else ""
        self.app.write(
            "app/models/application_record.rb",
            "class ApplicationRecord < ActiveRecord::Base\n  self.abstract_class = true\nend\n",
        )
        self.app.write("app/models/item.rb", f"class Item < ApplicationRecord\n{ignored}end\n")
        values = {1: "price: 1, ", 2: 'note: "n", ', 3: 'tag: "t", '}[number]
        self.app.write(
            "app/controllers/items_controller.rb",
            "class ItemsController < ApplicationController\n  def index\n"
            f'    item = Item.create!({values}name: "x")\n'
            '    render plain: "#{ENV["PILOTAGE_RELEASE"]} #{Item.find(item.id).name}"\n  end\nend\n',
        )


SERVER_PY = """\
import os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import psycopg

local = threading.local()


def database():
    if not hasattr(local, "connection"):
        local.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    return local.connection


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path != "/up":
            database().execute("INSERT INTO items (name, {column}) VALUES ('x', {value})")
            database().execute("SELECT name, {column} FROM items LIMIT 1").fetchone()
        text = os.environ["PILOTAGE_RELEASE"] + " x"
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Alembic(Kit):
    engine = "alembic"
    web = f"{sys.executable} server.py"
    versions: ClassVar = {
        1: (("a1",), ()),
        2: (("b2",), ("c2",)),
        3: (("d3",), ()),
    }

    def begin(self) -> None:
        self.app.write("alembic.ini", "[alembic]\nscript_location = alembic\n")
        self.app.write(
            "alembic/env.py",
            "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine, pool\n\n"
            'url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")\n'
            "with create_engine(url, poolclass=pool.NullPool).connect() as connection:\n"
            "    context.configure(connection=connection, transaction_per_migration=True)\n"
            "    with context.begin_transaction():\n        context.run_migrations()\n",
        )

    def write(self, number: int) -> None:
        bodies = {
            "a1": ("None", "create_items", "CREATE TABLE items (id serial PRIMARY KEY, name text, price int)"),
            "b2": ('"a1"', "add_note", "ALTER TABLE items ADD COLUMN note text"),
            "c2": ('"b2"', "contract_price", "ALTER TABLE items DROP COLUMN price"),
            "d3": ('"c2"', "add_tag", "ALTER TABLE items ADD COLUMN tag text"),
        }  # fmt: skip
        for version in (*self.versions[number][0], *self.versions[number][1]):
            before, name, sql = bodies[version]
            gate = GATE_PY.format(version=version).replace("\n", "\n    ")
            self.app.write(
                f"alembic/versions/{version}_{name}.py",
                f'from alembic import op\n\nrevision = "{version}"\ndown_revision = {before}\n\n\n'
                f'def upgrade():\n    {gate}\n    op.execute("{sql}")\n',
            )
        column, value = {1: ("price", "1"), 2: ("note", "'n'"), 3: ("tag", "'t'")}[number]
        self.app.write("server.py", SERVER_PY.replace("{column}", column).replace("{value}", value))


class Django(Kit):
    engine = "django"
    web = f"{sys.executable} -W ignore manage.py runserver --noreload 127.0.0.1:$PORT"
    table = "store_item"
    clear = 'LANG: "C.UTF-8", DJANGO_SETTINGS_MODULE: site_settings'
    versions: ClassVar = {
        1: (("store.0001_initial",), ()),
        2: (("store.0002_add_note",), ("store.0003_contract_price",)),
        3: (("store.0004_add_tag",), ()),
    }

    def begin(self) -> None:
        self.app.write(
            "manage.py",
            "import sys\nfrom django.core.management import execute_from_command_line\n"
            "execute_from_command_line(sys.argv)\n",
        )
        self.app.write(
            "site_settings.py",
            'import os\nfrom urllib.parse import urlsplit\n\nurl = urlsplit(os.environ["DATABASE_URL"])\n'
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': url.path[1:],\n"
            "    'USER': url.username, 'PASSWORD': url.password, 'HOST': url.hostname, 'PORT': url.port}}\n"
            "SECRET_KEY = 'not-a-secret'\nALLOWED_HOSTS = ['*']\nROOT_URLCONF = 'urls'\nUSE_TZ = True\n"
            "INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth', 'store']\n"
            "DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'\n"
            "LOGGING_CONFIG = None\n",
        )
        self.app.write(
            "urls.py",
            "from django.urls import path\nfrom store import views\n"
            "urlpatterns = [path('', views.index), path('up', views.up)]\n",
        )
        self.app.write("store/__init__.py", "")
        self.app.write("store/migrations/__init__.py", "")

    def write(self, number: int) -> None:
        bodies = {
            "0001_initial": (
                "[]",
                "migrations.CreateModel('Item', [('id', models.BigAutoField(primary_key=True)), "
                "('name', models.TextField()), ('price', models.IntegerField(null=True))])",
            ),
            "0002_add_note": (
                "[('store', '0001_initial')]",
                "migrations.AddField('item', 'note', models.TextField(null=True))",
            ),
            "0003_contract_price": (
                "[('store', '0002_add_note')]",
                "migrations.RemoveField('item', 'price')",
            ),
            "0004_add_tag": (
                "[('store', '0003_contract_price')]",
                "migrations.AddField('item', 'tag', models.TextField(null=True))",
            ),
        }
        for version in (*self.versions[number][0], *self.versions[number][1]):
            name = version.partition(".")[2]
            before, operation = bodies[name]
            gate = GATE_PY.format(version=version).replace("\n", "\n    ")
            self.app.write(
                f"store/migrations/{name}.py",
                "from django.db import migrations, models\n\n\ndef gate(apps, editor):"
                f"    {gate}\n\n\nclass Migration(migrations.Migration):\n"
                f"    dependencies = {before}\n"
                f"    operations = [migrations.RunPython(gate), {operation}]\n",
            )
        fields = {1: ("price",), 2: ("note",), 3: ("note", "tag")}[number]
        kinds = {"price": "IntegerField", "note": "TextField", "tag": "TextField"}
        columns = "".join(f"    {name} = models.{kinds[name]}(null=True)\n" for name in fields)
        self.app.write(
            "store/models.py",
            "from django.db import models\n\n\nclass Item(models.Model):\n"
            f"    name = models.TextField()\n{columns}",
        )
        value = {1: "price=1", 2: "note='n'", 3: "tag='t'"}[number]
        self.app.write(
            "store/views.py",
            "import os\nfrom django.http import HttpResponse\nfrom store.models import Item\n\n\n"
            "def up(request):\n    return HttpResponse('up')\n\n\ndef index(request):\n"
            f"    item = Item.objects.create(name='x', {value})\n"
            "    name = Item.objects.get(pk=item.pk).name\n"
            "    return HttpResponse(os.environ['PILOTAGE_RELEASE'] + ' ' + name)\n",
        )


KITS = {"rails": Rails, "alembic": Alembic, "django": Django}
