"""The documentation: no warning when it is built, no link that leads nowhere, nothing missing."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer
from filelock import FileLock
from ruamel.yaml import YAML
from sphinx.util.inventory import InventoryFile

import genlab
import genlab.testing
from genlab.cli import app
from genlab.folders import VARIABLES
from genlab.opening import open_recipe
from genlab.plugins import installed
from genlab.registry import GIVEN
from genlab.scaffold import KINDS
from genlab.testing import SUITES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


class Page(HTMLParser):
    """What a page has: the places in it, the links from it, what it loads, its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.text = ""
        self.code: list[str] = []
        self._in_code = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given["id"]} if "id" in given else set()
        if tag == "code":
            self._in_code = True
            self.code.append("")
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag in ("img", "script", "link", "iframe") and (found := given.get("src") or given.get("href")):
            self.loaded.add(found)

    def handle_endtag(self, tag: str) -> None:
        self._in_code &= tag != "code"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_code:
            self.code[-1] += data


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, built as ``make docs`` does. ``make`` itself is not asked: it installs first."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "docs"
    with FileLock(f"{folder}.lock"):  # one build for all workers
        if not folder.exists():
            build(folder)
    return folder / "html"


def build(folder: Path) -> None:
    (command,) = re.findall(r"sphinx-build (.*?docs/_build/html)$", (ROOT / "Makefile").read_text(), re.S | re.M)
    words = shlex.split(command.replace("\\\n", " ").replace("docs/_build", str(folder)))
    done = subprocess.run([sys.executable, "-m", "sphinx", *words], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@pytest.fixture(scope="session")
def pages(html: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in html.rglob("*.html")}


@pytest.mark.slow
def test_every_page_is_built_and_can_be_reached(pages: dict[Path, Page], html: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert len(sources) > 20
    made = {html / "genindex.html", html / "search.html"}
    assert sources == {path.relative_to(html).with_suffix("") for path in set(pages) - made}
    index = pages[html / "index.html"].links
    for source in sources - {Path("index")}:
        assert f"{source}.html" in index, f"no way leads from the first page to {source}"


@pytest.mark.slow
def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids
            ):
                broken.append(f"{path.name}: {link}")
    assert broken == []


@pytest.mark.slow
def test_a_page_loads_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert not [loaded for loaded in page.loaded if urlsplit(loaded).netloc], path.name


@pytest.mark.slow
def test_every_public_name_is_documented(html: Path) -> None:
    inventory = InventoryFile.loads((html / "objects.inv").read_bytes(), uri="")
    documented = {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}
    for module in (genlab, genlab.testing):
        public = {f"{module.__name__}.{name}" for name in module.__all__ if not name.startswith("_")}
        assert public - documented == set()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_an_interface_has_all_of_it(kind: str, pages: dict[Path, Page], html: Path) -> None:
    page = pages[html / "interfaces" / f"{kind}.html"]
    for heading in ("as-mathematics", "the-interface", "an-example", "checklist", "common-mistakes"):
        assert heading in page.ids
    text = " ".join(page.text.split())
    for check in SUITES[kind].checks:
        assert check.name in text
    assert f"these {len(SUITES[kind].checks)} checks" in text
    for given in GIVEN.get(kind, ("app",)):
        assert given in text
    for function in (f"check_{kind}", f"assert_{kind}", f"{kind}_checks"):
        assert f"genlab.testing.{function}" in page.ids
    assert "@genlab.hookimpl" in text


@pytest.mark.slow
def test_every_command_option_and_variable_has_its_place(pages: dict[Path, Page], html: Path) -> None:
    page = pages[html / "api" / "commands.html"]
    code = set(page.code)

    def look(command: Any, path: str) -> None:
        inner = getattr(command, "commands", {})
        if not inner:
            assert path in code
        for option in command.params:
            if option.param_type_name == "option" and not option.hidden and "--help" not in option.opts:
                assert ", ".join(option.opts) in code, f"{path} {option.opts}"
        for name, each in inner.items():
            look(each, f"{path} {name}")

    look(typer.main.get_command(app), "genlab")
    assert set(VARIABLES) <= code


@pytest.mark.slow
def test_every_part_of_genlabs_own_and_option_has_its_place(pages: dict[Path, Page], html: Path) -> None:
    code = set(pages[html / "api" / "parts.html"].code)
    own = [part for part in installed().registry.parts() if part.distribution == "genlab"]
    assert {part.name for part in own} <= code
    assert {name for part in own for name in part.option_names} <= code


@pytest.mark.parametrize("kind", KINDS)
def test_mistakes_name_checks_that_there_are(kind: str) -> None:
    source = (DOCS / "interfaces" / f"{kind}.md").read_text().partition("## Common mistakes")[2]
    ends = re.findall(r":\s+(`\w+`(?:,\s+`\w+`)*)\.$", source, re.MULTILINE)  # of each mistake: what finds it
    named = {name for end in ends for name in re.findall(r"\w+", end)}
    assert len(named) >= 3
    assert named <= {check.name for check in SUITES[kind].checks}


def test_the_line_that_a_recipe_may_say_can_be_said() -> None:
    (line,) = re.findall(r"```yaml\n(.*)\n```", (DOCS / "interfaces" / "encoder.md").read_text())
    recipe = open_recipe(ROOT / "recipes" / "bars.yaml", YAML(typ="safe").load(line)).recipe
    assert (recipe.encoder.use, recipe.encoder.options) == ("tiny", {"width": 128})


def test_every_plugin_of_the_repository_is_described() -> None:
    page = (DOCS / "plugins.md").read_text()
    for readme in ROOT.glob("plugins/*/README.md"):
        assert f"../plugins/{readme.parent.name}/README.md" in page
        assert "{use: " in readme.read_text(), f"{readme} does not say what a recipe writes"


def test_there_is_a_page_for_every_kind() -> None:
    assert {path.stem for path in (DOCS / "interfaces").glob("*.md")} == {*KINDS, "index"}
    table = (DOCS / "interfaces" / "index.md").read_text()
    for kind, given in GIVEN.items():
        row = next(line for line in table.splitlines() if f"]({kind}.md)" in line)
        assert re.findall(r"`(\w+)`", row) == list(given)
