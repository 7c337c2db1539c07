"""A framework's migration works with the application's classes as they are on the day it runs."""

from __future__ import annotations

from collections.abc import Iterator

from pilotage.hazards.finding import Class, Severity
from pilotage.hazards.models import python, ruby
from pilotage.hazards.rule import BOTH, FRAMEWORKS, Example, HalfContext, Hazard, Rule

_READERS = {"python": python.models, "ruby": ruby.models}


def check(context: HalfContext) -> Iterator[Hazard]:
    """A Django or Alembic file that imports models and uses them in a function; a Rails file that calls
    Active Record on a class which it does not define itself."""
    for model in _READERS[context.dialect](context.section.text):
        yield Hazard(
            f"{model.name} is the class of the code that happens to run this file: a later release that "
            "changes it, or its table, breaks the migration of every database that is not there yet",
            model.instead,
            at=model.at,
        )


RULE = Rule(
    id="live-models",
    numbers=(94,),
    class_=Class.RUNTIME_FAILURE,
    severity=Severity.WARNING,
    halves=BOTH,
    why="A migration is applied years later as well, on a new machine, by code that has moved on. A class of its own, "
    "or the framework's historical one, knows the columns of that day.",
    check_half=check,
    dialects=FRAMEWORKS,
    bad=(
        Example(
            "from django.db import migrations\n"
            "»from shop.models import Order\n\n\n"
            "def fill(apps, schema_editor):\n"
            '    Order.objects.filter(state=None).update(state="new")\n\n\n'
            "class Migration(migrations.Migration):\n"
            "    operations = [migrations.RunPython(fill)]\n",
            "Django",
            dialect="python",
        ),
        Example(
            'revision = "2"\ndown_revision = "1"\n\n\n'
            "def upgrade():\n"
            "    »from shop.models import Order\n\n"
            "    session.query(Order).delete()\n",
            "Alembic",
            dialect="python",
        ),
        Example(
            "class FillState < ActiveRecord::Migration[7.1]\n"
            "  def up\n"
            "    »Order.where(state: nil).update_all(state: 'new')\n"
            "  end\n"
            "end\n",
            "Rails",
            dialect="ruby",
        ),
    ),
    good=(
        Example(
            "def fill(apps, schema_editor):\n"
            '    Order = apps.get_model("shop", "Order")\n'
            '    Order.objects.filter(state=None).update(state="new")\n\n\n'
            "class Migration(migrations.Migration):\n"
            "    operations = [migrations.RunPython(fill)]\n",
            "the historical class",
            dialect="python",
        ),
        Example(
            "import shop.models\nfrom django.db import migrations, models\n\n\n"
            "class Migration(migrations.Migration):\n"
            "    operations = [\n"
            '        migrations.AddField("order", "file", models.FileField(upload_to=shop.models.path)),\n'
            "    ]\n",
            "a function that a field names; Django writes this itself",
            dialect="python",
        ),
        Example(
            "class FillState < ActiveRecord::Migration[7.1]\n"
            "  class Order < ActiveRecord::Base; end\n\n"
            "  def up\n"
            "    Order.where(state: nil).update_all(state: 'new') # not Customer.all\n"
            "  end\n"
            "end\n",
            "a class of its own",
            dialect="ruby",
        ),
    ),
)
