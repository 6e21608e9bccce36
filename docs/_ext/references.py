"""The directives ``{command-line}`` and ``{built-in-parts}``: what there is, as genlab itself says it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from genlab.cli import app as command_line
from genlab.folders import VARIABLES
from genlab.inspection import Brought
from genlab.inspection import inspect as inspected
from genlab.plugins import installed
from genlab.registry import KINDS


class CommandLine(SphinxDirective):
    """Every command with its arguments and options, and the variables that genlab reads from the environment."""

    def run(self) -> list[nodes.Node]:
        """Ask typer."""
        lines = [*_command(typer.main.get_command(command_line), "genlab"), "## Environment variables", ""]
        lines += _table("variable", "meaning", [(f"`{name}`", text) for name, text in VARIABLES.items()])
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


class BuiltInParts(SphinxDirective):
    """The parts that genlab itself brings, with their options, kind by kind."""

    def run(self) -> list[nodes.Node]:
        """Ask as ``genlab plugins inspect genlab`` does."""
        parts = sorted(inspected("genlab", installed()).parts, key=lambda part: list(KINDS).index(part.kind))
        lines = []
        for kind, found in groupby(parts, key=lambda part: part.kind):
            lines += [f"## {kind}", "", *(line for part in found for line in _part(part))]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _command(command: Any, path: str) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [
        p for p in command.params if p.param_type_name == "option" and not p.hidden and "--help" not in p.opts
    ]
    if not inner or options:
        text, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
        words = " ".join(
            [path, *(p.metavar or p.name.upper() for p in arguments), *(["[OPTIONS]"] if options else [])]
        )
        yield from (f"## `{path}`", "", f"`{words}`", "", _escaped(text), "")
        given = [(f"`{p.metavar or p.name.upper()}`", _escaped(getattr(p, "help", "") or "")) for p in arguments]
        given += [(f"`{', '.join(p.opts)}`", _escaped(p.help or "")) for p in options]
        if given:
            yield from _table("", "", given)
        if example:
            yield from ("```console", f"$ {' '.join(example.split())}", "```", "")
    for name, sub in inner.items():
        yield from _command(sub, f"{path} {name}")


def _part(part: Brought) -> Iterator[str]:
    yield from (f"### `{part.use}`", "", _escaped(part.summary), "")
    if part.options:
        rows = [
            (
                f"`{option.name}`",
                "required" if option.required else f"`{json.dumps(option.default)}`",
                _escaped(option.allowed),
                _escaped(option.meaning),
            )
            for option in part.options
        ]
        yield from ("| option | default | what it may be | meaning |", "| --- | --- | --- | --- |")
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""


def _table(left: str, right: str, rows: list[tuple[str, str]]) -> list[str]:
    return [f"| {left} | {right} |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows), ""]


def _escaped(text: str) -> str:
    """Return plain text as Markdown that shows it as it is; what stands in backticks is code."""
    pieces = re.split(r"(``?[^`]+``?)", text)
    return "".join(
        p.replace("|", r"\|") if p.startswith("`") else re.sub(r"([\\*_<>|$\[\]{}#])", r"\\\1", p) for p in pieces
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("command-line", CommandLine)
    app.add_directive("built-in-parts", BuiltInParts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
