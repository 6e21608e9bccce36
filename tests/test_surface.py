"""Everything that others write code or commands against is frozen: ``tests/surface.txt`` has all of it.

A change there is a change for everybody's plugins. What is added needs a minor version of the API, what goes a
``genlab.deprecation`` one version ahead. To write it anew: ``python -m tests.test_surface``.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

import genlab
import genlab.testing
from genlab.api import API_VERSION
from genlab.catalogue import HOOKS
from genlab.cli import app
from genlab.folders import VARIABLES
from genlab.hooks import Hooks, since_of
from genlab.registry import GIVEN, KINDS

FILE = Path(__file__).with_name("surface.txt")
PAGE = Path(__file__).parent.parent / "docs" / "hooks.md"


def surface() -> str:
    """Return the public surface, one line each."""
    sections = {
        f"API {API_VERSION}": (),
        "hooks": _hooks(),
        "kinds of parts, and what each is given": (f"{k}({', '.join(GIVEN[k])})" for k in KINDS),
        "names": _names(genlab),
        "names of genlab.testing": _names(genlab.testing),
        "commands": _commands(typer.main.get_command(app), "genlab"),
        "environment": sorted(VARIABLES),
    }
    lines = []
    for title, found in sections.items():
        lines += [f"# {title}", *found, ""]
    return "\n".join(lines)


def _hooks() -> Iterator[str]:
    for name in HOOKS:
        arguments = ", ".join(list(inspect.signature(getattr(Hooks, name)).parameters)[1:])
        yield f"{name}({arguments}) since {since_of(name)}"


def _names(module: ModuleType) -> Iterator[str]:
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            own = any("__init__" in vars(base) for base in value.__mro__ if base.__module__.startswith("genlab."))
            yield f"class {name}{_signature(value) if own and name != 'Register' else ''}"
            yield from (f"  {member}" for member in _members(value))
        else:
            own = getattr(value, "__module__", "").startswith("genlab.")
            yield f"{name}{_signature(value) if own else ''}"


def _members(cls: type) -> Iterator[str]:
    own = [base for base in cls.__mro__ if base.__module__.startswith("genlab.")]
    abstract = getattr(cls, "__abstractmethods__", ())
    for member in sorted({name for base in own for name in (*vars(base), *getattr(base, "__annotations__", {}))}):
        value = next((vars(base)[member] for base in own if member in vars(base)), None)
        if member.startswith("_"):
            continue
        kind = "abstract " if member in abstract else ""
        yield f"{kind}{member}{_signature(value) if inspect.isfunction(value) else ''}"


def _signature(value: object) -> str:
    try:
        signature = inspect.signature(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    bare = [
        p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values() if p.name != "self"
    ]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(\w+)[^<>]*(<[^<>]*>)?[^<>]*>", r"<\1>", text)


def _commands(command: Any, path: str) -> Iterator[str]:
    words = [
        "/".join(p.opts) if p.param_type_name == "option" else str(p.metavar or p.name).upper()
        for p in command.params
        if "--help" not in p.opts
    ]
    yield " ".join([path, *words])
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{path} {name}")


def test_nothing_public_changes_unnoticed() -> None:
    now, before = surface(), FILE.read_text()
    changed = "\n".join(
        difflib.unified_diff(before.splitlines(), now.splitlines(), "frozen", "now", lineterm="", n=0)
    )
    assert now == before, f"what others depend on has changed; see {__file__}\n{changed}"


def test_the_page_of_hooks_has_every_hook_argument_and_version() -> None:
    page = PAGE.read_text()
    for name in HOOKS:
        arguments = list(inspect.signature(getattr(Hooks, name)).parameters)[1:]
        heading = f"## `{name}({', '.join(arguments)})`"
        assert heading in page, f"{PAGE.name} lacks {heading}"
        section = page.partition(heading)[2].partition("\n## ")[0]
        assert f"Since API {since_of(name)}." in section
        for argument in arguments:
            assert f"- `{argument}`: " in section, f"{heading} does not say what {argument} is"
        assert "@genlab.hookimpl" in section, f"{heading} has no example"
    assert set(re.findall(r"^## `(genlab_\w+)\(", page, re.MULTILINE)) == set(HOOKS)


if __name__ == "__main__":
    FILE.write_text(surface())
