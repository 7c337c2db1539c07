"""Every key is documented: `docs/reference/configuration.md` has a row for each, made from the models."""

from __future__ import annotations

import re
import subprocess
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from pilotage.config import load_config
from pilotage.config.quantity import format_duration
from pilotage.config.schema.base import Section
from pilotage.config.validate import keys_of, sections

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"
OWN = "pilotage's own key"


def row(key: str, field: FieldInfo) -> str:
    kind = " or ".join(dict.fromkeys(kinds(field.annotation, tuple(field.metadata))))
    return f"| `{key}` | {kind} | {default(field, kind)} | {field.description} |"


def kinds(kind: Any, metadata: tuple[Any, ...] = ()) -> Iterator[str]:
    origin, args = get_origin(kind), get_args(kind)
    function = next((m.func.__name__ for m in metadata if hasattr(m, "func")), "")
    known = {
        "_seconds": "duration",
        "_some_seconds": "duration",
        "_off_or_seconds": "duration or `off`",
        "_off_or_ratio": "number or `off`",
        "_duty": "percentage",
        "_share": "percentage",
        "_flag": "true, false",
        "_whole": "number",
        "one_or_more": "text or list",
        "_host": "host",
        "_port": "port",
        "_limit": "number or percentage",
        "shares": "percentage or list",
        "_one": "text or list of one secret",
    }
    if function in known:
        yield known[function]
    elif origin is Annotated:
        yield from kinds(args[0], args[1:])
    elif origin in {Union, types.UnionType}:
        for arg in args:
            if arg is not type(None):
                yield from kinds(arg)
    elif origin is Literal:
        yield ", ".join(f"`{value}`" for value in args)
    elif origin is tuple:
        yield "list"
    elif origin is dict or (isinstance(kind, type) and issubclass(kind, Section)):
        yield "mapping"
    else:
        yield {str: "text", int: "number", float: "number", bool: "true, false"}[kind]


def default(field: FieldInfo, kind: str) -> str:
    value = None if field.default_factory else field.default
    if field.is_required():
        return "required"
    if value is None or value in ((), {}) or isinstance(value, Section):
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if kind.startswith("duration"):
        return f"`{format_duration(value)}`"
    if kind == "percentage":
        return f"`{value * 100:g}%`"
    return f"`{value}`"


def test_the_page_has_every_section_and_a_row_for_every_key() -> None:
    text = PAGE.read_text()
    missing = []
    for path, section in sections():
        rows = [row(key, field) for key, field in keys_of(section).items()]
        heading = "## The file" if not path else f"### `{path}`"
        table = "\n".join(["| key | value | default | |", "|---|---|---|---|", *rows])
        if heading not in text or table not in text:
            missing.append(f"{heading}\n\n{section.__doc__}\n\n{table}\n")
    assert not missing, "docs/reference/configuration.md lacks:\n\n" + "\n".join(missing)


def test_every_example_of_the_page_loads(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml title=\"([^\"]+)\"\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) >= 3
    for number, (name, text) in enumerate(examples):
        folder = tmp_path / str(number)
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        load_config(path, environ={"PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(("path", "section"), list(sections()))
def test_every_key_is_described(path: str, section: type[Section]) -> None:
    assert section.__doc__
    for key, field in keys_of(section).items():
        assert field.description, f"{path}.{key}"
        assert field.description.endswith(".")


def test_every_configuration_of_a_guide_loads(tmp_path: Path) -> None:
    guides = sorted((PAGE.parents[1] / "how-to").glob("*.md"))
    examples = [
        (guide.name, number, text)
        for guide in guides
        for number, text in enumerate(
            re.findall(
                r"```yaml title=\"config/deploy.yml\"\n(.*?)```", guide.read_text(), re.DOTALL
            )
        )
    ]
    assert {name for name, _, _ in examples} >= {"rails.md", "django.md", "alembic.md"}
    for name, number, text in examples:
        path = tmp_path / f"{name}-{number}" / "config" / "deploy.yml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        load_config(path, environ={})
