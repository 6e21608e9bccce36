"""What the shell offers at TAB, asked in the way in which the shells ask."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from genlab import vocabulary
from genlab.catalogue import recipe_files
from genlab.cli import completion
from genlab.opening import installed_recipes
from genlab.vocabulary import Key, Vocabulary
from tests.sites import Site

ROOT = Path(__file__).parent.parent
COMPLETE = "from genlab.cli import main; main()"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bars: Path) -> Path:
    """A folder with recipes, and words that were collected before."""
    folder = tmp_path / "here"
    (folder / "recipes").mkdir(parents=True)
    for name in ("mine.yaml", "recipes/one.yaml", "recipes/two.yml", ".hidden.yaml"):
        (folder / name).write_text(bars.read_text())
    (folder / "notes.txt").write_text("")
    monkeypatch.chdir(folder)
    vocabulary._keep(WORDS)
    return folder


WORDS = Vocabulary(
    key=vocabulary._key(),
    fields={
        "name": Key(),
        "data": Key(members=("bars",)),
        "latent": Key(),
        "encoder": Key(members=("mlp", "conv")),
        "prior": Key("standard_normal", ("standard_normal", "mixture")),
        "train.epochs": Key("20"),
        "train.batch_size": Key("128"),
        "train.precision": Key("fp32", ("fp32", "bf16")),
        "trackers": Key("[]"),
        "seed": Key("0"),
    },
    parts={
        "encoder": {
            "mlp": {"hidden": Key("[256]"), "residual": Key("false", ("true", "false"))},
            "conv": {"kernel": Key("3")},
        },
        "prior": {"standard_normal": {}, "mixture": {"components": Key("8")}},
        "data": {"bars": {"size": Key("8")}},
        "tracker": {"tensorboard": {}},
        "search": {"grid": {}, "optuna": {"sampler": Key("tpe", ("tpe", "random"))}},
    },
    recipes=("shipped_recipe",),
    models=("shipped_model",),
    plots=("all", "losses", "latent"),
    devices=("auto", "cuda:0", "cpu"),
)


STATUS = {"name": "bars", "status": "completed", "pid": 1, "host": "h", "started": "2026-01-01T00:00:00+00:00",
          "best": {"val/nll": 3.0}}  # fmt: skip


def offered(*words: str, torch: bool = False) -> list[str]:
    """What bash is offered for the last of the words."""
    environment = {
        **os.environ,
        "_GENLAB_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(["genlab", *words]),
        "COMP_CWORD": str(len(words)),
    }
    code = COMPLETE if torch else f"import sys; sys.modules['torch'] = None; {COMPLETE}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_options(here: Path) -> None:
    assert offered("va") == ["validate"]
    assert offered("run", "--dev") == ["--device"]
    assert offered("data", "") == ["fetch", "verify"]


def test_recipes_first_then_their_keys(here: Path) -> None:
    assert offered("run", "") == ["mine.yaml", "recipes/one.yaml", "recipes/two.yml", "shipped_recipe"]
    assert offered("run", "recipes/o") == ["recipes/one.yaml"]
    assert offered("run", "sh") == ["shipped_recipe"]
    (here / "own.py").write_text("")
    assert offered("run", "--plugin", "own.py", "mi") == ["mine.yaml"]
    assert {"../bars.yaml", "../here/"} <= set(offered("run", "../"))
    assert offered("show", "mine.yaml", "train.") == [
        "train.epochs=", "train.batch_size=", "train.precision=",
    ]  # fmt: skip


def test_the_options_offered_are_those_of_the_part_that_the_recipe_names(here: Path) -> None:
    assert "encoder.hidden=" in offered("run", "mine.yaml", "encoder.")
    assert "encoder.kernel=" not in offered("run", "mine.yaml", "encoder.")
    assert offered("run", "mine.yaml", "prior.") == ["prior.use=", "prior.use=standard_normal"]


def test_a_key_that_is_the_only_one_comes_with_its_value(here: Path) -> None:
    assert offered("run", "mine.yaml", "train.e") == ["train.epochs=", "train.epochs=2"]  # as written there
    assert offered("run", "mine.yaml", "see") == ["seed=", "seed=0"]  # the default
    assert offered("run", "seed", "=", "3", "") == offered("run", "")  # in bash, `=` parts words


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("mine.yaml", "encoder", "="), ["mlp", "conv"]),
        (("mine.yaml", "encoder", "=", "c"), ["conv"]),
        (("mine.yaml", "encoder.use", "=", ""), ["mlp", "conv"]),
        (("mine.yaml", "encoder.residual", "=", "t"), ["true"]),
        (("mine.yaml", "train.precision", "="), ["fp32", "bf16"]),
        (("train.precision", "=", "b"), ["bf16"]),  # the recipe may come later
        (("mine.yaml", "train.epochs", "="), []),
        (("mine.yaml", "no_key", "="), []),
        (("=",), []),
        (("mine.yaml", "encoder=c"), ["encoder=conv"]),  # as in quotes
    ],
)
def test_after_a_key_its_values_are_offered(words: tuple[str, ...], expected: list[str], here: Path) -> None:
    assert offered("run", *words) == expected
    assert offered("validate", *words) == expected


@pytest.mark.parametrize("line", ["genlab run mine.yaml encoder=", "genlab run encoder="])
def test_the_values_come_with_their_key_where_the_shell_does_not_part_words(line: str, here: Path) -> None:
    assert asked_for("fish", line).split() == ["encoder=mlp", "encoder=conv"]
    assert '"encoder=mlp"\n"encoder=conv"' in asked_for("zsh", line)


def test_a_file_with_an_equals_sign_is_a_recipe_still(here: Path, bars: Path) -> None:
    (here / "a=b.yaml").write_text(bars.read_text())
    assert asked_for("fish", "genlab run ./a=").split() == ["./a=b.yaml"]


def test_kinds_of_which_a_recipe_has_no_part_are_no_keys(here: Path) -> None:
    assert offered("run", "mine.yaml", "sea") == []
    assert offered("run", "mine.yaml", "search.") == []
    assert "trackers=" in offered("run", "mine.yaml", "tr")
    assert offered("run", "mine.yaml", "tracker.") == []


def test_an_installed_recipe_has_the_options_of_its_parts(here: Path) -> None:
    assert "encoder.hidden=" in offered("run", "bars", "encoder.")
    assert "encoder.kernel=" not in offered("run", "bars", "encoder.")


def test_further_recipes_for_validate(here: Path) -> None:
    found = offered("validate", "mine.yaml", "")
    assert "recipes/one.yaml" in found
    assert "mine.yaml" not in found
    assert "latent=" in found


def test_models_runs_plots_devices_and_sources(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = here / "runs" / "bars" / "20260101-000000-abcd"
    run.mkdir(parents=True)
    (run / "status.json").write_text(json.dumps(STATUS))
    broken = here / "runs" / "bars" / "20260101-000001-abcd"
    broken.mkdir()
    (broken / "status.json").write_text("{")
    monkeypatch.setenv("GENLAB_RUNS", str(here / "runs"))
    assert offered("sample", "") == ["bars", "shipped_model"]
    assert offered("show", "") == [*offered("run", ""), "runs/bars/20260101-000000-abcd"]
    assert offered("show", "runs/bars/20260101-000000-abcd", "encoder", "=") == ["mlp", "conv"]
    assert offered("plot", "l") == ["losses", "latent"]
    assert offered("plot", "losses", "b") == ["bars"]
    assert offered("resume", "b") == ["bars"]
    assert offered("resume", "bars", "b") == []
    assert offered("resume", "runs/") == ["runs/bars/20260101-000000-abcd"]
    assert offered("run", "mine.yaml", "--device", "cu") == ["cuda:0"]
    assert offered("run", "mine.yaml", "--precision", "b") == ["bf16"]
    assert offered("data", "fetch", "") == ["bars"]
    assert offered("sweep", "mine.yaml", "--search", "") == ["grid", "optuna"]
    assert offered("sweep", "mine.yaml", "--metric", "") == ["val/loss", "val/nll"]
    assert offered("plugins", "inspect", "genlab-t") == ["genlab-tiny"]


def test_without_the_words_recipes_and_devices_need_no_torch(here: Path) -> None:
    vocabulary._path().unlink()
    assert offered("run", "mi") == ["mine.yaml"]
    assert offered("run", "mnist_c") == ["mnist_cvae"]  # of a plugin, by its text
    assert offered("run", "ba") == ["bars"]
    assert offered("run", "mine.yaml", "--device", "c") == ["cpu"]
    assert offered("run", "mine.yaml", "train.ep") == []  # torch is withheld here: nothing, and no traceback


def test_the_texts_of_plugins_tell_their_recipes(site: Site, tmp_path: Path) -> None:
    hook = "import genlab, os\nfrom pathlib import Path\n@genlab.hookimpl\ndef genlab_recipes():\n    return {}\n"
    (tmp_path / "theirs.yaml").write_text("")
    before = sorted(path.stem for path in recipe_files())
    assert before == [recipe.name for recipe in installed_recipes()]
    site.add("a-plugin", hook.format(repr(str(tmp_path))))
    site.add("b-plugin", hook.format("os.environ['HOME']"))  # which is not plain
    assert sorted(path.stem for path in recipe_files()) == sorted([*before, "theirs"])


def test_the_words_are_collected_once_and_kept(here: Path) -> None:
    path = vocabulary._path()
    path.unlink()
    found = vocabulary.collected()
    assert found == vocabulary.kept()
    assert found.fields["train.epochs"] == Key("20")
    assert found.fields["train.early_stopping.patience"] == Key("2")
    assert found.fields["train.precision"] == Key("fp32", ("fp32", "tf32", "bf16", "fp16"))
    assert found.fields["train.deterministic"] == Key("false", ("true", "false"))
    assert found.fields["optimizer"] == Key("adam", ("adam", "adamw", "sgd"))
    assert found.parts["encoder"]["mlp"] == {"hidden": Key("[256]")}
    assert found.parts["encoder"]["flow_posterior"]["base"] == Key(members=found.fields["encoder"].members)
    assert "losses" in found.plots
    assert found.devices[0] == "auto"
    assert "mnist_cvae" in found.models
    before = path.stat().st_mtime_ns
    assert vocabulary.collected() == found
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": 3}', '{"key": "x", "recipes": 3}'])
def test_damaged_words_are_as_none(text: str, here: Path) -> None:
    vocabulary._path().write_text(text)
    assert vocabulary.kept() is None


def test_words_of_another_installation_or_too_old_are_as_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vocabulary.kept() == WORDS
    with monkeypatch.context() as changed:
        changed.setattr(vocabulary, "_key", lambda: "genlab 99")
        assert vocabulary.kept() is None
    old = time.time() - vocabulary.KEPT - 60
    os.utime(vocabulary._path(), (old, old))
    assert vocabulary.kept() is None


def test_nothing_that_fails_shows_at_the_prompt() -> None:
    def fails(ctx: typer.Context, incomplete: str) -> list[str]:
        raise KeyError("x")

    assert completion.quiet(fails)(None, "") == []  # type: ignore[arg-type]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_has_a_script(shell: str) -> None:
    environment = {**os.environ, "_GENLAB_COMPLETE": f"source_{shell}"}
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE], capture_output=True, text=True, env=environment, check=False
    )
    assert "_GENLAB_COMPLETE" in done.stdout, done.stderr


def asked_for(shell: str, line: str) -> str:
    """What zsh or fish is told of a line."""
    environment = {
        **os.environ,
        "_GENLAB_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_are_offered_the_same(shell: str, here: Path) -> None:
    assert "mine.yaml" in asked_for(shell, "genlab run mi")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "expected"),
    [("genlab run recipes/o", ["recipes/one.yaml"]), ("genlab run mine.yaml encoder =", ["mlp", "conv"])],
)
def test_bash_itself_completes(words: str, expected: list[str], here: Path, tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    command = commands / "genlab"
    command.write_text(f"#!{sys.executable}\n{COMPLETE}\n")
    command.chmod(0o755)
    script = (
        'eval "$(_GENLAB_COMPLETE=source_bash genlab)"\n'
        f"COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}\n"
        "complete -p genlab\n"
        "_genlab_completion genlab; printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        check=True,
    )
    assert done.stdout.splitlines()[1:] == expected


def test_the_answer_comes_at_once(here: Path) -> None:
    told = "atexit.register(lambda: sys.stderr.write(str(time.process_time())))"
    code = f"import atexit, sys, time; {told}; {COMPLETE}"
    environment = {
        **os.environ,
        "_GENLAB_COMPLETE": "complete_bash",
        "COMP_WORDS": "genlab\nrun\nmine.yaml\ntrain.e",
        "COMP_CWORD": "3",
    }
    times = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
        )
        times.append(float(done.stderr))
    assert min(times) < 0.5  # seconds of the processor; a shell on an idle machine waits a quarter of a second
