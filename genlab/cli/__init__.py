"""The command line. Each command is one small module; torch is imported only by those that need it."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence

import typer

from genlab.cli import (
    bench,
    compare,
    cp,
    data,
    devices,
    diff,
    doctor,
    evaluate,
    init,
    ls,
    new,
    plot,
    plugins,
    report,
    resume,
    run,
    runs,
    sample,
    schema,
    show,
    sweep,
    validate,
)
from genlab.cli.added import Commands, UsageError
from genlab.cli.arguments import PluginFiles, exists
from genlab.cli.streams import UNWRITABLE, divert, forgive_encodings
from genlab.entries import damaged
from genlab.errors import GenlabError
from genlab.exits import answering
from genlab.selection import select, select_none

EPILOG = """\b
`genlab COMMAND --help` shows an example of each. --debug, anywhere, shows the
traceback of an error; --no-plugins, anywhere, leaves installed plugins alone.

\b
Exit codes:
  0    done
  1    training failed, `doctor` found a problem, or a bench is too slow
  2    a mistake in the input: what and where is on standard error
  130  interrupted by Ctrl-C; 143 by SIGTERM"""

app = typer.Typer(
    name="genlab",
    cls=Commands,
    help="Train small to mid-size generative models from recipes, and use them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
app.command("run")(run.command)
app.command("resume")(resume.command)
app.command("sweep")(sweep.command)
app.command("init")(init.command)
app.command("cp")(cp.command)
app.command("validate")(validate.command)
app.command("show")(show.command)
app.command("diff")(diff.command)
app.command("schema")(schema.command)
app.command("ls")(ls.command)
app.add_typer(runs.app, name="runs")
app.command("compare")(compare.command)
app.command("report")(report.command)
app.add_typer(bench.app, name="bench")
app.command("sample")(sample.command)
app.command("plot")(plot.command)
app.command("eval")(evaluate.command)
app.add_typer(data.app, name="data")
app.command("devices")(devices.command)
app.add_typer(new.app, name="new")
app.add_typer(plugins.app, name="plugins")
app.command("doctor")(doctor.command)


def _leave_out(no_plugins: bool) -> bool:
    """Choose as soon as the command line is read: the help already depends on it."""
    if no_plugins:
        select_none()
    return no_plugins


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    no_plugins: bool = typer.Option(
        False,
        "--no-plugins",
        is_eager=True,
        callback=_leave_out,
        help="Load no installed plugins, genlab's own parts alone.",
    ),
    plugin: PluginFiles = None,
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        import genlab

        typer.echo(genlab.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; a user's mistake is one message and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    forgive_encodings()
    _show_progress_messages()
    select()  # whatever an earlier command line of this process chose
    try:
        with answering():
            code = app(_in_front(given), prog_name="genlab", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk can be told
        sys.exit(code or 0)
    except UsageError as error:
        _complain(usage(error, given))
        sys.exit(2)
    except GenlabError as error:
        if debug:
            raise
        _complain(f"error: {error}")
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has gone, as in `genlab ls | head`; nobody is left to tell
        divert(sys.stdout)
        sys.exit(0)
    except OSError as error:
        if debug or error.errno not in UNWRITABLE:
            raise
        divert(sys.stdout)
        typer.echo(f"error: standard output cannot be written ({error.strerror})", err=True)
        sys.exit(2)
    except Exception:
        found = next(damaged(), None)
        if debug or found is None:
            raise
        typer.echo(f"error: {found}; --debug shows the traceback", err=True)
        sys.exit(2)


def _in_front(arguments: Sequence[str]) -> list[str]:
    """Return arguments with what may stand anywhere in front; --debug is not typer's business."""
    anywhere = [a for a in arguments if a == "--no-plugins"]
    return [*anywhere[:1], *(a for a in arguments if a not in ("--debug", "--no-plugins"))]


def _complain(message: str) -> None:
    from genlab.wording import escaped

    typer.echo(escaped(message), err=True)


def usage(error: Exception, given: Sequence[str]) -> str:
    """Say in one line what is wrong with the command line ``given``; typer's own message has four."""
    if hasattr(error, "param_hint"):  # it is about a value
        from genlab.cli.values import expected

        error.message = expected(error)  # type: ignore[attr-defined]
    said: str = error.format_message()  # type: ignore[attr-defined]
    context: typer.Context | None = getattr(error, "ctx", None)
    if context is not None and said == context.get_help():  # a group of commands without a command
        return said
    possible = getattr(error, "possibilities", None)
    if possible:
        said = f"{said.partition(' (')[0]}; did you mean {possible[0]}?"
    elif match := re.fullmatch(r"No such command '(.*\.ya?ml)'\.?.*", said):
        said = f"no such command '{match[1]}'; did you mean genlab run {match[1]}?"
    said = said.replace(". Did you", "; did you")
    said = " ".join((said[:1].lower() + said[1:]).split()).rstrip(".")
    if files := [word for word in given if word.startswith("-") and exists(word)]:
        said += f"; for the file write ./{files[0]}"
    command = context.command_path if context else _command_path(given)
    return f"error: {said}{'' if said.endswith('?') else ';'} see {command} --help"


def _command_path(given: Sequence[str]) -> str:
    """Return the words of a command line that name its command; an error in an option's value does not say it."""
    command, path = typer.main.get_command(app), ["genlab"]
    for word in given:
        inner = getattr(command, "commands", {}).get(word)
        if inner is not None:
            command, path = inner, [*path, word]
    return " ".join(path)


class _Messages(logging.Handler):
    """Writes to the standard error that there is at the time, which may not be the one that there was."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message on a line of its own."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def _show_progress_messages() -> None:
    """Show what the library logs ("mnist: fetching ...") on standard error."""
    logger = logging.getLogger("genlab")
    if not logger.handlers:
        logger.addHandler(_Messages())
    logger.setLevel(logging.INFO)
