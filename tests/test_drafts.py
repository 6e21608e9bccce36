"""Recipes to begin with: ``genlab init`` writes one, ``genlab cp`` copies one."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

import genlab.opening
from genlab import Decoder, Encoder
from genlab.cli import main
from genlab.drafts import CHOSEN, Answers, draft
from genlab.errors import PartError
from genlab.opening import open_recipe, open_text
from genlab.placing import SCHEMA_LINE
from genlab.plugins import installed
from genlab.recipe import Recipe
from genlab.registry import Registry
from genlab.schema import recipe_schema, schema_text
from genlab.source import read_text
from genlab.writing import as_yaml

Typed = Callable[..., str]


def registry() -> Registry:
    """What is installed now: other tests forget and find it again."""
    return installed().registry


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    """Run a command; return what it printed, and check that it ended as expected."""

    def run(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.out + said.err

    return run


def recipe(file: str = "recipe.yaml") -> Recipe:
    return open_recipe(file, registry=registry()).recipe


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


# -- drafts ----------------------------------------------------------------------------------------------------


def test_every_combination_that_fits_makes_a_draft_that_both_accept() -> None:
    validator = Draft7Validator(recipe_schema(registry()))
    kinds = [[part.name for part in registry().parts(kind)] for kind in CHOSEN]
    fitting = 0
    for combination in itertools.product(*kinds):
        choices = Answers(name="draft", latent=3, **dict(zip(CHOSEN, combination, strict=True)))
        try:
            text = draft(choices, registry())
        except PartError:
            continue
        fitting += 1
        assert validator.is_valid(read_text(text, "r.yaml").plain()), combination
        read = open_text(text, Path("r.yaml"), registry=registry()).recipe
        assert tuple(read.part(kind).use for kind in CHOSEN) == combination
    assert fitting >= 4 * 2 * 2 * 2  # all of genlab's own and genlab-mnist's fit one another


def test_a_draft_names_every_option_with_its_default_and_meaning() -> None:
    text = draft(Answers(), registry())
    for name in Recipe.model_fields:
        assert re.search(rf"^(# )?{name}:", text, re.MULTILINE), name
    for option in registry().get("data", "bars").option_names:
        assert f"  # {option}: " in text
    assert re.search(r"# size: 8 +# height and width \(an integer >= 2\)", text)
    assert re.search(r"# betas: \[0\.9, 0\.999\] +# decay rates", text)
    assert re.search(r"# eps: 1\.0e-08 ", text)
    assert max(map(len, text.splitlines())) <= 120


def test_the_commented_lines_of_a_draft_are_its_defaults() -> None:
    """Taking the ``# `` away from every key changes nothing: the comments tell the truth."""
    text = draft(Answers(), registry())
    bare = re.sub(r"^( *)# (\w+: )", r"\1\2", text.partition("\n\n")[2], flags=re.MULTILINE)
    assert bare.count("\n") > 40
    with_them, without = (open_text(t, Path("r.yaml"), registry=registry()).recipe for t in (bare, text))
    assert with_them == without


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 1e-8, 0.5, 1e20, "a", "null", "True", "1", "a: b", "", [1, ["x"]], {"use": "a b"}, "é#"],
)
def test_values_are_written_as_yaml_reads_them(value: Any) -> None:
    assert read_text(f"[{as_yaml(value)}]", "v").plain() == [value]


class Crooked(Decoder):
    """A decoder that returns the wrong shape."""

    def __init__(self, latent: int, out_shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, z: Any) -> Any:
        return z


class Around(Encoder):
    """An encoder that needs another and a number."""

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, base: Encoder) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Any) -> Any:
        return self.base(x)


class Needy(Around):
    """An encoder that needs a number.

    depth: how deep.
    """

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, depth: int) -> None:
        super().__init__(x_shape, latent, base=self)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    found = registry()
    monkeypatch.setattr(found, "_parts", dict(found._parts))
    for name, cls in (("crooked", Crooked), ("around", Around), ("needy", Needy)):
        found.register(name, cls, "tests")


@pytest.mark.usefixtures("others")
def test_parts_that_do_not_fit_are_said_before_anything_is_written(typed: Typed) -> None:
    said = typed("init", "--decoder", "crooked", code=2)
    assert "do not fit together (data bars, encoder mlp, decoder crooked, likelihood bernoulli)" in said
    assert "decoder Crooked returns shape (2, 16), but likelihood BernoulliLikelihood needs (2, 1, 8, 8)" in said
    assert not list(Path().iterdir())


def test_a_model_too_large_for_the_machine_is_not_drafted(typed: Typed) -> None:
    said = typed("init", "--latent", "100000000", code=2)
    assert "error: the model would have 77,000,033,344 parameters, 51,400,016,640 of them in its encoder" in said
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("others")
def test_a_part_that_needs_a_part_is_given_one_and_a_part_that_needs_a_number_is_refused(typed: Typed) -> None:
    typed("init", "--encoder", "around")
    assert recipe().encoder.options["base"] == {"use": "mlp", "hidden": [256]}
    said = typed("init", "x.yaml", "--encoder", "needy", code=2)
    assert "encoder 'needy' cannot be drafted: its option 'depth' (how deep) has no default" in said
    assert not Path("x.yaml").exists()


# -- init ------------------------------------------------------------------------------------------------------


def test_init_without_a_terminal_asks_nothing_and_says_what_is_next(typed: Typed) -> None:
    said = typed("init")
    assert "recipe.yaml: written" in said
    assert "recipe.schema.json: written" in said
    assert "genlab run recipe.yaml" in said.splitlines()[-2]
    assert Path("recipe.yaml").read_text().startswith(f"{SCHEMA_LINE}\n")
    assert Path("recipe.schema.json").read_text() == schema_text(registry())
    assert (recipe().name, recipe().latent, recipe().encoder.use) == ("bars_vae", 16, "mlp")


def test_what_init_writes_trains(typed: Typed) -> None:
    typed("init")
    typed("run", "recipe.yaml", "data.examples=100", "train.epochs=1", "--device", "cpu", "-q")


def test_init_takes_answers_as_options(typed: Typed) -> None:
    typed(
        "init", "digits.yaml", "--data", "mnist", "--latent", "4", "--encoder", "conv", "--decoder", "conv",
        "--likelihood", "gaussian",
    )  # fmt: skip
    read = recipe("digits.yaml")
    assert (read.name, read.latent) == ("digits", 4)
    assert [read.part(kind).use for kind in CHOSEN] == ["mnist", "conv", "conv", "gaussian"]
    typed("init", "other.yaml", "--name", "mine")
    assert recipe("other.yaml").name == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder", "mpl"], "unknown encoder 'mpl'; did you mean 'mlp'?"),
        (["--likelihood", "mlp"], "unknown likelihood 'mlp'; installed: bernoulli, gaussian"),
        (["--name", "../x"], "error: --name '../x': a name becomes a folder: up to 100 letters, digits, '_', '-'"),
        (["--name", ""], "error: --name '': a name becomes a folder"),
        (["--latent", "0"], "--latent"),
        (["recipe.json"], "recipe.json: a recipe's name ends in .yaml"),
        (["no/recipe.yaml"], "no/recipe.yaml: there is no folder no; make it first"),
        (["."], ".: a folder; name a file in it"),
    ],
)
def test_wrong_answers_are_refused_and_nothing_is_written(
    arguments: list[str], message: str, typed: Typed
) -> None:
    assert message in typed("init", *arguments, code=2)
    assert not list(Path().iterdir())


def test_what_init_writes_can_be_pasted_into_a_shell(typed: Typed) -> None:
    typed("init", "weird name.yaml", "--data", "genlab:bars")
    assert recipe("weird name.yaml").name == "bars_vae"
    lines = Path("weird name.yaml").read_text().splitlines()
    commands = [shlex.split(line.partition(":")[2]) for line in lines[1:3]]
    assert commands == [
        ["genlab", "run", "weird name.yaml"],
        ["genlab", "run", "weird name.yaml", "latent=8", "train.epochs=5"],
    ]


def test_init_replaces_nothing_unless_it_is_told_to(typed: Typed) -> None:
    Path("recipe.yaml").write_text("mine")
    assert "recipe.yaml: there is such a file already" in typed("init", code=2)
    assert [path.name for path in Path().iterdir()] == ["recipe.yaml"]
    assert Path("recipe.yaml").read_text() == "mine"
    typed("init", "--force")
    assert recipe().name == "bars_vae"


def test_the_schema_beside_a_recipe_is_refreshed(typed: Typed) -> None:
    typed("init", "a.yaml")
    assert "recipe.schema.json: as it should be" in typed("init", "b.yaml")
    Path("recipe.schema.json").write_text(schema_text(registry()).replace('"bars"', '"baz"'))
    assert "recipe.schema.json: refreshed" in typed("init", "c.yaml")
    assert Path("recipe.schema.json").read_text() == schema_text(registry())
    Path("recipe.schema.json").write_text('{"title": "something else"}')
    assert "recipe.schema.json: not a schema that genlab wrote" in typed("init", "d.yaml", code=2)
    assert not Path("d.yaml").exists()


def test_init_in_a_terminal_offers_what_is_installed(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("kmnist\n-1\nabc\n1.5\n5\ncnov\nconv\n\n\n"))
    said = typed("init")
    read = recipe()
    assert (read.name, read.latent) == ("kmnist_vae", 5)
    assert [read.part(kind).use for kind in CHOSEN] == ["kmnist", "conv", "mlp", "bernoulli"]
    for kind in CHOSEN:
        for part in registry().parts(kind):
            summary = re.escape(part.summary.replace("``", "`"))
            assert re.search(rf"^  {part.name} +{summary}$", said, re.MULTILINE)
    for size in ("-1", "abc", "1.5"):
        assert f"{size}: an integer > 0 is expected\n" in said
    assert "Error" not in said
    assert "unknown encoder 'cnov'; did you mean 'conv'?" in said


def test_init_in_a_terminal_asks_only_for_what_is_not_given(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("gaussian\n"))
    said = typed("init", "--data", "bars", "--latent", "3", "--encoder", "mlp", "--decoder", "mlp")
    assert recipe().likelihood.use == "gaussian"
    assert "decoder:" not in said
    monkeypatch.setattr("sys.stdin", Terminal(""))
    typed("init", "x.yaml", "--yes")
    assert recipe("x.yaml").likelihood.use == "bernoulli"


# -- cp --------------------------------------------------------------------------------------------------------

SHIPPED = "# What it is.\n\nname: shipped  # its name\ndata: bars\nlatent: 2\nencoder: mlp\ndecoder: mlp\n" \
    "likelihood: bernoulli\n"  # fmt: skip


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that a plugin ships."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "shipped.yaml").write_text(SHIPPED)
    plugins = dataclasses.replace(installed(), recipe_folders=(("somebody", folder),))
    monkeypatch.setattr(genlab.opening, "installed", lambda: plugins)
    return folder


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("ref", ["shipped", "somebody/shipped", "../shipped/shipped.yaml"])
def test_cp_copies_an_installed_recipe_comments_included(ref: str, typed: Typed) -> None:
    said = typed("cp", ref)
    assert Path("shipped.yaml").read_text() == f"{SCHEMA_LINE}\n{SHIPPED}"
    assert Path("recipe.schema.json").read_text() == schema_text(registry())
    assert "genlab run shipped.yaml" in said
    assert recipe("shipped.yaml").name == "shipped"


@pytest.mark.usefixtures("shipped")
def test_cp_takes_a_file_or_a_folder_and_replaces_nothing(typed: Typed) -> None:
    Path("sub").mkdir()
    typed("cp", "shipped", "sub")
    typed("cp", "shipped", "mine.yaml")
    assert Path("sub/shipped.yaml").read_text() == Path("mine.yaml").read_text()
    Path("mine.yaml").write_text("changed")
    assert "mine.yaml: there is such a file already" in typed("cp", "shipped", "mine.yaml", code=2)
    assert Path("mine.yaml").read_text() == "changed"
    typed("cp", "shipped", "mine.yaml", "--force")
    assert Path("mine.yaml").read_text().endswith(SHIPPED)
    assert "that is the recipe itself" in typed("cp", "mine.yaml", ".", "--force", code=2)
    assert "there is no folder of that name" in typed("cp", "shipped", "nowhere", code=2)


@pytest.mark.usefixtures("shipped")
def test_cp_of_what_is_not_there_names_what_is(typed: Typed) -> None:
    assert "did you mean 'shipped'?" in typed("cp", "shiped", code=2)
    assert "nope.yaml: no such file" in typed("cp", "nope.yaml", code=2)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_schema_line_stands_first_and_once(end: str, typed: Typed) -> None:
    text = f"# About.\n#yaml-language-server: $schema=https://x/y.json\n{SHIPPED}".replace("\n", end)
    Path("a.yaml").write_bytes(text.encode())
    typed("cp", "a.yaml", "b.yaml")
    typed("cp", "b.yaml", "c.yaml")
    expected = f"{SCHEMA_LINE}\n# About.\n{SHIPPED}".replace("\n", end).encode()
    assert Path("b.yaml").read_bytes() == Path("c.yaml").read_bytes() == expected


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_relative_extends_goes_on_meaning_the_same(quote: str, shipped: Path, typed: Typed) -> None:
    base = f"{quote}../base.yaml{quote}"
    (shipped / "child.yaml").write_text(f"extends: [{base}, somebody/shipped, {base}]  # two\nlatent: 3\n")
    typed("cp", "child")
    there = json.dumps(os.path.relpath(shipped.parent / "base.yaml"))
    expected = f"{SCHEMA_LINE}\nextends: [{there}, somebody/shipped, {there}]  # two\nlatent: 3\n"
    assert Path("child.yaml").read_text() == expected
    (shipped / "beside.yaml").write_text("extends: child.yaml\n")
    typed("cp", str(shipped / "beside.yaml"), str(shipped / "again.yaml"))
    assert (shipped / "again.yaml").read_text() == f"{SCHEMA_LINE}\nextends: child.yaml\n"


def test_an_extends_that_cannot_be_carried_over_is_refused(shipped: Path, typed: Typed) -> None:
    (shipped / "child.yaml").write_text('extends: "base\\x2eyaml"\n')
    said = typed("cp", "child", code=2)
    assert "child.yaml:1:10: extends 'base.yaml' is relative to" in said
    assert "write it on one line" in said
    assert not list(Path().iterdir())


def test_a_broken_recipe_is_refused_with_its_place(shipped: Path, typed: Typed) -> None:
    (shipped / "broken.yaml").write_text("a: [\n")
    assert re.search(r"broken.yaml:\d:\d: not YAML", typed("cp", "broken", code=2))
    assert not list(Path().iterdir())
