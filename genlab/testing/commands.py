"""What a plugin's commands must do: ``genlab_commands(app)`` adds them to the command line."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import typer
from typer.testing import CliRunner

from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.processes import printed

Hook = Callable[[typer.Typer], None]


class CommandSubject:
    """A hook under test. hook: the function that is called with a Typer application."""

    def __init__(self, hook: Hook, /) -> None:
        self.hook = hook

    @property
    def title(self) -> str:
        """Kind and name, ``"command genlab_commands"``."""
        return f"command {getattr(self.hook, '__name__', self.hook)}"

    def app(self) -> typer.Typer:
        """Return an application with the hook's commands and no others."""
        app = typer.Typer()
        app.callback()(lambda: None)  # a single command would take the application's place otherwise
        self.hook(app)
        return app

    @cached_property
    def group(self) -> Any:
        """The commands, as click has them."""
        return typer.main.get_command(self.app())

    @property
    def names(self) -> list[str]:
        """What they are called."""
        return list(self.group.commands)

    def run(self, *arguments: str) -> Any:
        """Run the command line ``genlab ...`` with nothing but these commands."""
        return CliRunner().invoke(self.app(), list(arguments), prog_name="genlab")


@check()
def adds_commands(subject: CommandSubject) -> None:
    """It adds at least one command to the application that it is given."""
    if not subject.names:
        raise Failed(
            expected="at least one command",
            came="none",
            mend="app.command('name')(function); for several under one name, app.add_typer(other, name='name')",
        )


@check("adds_commands")
def takes_no_name_of_genlabs(subject: CommandSubject) -> None:
    """No command has the name of one of genlab's own."""
    from genlab.cli import app

    own = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    taken = sorted(own & set(subject.names))
    if taken:
        raise Failed(
            expected="names that genlab does not have",
            came=", ".join(taken),
            mend="choose others; that of your package is a good one",
        )


@check("adds_commands")
def has_typeable_names(subject: CommandSubject) -> None:
    """Names are lower-case words, with dashes between them."""
    wrong = [name for name in subject.names if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)]
    if wrong:
        raise Failed(
            expected="names such as show-flow", came=", ".join(wrong), mend="app.command('show-flow')(...)"
        )


@check("adds_commands")
def says_what_it_does(subject: CommandSubject) -> None:
    """Each command has a docstring; its first line stands in `genlab --help`."""
    silent = [name for name, command in subject.group.commands.items() if not (command.help or "").strip()]
    if silent:
        raise Failed(
            expected="help for each command", came=f"none for {', '.join(silent)}", mend="write a docstring"
        )


@check("says_what_it_does")
def gives_an_example(subject: CommandSubject) -> None:
    """Each command's help ends with an example: `Example: genlab NAME ...`."""
    without = [
        name
        for name, command in subject.group.commands.items()
        if not hasattr(command, "commands") and not re.search(rf"Example: genlab {name}\b", command.help)
    ]
    if without:
        raise Failed(
            expected=f"help that ends with `Example: genlab {without[0]} ...`",
            came=f"none for {', '.join(without)}",
            mend="end the docstring with one that can be pasted",
        )


@check("adds_commands")
def shows_its_help(subject: CommandSubject) -> None:
    """`genlab NAME --help` prints it and exits with 0, before the command does anything."""
    for name in subject.names:
        result = subject.run(name, "--help")
        if result.exit_code != 0 or "Usage" not in result.output:
            raise Failed(
                expected=f"exit code 0 from `genlab {name} --help`",
                came=f"{result.exit_code}: {result.output.strip() or result.exception!r}",
                mend="annotate each parameter with a type that Typer knows",
            )


@check("shows_its_help")
def refuses_unknown_options(subject: CommandSubject) -> None:
    """An option that there is not ends with exit code 2, as everywhere in genlab."""
    for name in subject.names:
        result = subject.run(name, "--no-such-option")
        if result.exit_code != 2:
            raise Failed(
                expected=f"exit code 2 from `genlab {name} --no-such-option`",
                came=f"{result.exit_code}",
                mend="leave ignore_unknown_options out",
            )


@check("adds_commands")
def can_be_added_again(subject: CommandSubject) -> None:
    """Called a second time, with another application, it adds the same, and prints nothing."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        again = list(typer.main.get_command(subject.app()).commands)  # type: ignore[attr-defined]
    if again != subject.names or said.getvalue():
        raise Failed(
            expected=f"{', '.join(subject.names)}, without a word",
            came=f"{', '.join(again) or 'nothing'}, and {said.getvalue()!r} was printed",
            mend="add what there is each time, and remember nothing between calls",
        )


@check("adds_commands")
def leaves_torch_for_later(subject: CommandSubject) -> None:
    """Importing the hook's module does not import torch, unless it registers parts too.

    People who ask a command for its help wait for that import.
    """
    module, name = subject.hook.__module__, getattr(subject.hook, "__qualname__", "")
    if module == "__main__" or not name.isidentifier():
        raise Skipped("the hook is no function of a module that can be imported anew")
    if hasattr(sys.modules[module], "genlab_register"):
        raise Skipped(f"{module} registers parts as well, which need torch")
    if printed(f"import {module}; print('torch' in sys.modules)") == "True":
        raise Failed(
            expected=f"that importing {module} leaves torch alone",
            came="torch was imported",
            mend="import torch, and what needs it, inside the command; put commands into a module without parts",
        )


CHECKS = (
    adds_commands,
    takes_no_name_of_genlabs,
    has_typeable_names,
    says_what_it_does,
    gives_an_example,
    shows_its_help,
    refuses_unknown_options,
    can_be_added_again,
    leaves_torch_for_later,
)
COMMAND = Suite("command", CommandSubject, CHECKS)
