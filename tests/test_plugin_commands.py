"""Commands that plugins add to genlab."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from genlab.cli import main
from genlab.errors import GenlabError
from tests.sites import COMMAND, PART, Site

Captured = pytest.CaptureFixture[str]

HOOK = "import genlab\n@genlab.hookimpl\ndef genlab_commands(app):\n"
HELLO = COMMAND.format(name="hello")
BROKEN = {
    "raises at import": (f"raise ImportError('no libfoo')\n{HELLO}", "ImportError: no libfoo"),
    "raises in the hook": (f"{HELLO}    raise KeyError('half done')\n", "KeyError: 'half done'"),
    "exits in the hook": (f"{HELLO}    raise SystemExit(3)\n", "it called sys.exit(3)"),
    "takes the path away in the hook": (
        f"{HELLO}    import sys\n    sys.path.clear()\n",
        "entries out of sys.path, by which everybody imports",
    ),
    "is not a command": (f"{HOOK}    app.command('hello')(3)\n", "TypeError"),
    "takes what cannot be typed": (
        f"{HOOK}    @app.command('hello')\n    def hello(x: int | str): pass\n",
        "Union types",
    ),
    "asks for what no hook is given": (f"{HELLO}".replace("(app)", "(app, console)"), "console"),
    "needs a newer genlab": (f"GENLAB_API = '1.9'\n{HELLO}", "written for API 1.9"),
}


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_command_is_listed_runs_and_has_help(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", COMMAND.format(name="hello"))
    out = said(["--help"], capsys)[1]
    assert "\n  plugins   List plugins and find out what is wrong with one.\n  hello     Say hello.\n" in out
    assert "a_plugin" not in sys.modules  # nobody needed it so far
    assert said(["hello", "--who", "me"], capsys) == (0, "hello me\n", "")
    assert said(["hello", "-h"], capsys)[1].startswith("Usage: genlab hello [OPTIONS]\n\n  Say hello.\n")
    code, _, err = said(["hello", "--whom", "me"], capsys)
    assert (code, err) == (2, "error: no such option: --whom; did you mean --who? see genlab hello --help\n")


@pytest.mark.parametrize(("typed", "meant"), [("hallo", "hello"), ("vaidate", "validate"), ("docter", "doctor")])
def test_a_mistyped_command_is_guessed_among_all(site: Site, typed: str, meant: str, capsys: Captured) -> None:
    site.add("a-plugin", COMMAND.format(name="hello"))
    code, out, err = said([typed], capsys)
    assert (code, out) == (2, "")
    assert err == f"error: no such command '{typed}'; did you mean '{meant}'? see genlab --help\n"


def test_commands_are_found_however_they_are_written(site: Site, capsys: Captured) -> None:
    (site.folder / "a_more.py").write_text("def three():\n    '''Third.'''\n    print(3)\n")
    site.add(
        "a-plugin",
        """
        import typer
        import genlab
        from a_plugin_more import three

        group = typer.Typer()
        group.command("in")(lambda: print("inside"))
        group.callback()(lambda: None)

        def two(): print(2)

        @genlab.hookimpl
        def genlab_commands(app):
            @app.command()
            def one_and_only():
                '''First.'''
                print(1)
            app.command("two", help="Second.")(two)
            app.command(name="three")(three)
            app.add_typer(group, name="group", help="A group.")
            for name in ("four", "five"):
                app.command(name)(two)
        """,
    )
    (site.folder / "a_more.py").rename(site.folder / "a_plugin_more.py")
    out = said(["--help"], capsys)[1]
    for name, about in {"one-and-only": "First.", "two": "Second.", "group": "A group."}.items():
        assert f"\n  {name:<12}  {about}\n" in out
    assert "four" not in out  # which only running it would tell
    for words, printed in {"one-and-only": 1, "two": 2, "three": 3, "four": 2, "group in": "inside"}.items():
        assert said(words.split(), capsys) == (0, f"{printed}\n", "")
    assert said(["six"], capsys)[0] == 2


@pytest.mark.parametrize(("code", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_one_breaks_nothing_else_and_the_doctor_names_it(
    code: str, cause: str, site: Site, bars: Path, capsys: Captured
) -> None:
    site.add("a-plugin", code)
    site.add("b-plugin", COMMAND.format(name="other"))
    assert said(["--help"], capsys)[0] == 0
    assert said(["show", str(bars)], capsys)[0] == 0
    assert said(["other"], capsys) == (0, "hello you\n", "")
    ended, _, err = said(["hello"], capsys)
    assert ended == 2
    assert err.startswith("error: plugin a-plugin could not add its commands: ")
    assert err.endswith("; see `genlab plugins doctor`\n")
    assert cause in err
    ended, out, _ = said(["plugins", "doctor"], capsys)
    assert ended == 1
    assert cause in out
    assert "Traceback (most recent call last)" in out
    assert said(["doctor"], capsys)[0] == 1


def test_a_plugin_whose_commands_are_broken_keeps_its_parts(site: Site, bars: Path, capsys: Captured) -> None:
    site.add(
        "a-plugin",
        PART
        + "@genlab.hookimpl\ndef genlab_register(register):\n    register('made', Made)\n"
        + "@genlab.hookimpl\ndef genlab_commands(app):\n    raise ValueError\n",
    )
    assert said(["show", str(bars), "encoder=made"], capsys)[0] == 0


ENDS = {
    "fails": ("RuntimeError('in\\nside')", 1, "error: plugin a-plugin, command hello: RuntimeError: in side; "),
    "finds no file": ("FileNotFoundError(2, 'No such', 'x')", 1, "error: plugin a-plugin, command hello: FileN"),
    "names a mistake": ("genlab.GenlabError('no such')", 2, "error: no such\n"),
    "refuses a word": ("typer.BadParameter('not so')", 2, "error: invalid value: not so; see genlab hello "),
    "is done": ("typer.Exit(4)", 4, ""),
    "is given up": ("typer.Abort()", 130, "interrupted\n"),
    "is interrupted": ("KeyboardInterrupt", 130, ""),
    "exits": ("SystemExit(5)", 5, ""),
}  # fmt: skip


@pytest.mark.parametrize(("raised", "code", "says"), ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("called", ["hello", "a-plugin:hello"])
def test_a_command_that_fails_is_told_as_its_plugins(
    raised: str, code: int, says: str, called: str, site: Site, capsys: Captured
) -> None:
    site.add("a-plugin", f"import typer\n{COMMAND.format(name='hello')}        raise {raised}\n")
    ended, _, err = said([called], capsys)
    assert ended == code
    assert err.replace(called, "hello").startswith(says)
    assert bool(err) == bool(says)
    assert err.count("\n") <= 1
    if says.startswith("error: plugin"):
        assert err.endswith("; --debug shows the traceback\n")


def test_a_command_in_a_group_that_fails_shows_its_traceback_if_asked(site: Site, capsys: Captured) -> None:
    site.add(
        "a-plugin",
        """
        import genlab, typer
        group = typer.Typer()
        group.callback()(lambda: None)
        @group.command("in")
        def inside(): raise KeyError("deep")
        @genlab.hookimpl
        def genlab_commands(app):
            app.add_typer(group, name="group")
        """,
    )
    words = "error: plugin a-plugin, command group: KeyError: 'deep'; --debug shows the traceback\n"
    assert said(["group", "in"], capsys) == (1, "", words)
    with pytest.raises(GenlabError, match="command group") as caught:
        main(["group", "in", "--debug"])
    assert isinstance(caught.value.__cause__, KeyError)


def test_genlabs_own_command_cannot_be_taken(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", COMMAND.format(name="ls"))
    assert "PARTS" in said(["ls"], capsys)[1]
    assert said(["--help"], capsys)[1].count("\n  ls ") == 1
    assert said(["a-plugin:ls"], capsys) == (0, "hello you\n", "")


def test_a_command_of_two_plugins_says_how_to_choose(site: Site, capsys: Captured) -> None:
    for dist in ("a-plugin", "b-plugin"):
        site.add(dist, COMMAND.format(name="hello"))
    assert said(["hello"], capsys) == (
        2,
        "",
        "error: command 'hello' is brought by a-plugin, b-plugin; say genlab a-plugin:hello or genlab "
        "b-plugin:hello\n",
    )
    assert said(["b-plugin:hello"], capsys) == (0, "hello you\n", "")
    code, _, err = said(["b-plugin:helo"], capsys)
    assert (code, "no command 'helo'; did you mean 'hello'?" in err) == (2, True)


def test_a_plugin_that_is_left_out_adds_no_command(
    site: Site, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("a-plugin", COMMAND.format(name="hello"))
    assert said(["--no-plugins", "hello"], capsys)[0] == 2
    monkeypatch.setenv("GENLAB_PLUGINS", "genlab-tiny")
    assert "hello" not in said(["--help"], capsys)[1]


def test_help_is_there_at_once_though_a_plugin_with_commands_imports_torch(site: Site) -> None:
    site.add("a-plugin", PART + COMMAND.format(name="hello"))
    code = (
        f"import sys, time\nsys.path.insert(0, {str(site.folder)!r})\n"
        "from genlab.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules, time.process_time())"
    )
    fastest = 9.0
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "hello" in done.stdout
        imported, seconds = done.stdout.split()[-2:]
        assert imported == "False"
        assert time.monotonic() - began < 60
        fastest = min(fastest, float(seconds))
    assert fastest < 0.3
