"""The directive ``{checks} KIND``: what ``genlab.testing`` looks for in a part of that kind, all of it."""

from __future__ import annotations

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from genlab.testing import SUITES

GIVEN = dict.fromkeys(("encoder", "decoder", "likelihood"), "cls, x_shapes=..., /, **options") | {
    "command": "hook, /"
}
FUNCTIONS = """\
{{eval-rst}}
.. py:function:: genlab.testing.check_{kind}({given}) -> Report
                 genlab.testing.assert_{kind}({given}) -> None
                 genlab.testing.{kind}_checks({given}) -> tuple
"""
SENTENCE = (
    "The first returns a report of these {count} checks, the second raises if one fails, the third returns them "
    "one by one, for `pytest.mark.parametrize`: [genlab.testing](../api/testing.md)."
)


class Checks(SphinxDirective):
    """The functions that check a part of one kind, and a list of their checks: what must hold, and why."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the list from the checks themselves."""
        kind = self.arguments[0]
        checks = SUITES[kind].checks
        given = GIVEN.get(kind, "cls, /, **options")
        items = nodes.definition_list(classes=["checks"])
        for check in checks:
            meaning = nodes.definition()
            for text in filter(None, (check.what, check.why)):
                parsed, messages = self.parse_inline(text)
                meaning += [nodes.paragraph("", "", *parsed), *messages]
            items += nodes.definition_list_item("", nodes.term("", "", nodes.literal("", check.name)), meaning)
        above = nodes.container()
        text = f"```{FUNCTIONS.format(kind=kind, given=given)}```\n\n{SENTENCE.format(count=len(checks))}\n"
        self.state.nested_parse(StringList(text.splitlines(), self.get_source_info()[0]), 0, above)
        return [*above.children, items]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("checks", Checks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
