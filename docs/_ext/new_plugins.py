"""The directive ``{new-plugin} KIND``: what ``genlab new plugin`` writes, as it writes it.

Option ``file``: ``module`` (the part and its registration), ``recipe`` or ``tests``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from genlab.scaffold import new_plugin

LANGUAGES = {"module": "python", "recipe": "yaml", "tests": "python"}
SHIPS_RECIPES = "\n\n@genlab.hookimpl\ndef genlab_recipes("


@cache
def texts(kind: str) -> dict[str, str]:
    """Return the files of a new plugin of a kind, ``my-encoder`` for example."""
    with TemporaryDirectory() as folder:
        made = new_plugin(f"my-{kind}", kind, Path(folder))
        return {name: getattr(made, name).read_text("utf-8") for name in LANGUAGES}


class NewPlugin(SphinxDirective):
    """One file of a new plugin. Of the module everything but the hook that tells where its recipes are."""

    required_arguments = 1
    option_spec: ClassVar = {"file": lambda text: directives.choice(text, list(LANGUAGES))}

    def run(self) -> list[nodes.Node]:
        """Show it, under its name."""
        kind, name = self.arguments[0], self.options.get("file", "module")
        text = texts(kind)[name].partition(SHIPS_RECIPES)[0].rstrip("\n") + "\n"
        return [nodes.literal_block(text, text, language=LANGUAGES[name])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("new-plugin", NewPlugin)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
