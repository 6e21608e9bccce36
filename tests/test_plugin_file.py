"""Plugins that are one file, named on the command line."""

from __future__ import annotations

import html
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import genlab
from genlab.cli import main
from genlab.errors import PluginError
from genlab.opening import open_recipe
from genlab.plugins import installed
from genlab.selection import select, select_files, selected
from genlab.store import read_config
from tests.sites import COMMAND, REGISTER, forget

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "my_encoder.py"
    path.write_text(REGISTER.format(name="made"))
    yield path
    select()
    forget()


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def trained(file: Path, bars: Path, capsys: Captured) -> Path:
    words = ["run", str(bars), "encoder=made", "train.epochs=1", "-q", "--plugin", str(file)]
    code, out, err = said(words, capsys)
    assert code == 0, err
    return Path(out.strip())


def test_its_parts_can_be_used_by_each_command_that_reads_a_recipe(
    file: Path, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    given = [str(bars), "encoder=made", "--plugin", str(file)]
    assert "use: made" in said(["show", *given], capsys)[1]
    assert " ok " in said(["validate", *given], capsys)[1]
    assert '"const": "made"' in said(["schema", "--plugin", str(file)], capsys)[1]
    assert "made" in said(["ls", "parts", "--plugin", str(file)], capsys)[1]
    assert (
        said(["init", str(tmp_path / "n.yaml"), "--encoder", "made", "-y", "--plugin", str(file)], capsys)[0] == 0
    )
    run = trained(file, bars, capsys)
    for verb in (["eval", str(run)], ["sample", str(run), "-o", str(tmp_path / "s.png")]):
        assert said([*verb, "--plugin", str(file)], capsys)[0] == 0


def test_it_holds_for_one_command_and_may_stand_before_it(file: Path, bars: Path, capsys: Captured) -> None:
    assert said(["--plugin", str(file), "show", str(bars), "encoder=made"], capsys)[0] == 0
    code, _, err = said(["show", str(bars), "encoder=made"], capsys)
    assert (code, "unknown encoder 'made'" in err) == (2, True)


def test_path_and_hash_are_recorded_and_the_command_is_whole(file: Path, bars: Path, capsys: Captured) -> None:
    run = trained(file, bars, capsys)
    environment = json.loads((run / "env.json").read_text())
    (owner,) = [part for part in environment["parts"] if part["kind"] == "encoder"]
    assert owner["file"] == str(file)
    assert owner["distribution"] == "my_encoder.py"
    assert owner["version"].startswith("sha256:")
    assert environment["plugins"]["my_encoder.py"] == owner["version"]
    assert environment["command"].endswith(f"encoder=made train.epochs=1 --plugin {file}")
    (kept,) = [part for part in read_config(run / "model").parts if part.kind == "encoder"]
    assert kept.file == "my_encoder.py"  # a model may be given away; its folders are nobody's business


def test_a_resumed_run_says_what_to_pass_and_goes_on_with_it(file: Path, bars: Path, capsys: Captured) -> None:
    run = trained(file, bars, capsys)
    code, _, err = said(["resume", str(run), "train.epochs=2"], capsys)
    assert code == 2
    assert "made with encoder 'made' of my_encoder.py sha256:" in err
    assert f"which was not passed: pass --plugin {file}\n" in err
    assert said(["resume", str(run), "train.epochs=2", "-q", "--plugin", str(file)], capsys)[0] == 0
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_changed_file_is_a_warning_when_a_run_is_resumed(file: Path, bars: Path, capsys: Captured) -> None:
    run = trained(file, bars, capsys)
    file.write_text(file.read_text() + "# changed\n")
    forget()
    code, _, _ = said(["resume", str(run), "train.epochs=2", "-q", "--plugin", str(file)], capsys)
    assert code == 0
    log = (run / "log.txt").read_text()
    assert "my_encoder.py sha256:" in log
    assert "so the last bits may differ" in log


def test_a_file_that_implements_no_hook_is_an_error_that_speaks_of_files(
    file: Path, bars: Path, capsys: Captured
) -> None:
    file.write_text("x = 1\n")
    code, _, err = said(["validate", str(bars), "--plugin", str(file)], capsys)
    remedy = "decorate a function named genlab_register with @genlab.hookimpl"
    assert (code, err) == (2, f"error: --plugin {file}: it implements no hook; {remedy}\n")


def test_a_file_that_adds_nothing_is_a_warning(file: Path, bars: Path, capsys: Captured) -> None:
    file.write_text("import genlab\n@genlab.hookimpl\ndef genlab_register(register):\n    pass\n")
    code, _, err = said(["validate", str(bars), "--plugin", str(file)], capsys)
    assert (code, err) == (0, f"warning: --plugin {file}: it adds nothing: no part, recipe, model or command\n")
    file.write_text(COMMAND.format(name="hello"))
    forget()
    assert said(["validate", str(bars), "--plugin", str(file)], capsys)[2] == ""


def test_a_part_of_a_file_that_genlab_s_own_hides_is_noted_with_the_way_to_it(
    file: Path, bars: Path, capsys: Captured
) -> None:
    file.write_text(REGISTER.format(name="mlp"))
    code, _, err = said(["validate", str(bars), "encoder=mlp", "--plugin", str(file)], capsys)
    way = "write my_encoder.py:mlp for that of the file"
    assert (code, err) == (0, f"note: --plugin {file}: encoder 'mlp' means genlab's own; {way}\n")
    shown = said(["show", str(bars), "encoder=my_encoder.py:mlp", "--plugin", str(file)], capsys)[1]
    assert "my_encoder.py:mlp" in shown


def test_a_model_says_what_to_pass(file: Path, bars: Path, capsys: Captured) -> None:
    run = trained(file, bars, capsys)
    code, _, err = said(["eval", str(run)], capsys)
    assert (code, "which was not passed: pass --plugin my_encoder.py\n" in err) == (2, True)


def test_nothing_but_the_command_line_makes_genlab_run_a_file(file: Path, bars: Path, capsys: Captured) -> None:
    run = trained(file, bars, capsys)
    witness = file.with_name("ran")
    file.write_text(f"open({str(witness)!r}, 'w')\n" + file.read_text())
    forget()
    for words in (["resume", str(run)], ["eval", str(run)], ["show", str(bars), "encoder=my_encoder.py:made"]):
        assert said(words, capsys)[0] == 2
    assert not witness.exists()


def test_the_trials_of_a_sweep_have_it_and_going_on_asks_for_it(file: Path, bars: Path, capsys: Captured) -> None:
    words = ["sweep", str(bars), "encoder=made", "train.epochs=1", "latent=2,3", "-q", "--plugin", str(file)]
    code, out, err = said(words, capsys)
    assert code == 0, err
    sweep = Path(out.strip())
    assert json.loads((sweep / "summary.json").read_text())
    assert len(list(sweep.glob("trials/*/bars/*/model/model.safetensors"))) == 2
    code, _, err = said(["resume", str(sweep)], capsys)
    assert code == 2
    assert err.endswith(f"begun with a plugin that is one file, which was not passed; add --plugin {file}\n")
    file.write_text(file.read_text() + "# changed\n")
    forget()
    code, _, err = said(["resume", str(sweep), "--plugin", str(file)], capsys)
    assert (code, "change it back, or start another sweep" in err) == (2, True)


def test_a_trial_imports_nothing_from_the_folder_that_the_user_is_in(
    tmp_path: Path, bars: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """As `genlab run` there does not: a plugin may be called json.py."""
    (tmp_path / "json.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.chdir(tmp_path)
    code, _, err = said(["sweep", str(bars), "train.epochs=1", "latent=2,3", "-q"], capsys)
    assert code == 0, err


@pytest.mark.parametrize(
    ("code", "said_of_it"),
    [
        ("import genlab\n\nfoo()\n", "my_encoder.py:3: NameError: name 'foo' is not defined"),
        ("import genlab\nx = (1\n", "my_encoder.py:2: SyntaxError: '(' was never closed"),
        ("import genlab\n", "implements no hook; decorate a function named genlab_register"),
        ("import sys\nsys.exit(3)\n", "my_encoder.py:2: it called sys.exit(3)"),
        ("GENLAB_API = '9.9'\n" + REGISTER, "it was written for API 9.9 of genlab"),
        (REGISTER.format(name="made").replace("width: int = 1", "width=1"), "option 'width' has no annotation"),
    ],
)
def test_what_is_wrong_with_it_is_said_with_its_line(
    code: str, said_of_it: str, file: Path, bars: Path, capsys: Captured
) -> None:
    file.write_text(code)
    ended, _, err = said(["show", str(bars), "--plugin", str(file)], capsys)
    assert ended == 2
    assert err.startswith(f"error: --plugin {file}")
    assert said_of_it in err
    assert err.count("\n") == 1


def test_a_file_that_is_none(file: Path, bars: Path, capsys: Captured) -> None:
    for name, message in {
        "nope.py": "nope.py: cannot be read (No such file or directory)",
        "my_encoder.txt": "my_encoder.txt: a Python file is expected, as in ./my_encoder.py",
        ".": "a Python file is expected, as in ./my_encoder.py; a package is installed instead: pip install",
    }.items():
        code, _, err = said(["show", str(bars), "--plugin", str(file.parent / name)], capsys)
        assert (code, message in err) == (2, True), err


def test_a_pipe_is_refused_and_not_waited_for(file: Path, bars: Path, capsys: Captured) -> None:
    pipe = file.parent / "pipe.py"
    os.mkfifo(pipe)
    code, _, err = said(["show", str(bars), "--plugin", str(pipe)], capsys)
    assert (code, f"--plugin {pipe}: no regular file" in err) == (2, True), err


def test_one_file_spelled_in_two_ways_is_one_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    select_files([Path(file.name), Path("..", file.parent.name, file.name)])
    assert selected().files == (file,)
    installed()


def test_the_doctor_repeats_an_option_as_it_was_given(file: Path, capsys: Captured) -> None:
    assert f"\n--plugin {file}\n" in said(["plugins", "doctor", "--plugin", str(file)], capsys)[1]


def test_two_files_of_one_name(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "my_encoder.py"
    other.parent.mkdir()
    other.write_text(file.read_text())
    select(files=[file, other])
    with pytest.raises(PluginError, match=r"another plugin is called my_encoder\.py too; rename the file"):
        installed()


def test_it_leaves_no_compiled_file_and_edits_count_at_once(file: Path, bars: Path) -> None:
    for width in (3, 4):
        file.write_text(REGISTER.format(name="made").replace("= 1", f"= {width}"))
        forget()
        select(files=[file])
        assert open_recipe(bars, {"encoder": "made"}).recipe.encoder.options == {"width": width}
    assert not list(file.parent.rglob("__pycache__"))
    assert "my_encoder" not in sys.modules


def test_what_is_chosen_reaches_other_processes(file: Path) -> None:
    select(none=True, files=[file])
    assert selected().arguments() == ["--no-plugins", "--plugin", str(file)]


def test_its_commands_can_be_run(file: Path, capsys: Captured) -> None:
    file.write_text(COMMAND.format(name="hello"))
    assert said(["--plugin", str(file), "hello", "--who", "me"], capsys) == (0, "hello me\n", "")
    assert "hello " in said(["--plugin", str(file), "--help"], capsys)[1]


def test_in_python_the_parts_are_there_too(file: Path, bars: Path) -> None:
    select(files=[file])
    run = genlab.run(bars, {"encoder": "made", "train.epochs": 1}, plots=False)
    assert type(run.model.encoder).__name__ == "Made"


def test_what_a_run_and_its_page_say_to_type_next_names_the_file(
    file: Path, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    spaced = tmp_path / "my parts.py"
    file.rename(spaced)
    words = ["run", str(bars), "encoder=made", "train.epochs=1", "--plugin", str(spaced)]
    code, out, err = said(words, capsys)
    assert code == 0, err
    quoted = f"--plugin '{spaced}'"
    assert f"genlab sample bars -n 16 -o samples.png {quoted}\n" in out
    assert "genlab.load(" not in out  # a file is for commands alone
    (run,) = Path(os.environ["GENLAB_RUNS"]).glob("bars/*")
    page = html.unescape((run / "report.html").read_text())
    use, again = page.partition("Use it</h2>")[2].partition("Make it again</h2>")[::2]
    assert use.count(quoted) == 3
    assert "genlab.load(" not in use
    assert re.search(rf"genlab run \S*resolved.yaml {quoted} --device", again)
