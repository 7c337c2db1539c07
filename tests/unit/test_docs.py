"""The documentation builds, and nothing in it or in the pages beside the code leads nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pilotage.hazards import Severity, check
from pilotage.migrate.loader import parse_migration

ROOT = Path(__file__).parents[2]
BESIDE_THE_CODE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


@dataclass(slots=True)
class Page:
    """The ids and the links of a page of HTML."""

    ids: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("id", "name") if tag == "a" else ("id",):
            if given.get(name):
                self.page.ids.add(str(given[name]))
        for name in ("href", "src"):
            link = given.get(name)
            if link and not urlsplit(link).scheme and not link.startswith("//"):
                self.page.links.add(link)


@cache
def read(path: Path) -> Page:
    reader = _Reader()
    reader.feed(path.read_text())
    return reader.page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", directory],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stderr
    return directory


def test_no_link_of_the_site_leads_nowhere(site):
    broken = []
    for path in sorted(site.rglob("*.html")):
        if path.name == "404.html":  # its links start at the root of wherever it is served
            continue
        for link in sorted(read(path).links):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            known = target.suffix == ".html" and target.is_file()
            if not target.is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif parts.fragment and known and unquote(parts.fragment) not in read(target).ids:
                broken.append(f"{path.relative_to(site)}: {link} has no such anchor")
    assert not broken


def test_the_site_loads_nothing_from_elsewhere(site):
    home = (site / "index.html").read_text()
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', home)
    assert not loaded


@pytest.mark.parametrize("name", BESIDE_THE_CODE)
def test_pages_beside_the_code_link_to_what_exists(name):
    text = (ROOT / name).read_text()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    missing = []
    for link in links:
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = ROOT / parts.path if parts.path else ROOT / name
        if not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            missing.append(link)
    assert not missing


def anchors(path: Path) -> set[str]:
    """The anchors of a Markdown file's headings, as the forges make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower())
        found.add(words.strip().replace(" ", "-"))
    return found


EXAMPLES = [
    (page, title, text)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for title, text in re.findall(
        r'^```sql title="(?:db/migrations/)?(\d+_\w+\.sql)"\n(.*?)^```$',
        page.read_text(),
        re.MULTILINE | re.DOTALL,
    )
]


@pytest.mark.parametrize(("page", "title", "text"), EXAMPLES, ids=[e[1] for e in EXAMPLES])
def test_every_migration_in_the_documentation_is_one(page, title, text):
    dialect = "sqlite" if page.parent.name == "tutorial" else "postgresql"
    dialect = "mysql" if page.name == "mysql.md" else dialect
    migration = parse_migration(text, path=Path(title), dialect=dialect)
    errors = [f for f in check(migration, dialect=dialect) if f.severity is Severity.ERROR]
    assert not errors, f"{page}: {errors[0].message}"


def test_there_are_migrations_in_the_documentation():
    assert len(EXAMPLES) > 5


def test_every_decision_has_a_number_of_its_own():
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [page.name[:3] for page in pages]
    assert len(set(numbers)) == len(numbers)
    for page in pages:
        assert page.read_text().startswith(f"# {page.name[:3]} "), page.name


def test_no_page_is_left_to_be_written():
    for path in [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in BESIDE_THE_CODE)]:
        text = path.read_text()
        assert not re.search(r"\b(TODO|TBD|FIXME)\b", text), path
        assert len(text.split()) > 15, f"{path} says nothing"
