"""A new plugin: a package with a working part, a recipe and tests, from the template files of this package.

The templates are plain files with placeholders, ``$name`` and a few others. What they make is installed, linted,
tested and trained, kind by kind, by the tests.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import genlab
from genlab.api import API_VERSION
from genlab.errors import PluginError
from genlab.files import new_folder, write_text
from genlab.naming import check_name, installed_as, module_of, part_of, taken
from genlab.wording import printable, shown, suggest

KINDS = (
    "encoder", "decoder", "prior", "likelihood", "objective", "data", "tracker", "optimizer", "schedule",
    "search", "command",
)  # fmt: skip
"""What a new plugin may bring: a part of any kind, or a command."""

_WORDS = {"data": "data source"}


@dataclass(frozen=True)
class NewPlugin:
    """A plugin that was written.

    folder: of its package. module, recipe, tests: files in it. part: what recipes and command lines call it.
    """

    name: str
    kind: str
    part: str
    folder: Path
    module: Path
    recipe: Path
    tests: Path


def new_plugin(name: str, kind: str, folder: Path = Path(), *, commands: Collection[str] = ()) -> NewPlugin:
    """Write a plugin of one part into ``folder/name``: whole, or not at all.

    commands: those that the command line has.
    Raises ``PluginError`` for a kind that there is not, for a name that cannot be used or that somebody has,
    and if there is a file or folder already; ``RunError`` if it cannot be written.
    """
    if kind not in KINDS:
        raise PluginError(f"unknown kind {shown(kind)}; {suggest(kind, KINDS)}there are: {', '.join(KINDS)}")
    check_name(name)
    part = part_of(name)
    if kind == "command":
        part = part.replace("_", "-")
    target = folder / name
    if not folder.is_dir():
        where = printable(str(folder))
        said = f"{where} is no folder" if folder.exists() else f"there is no folder {where}; make it first"
        raise PluginError(f"{printable(str(target))}: {said}")
    if target.exists() or target.is_symlink():
        raise PluginError(
            f"{printable(str(target))}: there is such a {'folder' if target.is_dir() else 'file'} already; choose "
            "another name or --dir, or move it away"
        )
    _check_free(name, kind, part, commands)
    with new_folder(target) as new:
        for path, text in _files(name, kind, part).items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            write_text(new / path, text)
    module = module_of(name)
    return NewPlugin(
        name,
        kind,
        part,
        folder=target,
        module=target / f"{module}.py",
        recipe=target / "recipes" / f"{name}.yaml",
        tests=target / "tests" / f"test_{module}.py",
    )


def words_of(kind: str) -> str:
    """Return a kind with its article: ``an encoder``."""
    words = _WORDS.get(kind, kind)
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _check_free(name: str, kind: str, part: str, commands: Collection[str]) -> None:
    """Raise ``PluginError`` if another distribution has a part, command or recipe of that name."""
    from genlab.opening import installed_recipes
    from genlab.plugins import installed

    if kind == "command":
        if part in commands and installed_as(name) is None:
            raise taken(name, f"there is a command {f'genlab {part}'!r} already")
    else:
        for other in installed().registry.parts(kind):
            if other.name == part and other.distribution != name:
                raise taken(name, f"{other.distribution} has {words_of(kind)} {part!r} already")
    for recipe in installed_recipes():
        if recipe.name == name and recipe.distribution != name:
            raise taken(name, f"{recipe.distribution} has a recipe {name!r} already, and so would the plugin")


def _files(name: str, kind: str, part: str) -> Mapping[str, str]:
    """Return the text of each file, by its path in the package."""
    module = module_of(name)
    what = words_of(kind)
    values = {
        "name": name,
        "module": module,
        "part": part,
        "command": part,
        "cls": class_name(part, kind),
        "what": what,
        "What": what[:1].upper() + what[1:],
        "genlab": genlab.__version__,
        "api": API_VERSION,
    }

    def filled(template: str, **more: str) -> str:
        text = resources.files("genlab").joinpath("templates", "plugin", *template.split("/")).read_text("utf-8")
        return Template(text).substitute(values, **more)

    return {
        "pyproject.toml": filled("pyproject.toml.txt"),
        "README.md": filled("README.md.txt", use=filled(f"{kind}/use.md.txt")),
        f"{module}.py": filled(f"{kind}/module.py.txt") + filled("recipes.py.txt"),
        f"recipes/{name}.yaml": filled(f"{kind}/recipe.yaml.txt"),
        f"tests/test_{module}.py": filled(f"{kind}/test.py.txt"),
        ".github/workflows/ci.yml": filled("ci.yml.txt"),
        ".gitignore": filled("gitignore.txt"),
    }


def class_name(part: str, kind: str) -> str:
    """Return ``MyFlowsPrior`` for ``my_flows``, and ``MyPrior`` for ``my_prior``."""
    words = [word.capitalize() for word in re.split("[-_]", part)]
    return "".join(words if words[-1].lower() == kind else [*words, kind.capitalize()])
