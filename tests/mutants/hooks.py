"""Hooks that add commands, most with a mistake; nothing here imports torch."""

from __future__ import annotations

import typer


def count(number: int = 1) -> None:
    """Count to a number.

    Example: genlab count --number 3
    """
    typer.echo(" ".join(map(str, range(1, number + 1))))


def silent(number: int = 1) -> None:
    typer.echo(number)


def unexampled(number: int = 1) -> None:
    """Count to a number."""
    typer.echo(number)


def sound(app: typer.Typer) -> None:
    app.command("count")(count)


def nothing(app: typer.Typer) -> None:
    pass


def sample(app: typer.Typer) -> None:
    def draw() -> None:
        """Draw a number.

        Example: genlab sample
        """

    app.command("sample")(draw)


def capital(app: typer.Typer) -> None:
    def draw() -> None:
        """Draw a number.

        Example: genlab Count_All
        """

    app.command("Count_All")(draw)


def without_help(app: typer.Typer) -> None:
    app.command("count")(silent)


def without_example(app: typer.Typer) -> None:
    app.command("count")(unexampled)


def eager(app: typer.Typer) -> None:
    app.command("count", add_help_option=False)(count)


def lenient(app: typer.Typer) -> None:
    app.command("count", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(count)


def talks(app: typer.Typer) -> None:
    print("count is here")
    app.command("count")(count)
