"""Models of the application in migrations of frameworks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.errors import MigrationFileError
from pilotage.hazards import check_framework
from pilotage.hazards.models import python, ruby
from pilotage.migrate.migration import Migration, Section
from pilotage.model import expand


def migration(text: str, suffix: str = ".py", version: str = "1") -> Migration:
    return Migration(version, "x", Path(f"{version}_x{suffix}"), expand=Section(text, 1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from shop.models import Order\ndef f(a, b): Order.objects.all()", ["shop.models.Order"]),
        ("from shop.models import Order as O\ndef f(a, b): O()", ["shop.models.Order"]),
        ("from shop import models\ndef f(a, b): models.Order.objects", ["shop.models.Order"]),
        ("from ..models import Order\ndef f(a, b): return Order", ["models.Order"]),
        ("import shop.models\ndef f(a, b): shop.models.Order()", ["shop.models.Order"]),
        ("import shop.models as m\nf = lambda a, b: m.Order()", ["shop.models.Order"]),
        ("from shop.models.order import Order\ndef f(a, b): Order()", ["shop.models.order.Order"]),
        ("from django.db import models\ndef f(a, b): models.Model()", []),
        ("from shop.models import Order\nORDER = Order", []),
        ("from shop.models import default_code\ndef f(): return default_code()", []),
        ("from shop.views import Order\ndef f(): Order()", []),
        ("this is not Python", []),
    ],
)
def test_python(text: str, found: list[str]) -> None:
    assert [model.name for model in python.models(text)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Order.update_all(x: 1)", ["Order"]),
        ("Shop::Order.find_each { |o| Order.count }", ["Shop::Order", "Order"]),
        ("Order .where(x: 1)", ["Order"]),
        ("class Order < ApplicationRecord; end\nOrder.all", []),
        ("Order = Class.new(ActiveRecord::Base)\nOrder.all", []),
        ("# Order.all\nputs 'Order.all' + \"Order.all\"", []),
        ("execute <<~SQL\n  Order.all\nSQL\nItem.first", ["Item"]),
        ("=begin\nOrder.all\n=end\nItem.first", ["Item"]),
        ("Time.new; File.new('x'); Order.human_name", []),
        ("add_index :orders, :name", []),
    ],
)
def test_ruby(text: str, found: list[str]) -> None:
    assert [model.name for model in ruby.models(text)] == found


def test_where_it_stands_and_what_to_write_instead() -> None:
    (finding,) = check_framework(
        [migration("x = 'é'\n\ndef up():\n    from shop.models import Order\n    Order()\n")]
    )

    assert (finding.rule, finding.line, finding.column) == ("live-models", 4, 5)
    assert finding.rewrite.startswith('order = sa.table("order"')


def test_an_allow_with_a_reason() -> None:
    text = "from shop.models import Order\ndef f(): Order()\n"
    allowed = f"# pilotage: allow=live-models because it never changes\n{text}"

    assert check_framework([migration(allowed)]) == ()
    with pytest.raises(MigrationFileError) as caught:
        check_framework([migration(f"# pilotage: allow=live-models\n{text}")])
    assert caught.value.where == "1_x.py:1"


def test_only_some_and_other_languages() -> None:
    text = "Order.all"
    files = [migration(text, ".rb", "1"), migration(text, ".rb", "2"), migration(text, ".js", "3")]

    assert [f.file.name for f in check_framework(files)] == ["1_x.rb", "2_x.rb"]
    assert [f.file.name for f in check_framework(files, only={expand("2")})] == ["2_x.rb"]
