"""``genlab bench``: measure a recipe, compare results, make a page of them.

``genlab bench RECIPE`` is short for ``genlab bench run RECIPE``: what is none of the group's commands, and no
request for help, is taken for a recipe. A recipe that is called ``compare`` is given as ``./compare``.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from genlab.cli import bench_compare, bench_report, bench_run

DEFAULT = "run"


class Group(TyperGroup):
    """A group of commands with one that need not be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before what is no command."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=Group,
    help="Measure speed and agreement; compare.\n\n`genlab bench RECIPE` means `genlab bench run RECIPE`.\n\n"
    "Example: genlab bench mnist_cvae --device cpu,cuda",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("run")(bench_run.command)
app.command("compare")(bench_compare.command)
app.command("report")(bench_report.command)
