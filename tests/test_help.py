"""Every command's help: one example that parses, the same options under the same names, errors in one line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from genlab.cli import app, main

Captured = pytest.CaptureFixture[str]
GROUP: Any = typer.main.get_command(app)


def commands(group: Any = GROUP, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group of commands, with the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


ALL = dict(commands())
LEAVES = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_commands_are_these() -> None:
    assert {path[0] for path in ALL} == {
        "run", "resume", "sweep", "init", "cp", "validate", "show", "diff", "schema", "ls", "runs", "compare",
        "report", "bench", "sample", "plot", "eval", "data", "devices", "plugins", "doctor", "new",
    }  # fmt: skip


def parse(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    """Read a command line down to its last command; raise what a user would be told."""
    context = command.make_context(name, words, parent)
    if hasattr(command, "commands"):
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(inner, name, rest, context)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_group_has_one_example_that_parses(path: tuple[str, ...]) -> None:
    examples = re.findall(r"^ *Example: (.+)$", ALL[path].help, re.MULTILINE)
    assert len(examples) == 1, ALL[path].help
    assert ALL[path].help.rstrip().endswith(examples[0])
    words = shlex.split(examples[0])
    assert words[: 1 + len(path)] == ["genlab", *path]
    parse(GROUP, "genlab", words[1:])


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_help_fits_80_columns_and_cuts_nothing(
    path: tuple[str, ...], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = said([*path, "--help"], capsys)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "..." not in out.partition("Commands:")[2].partition("\n\n")[0]
    assert out.startswith(f"Usage: {' '.join(['genlab', *path])} ")
    assert said([*path, "-h"], capsys)[1] == out


def options() -> Iterator[tuple[str, Any]]:
    for path, command in LEAVES.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                yield " ".join(path), parameter


def test_the_same_option_has_the_same_name_everywhere() -> None:
    partners: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for _, option in options():
        for name in option.opts:
            partners[name].add(tuple(sorted(option.opts)))
    assert {name: names for name, names in partners.items() if len(names) > 1} == {}


@pytest.mark.parametrize("name", ["--device", "--runs", "--json", "--max-time", "--seed"])
def test_what_is_shared_has_the_same_help_everywhere(name: str) -> None:
    texts = {option.help for _, option in options() if name in option.opts}
    assert len(texts) == 1


def test_every_option_and_argument_says_what_it_is() -> None:
    for path, command in LEAVES.items():
        for parameter in command.params:
            assert parameter.help, (path, parameter.name)


def test_help_documents_the_exit_codes(capsys: Captured) -> None:
    _, out, _ = said(["--help"], capsys)
    codes = out.partition("Exit codes:")[2]
    for code in ("0 ", "1 ", "2 ", "130 ", "143 "):
        assert code in codes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "error: no such command 'rnu'; did you mean 'run'? see genlab --help"),
        (["data", "fetsh"], "error: no such command 'fetsh'; did you mean 'fetch'? see genlab data --help"),
        (["xyzzy"], "error: no such command 'xyzzy'; see genlab --help"),
        (["my.yaml"], "error: no such command 'my.yaml'; did you mean genlab run my.yaml? see genlab --help"),
        (
            ["run", "--devce", "cpu"],
            "error: no such option: --devce; did you mean --device? see genlab run --help",
        ),
        (["ls", "--xyzzy"], "error: no such option: --xyzzy; see genlab ls --help"),
        (["run"], "error: missing argument 'RECIPE [KEY=VALUE]'; see genlab run --help"),
        (["sample"], "error: missing argument 'REF'; see genlab sample --help"),
        (["run", "bars", "--resume"], "error: option '--resume' requires an argument; see genlab run --help"),
        (
            ["--no-plugins", "runs", "list", "--json=1"],
            "error: option '--json' does not take a value; see genlab runs list --help",
        ),
        (["\x1b[2J"], "error: no such command '\\x1b[2J'; see genlab --help"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(arguments: list[str], message: str, capsys: Captured) -> None:
    assert said(arguments, capsys) == (2, "", f"{message}\n")


WHAT = "one of all, recipes, models, parts, runs is expected"
STATUS = "one of running, completed, interrupted, failed, died, damaged is expected"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "x", "-n", "0"], "invalid value for '-n': 0: an integer >= 1 is expected"),
        (["sample", "x", "-n", "many"], "invalid value for '-n': many: an integer is expected"),
        (["sample", "x", "--seed", "1.5"], "invalid value for '--seed': 1.5: an integer is expected"),
        (["sample", "x", "--seed", str(2**63)], f"invalid value for '--seed': {2**63}: an integer <= {2**63 - 1} "
         "is expected"),
        (["bench", "x", "--bound", "7"], "invalid value for '--bound': 7: a number <= 1 is expected"),
        (["ls", "foo"], f"invalid value for 'WHAT': foo: {WHAT}"),
        (["ls", "run"], f"invalid value for 'WHAT': run: did you mean 'runs'? {WHAT}"),
        (["ls", "it's"], f"invalid value for 'WHAT': it's: {WHAT}"),
        (["runs", "list", "--status", "foo"], f"invalid value for '--status': foo: {STATUS}"),
        (["run", "--device"], "option '--device' requires an argument"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_and_code_2(arguments: list[str], message: str, capsys: Captured) -> None:
    code, out, err = said(arguments, capsys)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(message)}; see genlab[a-z ]* --help\n", err)


def test_a_group_without_a_command_shows_its_help(capsys: Captured) -> None:
    code, out, err = said(["data"], capsys)
    assert "fetch" in out + err
    assert "error" not in err
    assert code in (0, 2)


def test_help_is_there_at_once_and_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['genlab', '--help']\n"
        "from genlab.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'pydantic', 'rich.markdown'} & set(sys.modules)\n"
        "print('loaded:', *sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded:\n")


def test_help_takes_less_than_three_tenths_of_a_second_of_the_processor() -> None:
    code = "import time\nfrom genlab.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    fastest = min(_seconds(code) for _ in range(3))
    assert fastest < 0.3


def _seconds(code: str) -> float:
    code += "print('seconds', time.process_time())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.rpartition("seconds ")[2])
