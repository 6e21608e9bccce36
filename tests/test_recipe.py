from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import PositiveInt, ValidationError
from torch import Tensor
from torch.distributions import Distribution

import genlab
from genlab.errors import GenlabError, RecipeError
from genlab.opening import open_recipe
from genlab.overrides import parse_overrides
from genlab.parts.encoders import MLPEncoder
from genlab.plugins import installed
from genlab.recipe import PartSpec, Recipe
from genlab.registry import Registry
from genlab.resolving import overridden, recipe_from, resolve
from genlab.source import read_text
from genlab.tree import Json

WRITTEN: dict[str, Json] = {
    "name": "bars", "data": {"use": "bars", "size": 4}, "latent": 2, "encoder": {"use": "mlp", "hidden": [16]},
    "decoder": "mlp", "likelihood": "bernoulli",
}  # fmt: skip

TEXT = """\
name: bars
data: {use: bars, size: 4}
latent: 2
encoder: {use: mlp, hidden: [16]}
decoder: mlp
likelihood: bernoulli
train: {epochs: 2, batch_size: 32}
"""


class Wrapper(genlab.Encoder):
    """An encoder around another."""

    def __init__(
        self, x_shape: tuple[int, ...], latent: int, *, base: genlab.Encoder, mode: Literal["a", "b"] = "a",
        options: int | list[int] = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Distribution:
        q: Distribution = self.base(x)
        return q


class Loose(MLPEncoder):
    """An encoder whose inner encoder has a default."""

    def __init__(
        self, x_shape: tuple[int, ...], latent: int, *,
        base: genlab.Encoder = "mlp", width: PositiveInt | None = None,  # type: ignore[assignment]
    ) -> None:  # fmt: skip
        super().__init__(x_shape, latent)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    registry = installed().registry
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_parts", dict(registry._parts))
        registry.register("wrapper", Wrapper, "tests")
        registry.register("loose", Loose, "tests")
        yield registry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(TEXT)
    return path


def made(changes: Mapping[str, Json], registry: Registry) -> Recipe:
    return recipe_from({**WRITTEN, **changes}, "r", registry=registry)


# -- what a recipe means ---------------------------------------------------------------------------------------


def test_every_default_is_filled_in(file: Path, registry: Registry) -> None:
    recipe = open_recipe(file, registry=registry).recipe
    assert recipe.prior == PartSpec(use="standard_normal")
    assert recipe.objective == PartSpec(use="elbo", options={"beta": 1.0, "warmup_steps": 0, "free_bits": 0.0})
    assert recipe.optimizer.options == {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
    assert recipe.decoder == PartSpec(use="mlp", options={"hidden": [256]})
    assert (recipe.seed, recipe.description, recipe.train.eval_batch_size) == (0, "", 500)
    assert recipe.train.early_stopping is None


def test_the_short_form_means_the_long_one(registry: Registry) -> None:
    assert made({"encoder": "mlp"}, registry) == made({"encoder": {"use": "mlp"}}, registry)


def test_a_recipe_cannot_be_changed(registry: Registry) -> None:
    recipe = made({}, registry)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.latent = 3  # type: ignore[misc]


def test_no_hidden_layer_is_a_choice_and_not_a_default(registry: Registry) -> None:
    assert made({"encoder": {"use": "mlp", "hidden": []}}, registry).encoder.options == {"hidden": []}


def test_a_nested_part_is_resolved_with_its_own_defaults(registry: Registry) -> None:
    recipe = made({"encoder": {"use": "wrapper", "base": {"use": "wrapper", "base": "mlp"}}}, registry)
    inner = {"use": "wrapper", "base": {"use": "mlp", "hidden": [256]}, "mode": "a", "options": 1}
    assert recipe.encoder.options == {"base": inner, "mode": "a", "options": 1}
    assert made(recipe.written(), registry) == recipe


def test_a_nested_part_may_have_a_default(registry: Registry) -> None:
    recipe = made({"encoder": "loose"}, registry)
    assert recipe.encoder.options == {"base": {"use": "mlp", "hidden": [256]}, "width": None}


def test_an_option_called_options_is_an_option_like_any_other(registry: Registry) -> None:
    recipe = made({"encoder": {"use": "wrapper", "base": "mlp", "options": [1, 2]}}, registry)
    assert recipe.encoder.options["options"] == [1, 2]
    assert made(recipe.written(), registry) == recipe


# -- round trip ------------------------------------------------------------------------------------------------


def reread(recipe: Recipe, registry: Registry) -> Recipe:
    return resolve(read_text(recipe.to_yaml(), "resolved.yaml"), registry)


@pytest.mark.parametrize(
    "name", ["1e3", "no", "null", "true", "0o17", "0x1F", "12", "1.5", "y", "2001-01-01", "a.b-c_d"]
)
def test_a_name_that_looks_like_something_else_is_read_back_as_it_was(name: str, registry: Registry) -> None:
    recipe = made({"name": name, "description": name}, registry)
    assert recipe.name == name
    assert reread(recipe, registry) == recipe


@pytest.mark.parametrize(
    "text",
    ["", " ", "~", "a: b", "#x", "&a", "*a", "!t", "%d", "@x", "`x`", "- x", "? x", "<<", "=", "'", '"', "\\n",
     "a\nb", "a\n\n", "\n a", "\t", "---", "...", "|", ">-", "{a}", "[1", ".inf", "-.INF", ".nan", "word " * 60,
     "x" * 400, "é Ω 漢 😀", "12:30:45", "-"],
)  # fmt: skip
def test_a_description_is_read_back_as_it_was(text: str, registry: Registry) -> None:
    assert reread(made({"description": text}, registry), registry).description == text


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80) | st.text("0123456789+-.eE_xobnulTrfa~:# '\"\n", max_size=10))
def test_any_description_is_refused_or_read_back(text: str) -> None:
    registry = installed().registry
    try:
        recipe = made({"description": text}, registry)
    except RecipeError:
        return
    assert reread(recipe, registry) == recipe


@settings(max_examples=60, deadline=None)
@given(
    lr=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    seed=st.integers(0, 2**63 - 1),
    hidden=st.lists(st.integers(1, 10**6), max_size=5),
)
def test_any_numbers_are_read_back_exactly(lr: float, seed: int, hidden: list[int]) -> None:
    registry = installed().registry
    changes: dict[str, Json] = {
        "optimizer": {"use": "adam", "lr": lr, "eps": 1e-7},
        "seed": seed,
        "encoder": {"use": "mlp", "hidden": list(hidden)},
    }
    recipe = made(changes, registry)
    assert recipe.optimizer.options["lr"] == lr
    assert reread(recipe, registry) == recipe


@pytest.mark.parametrize(
    ("number", "text"), [(1e-7, "1.0e-07"), (1.5e-9, "1.5e-09"), (1e300, "1.0e+300"), (1e-3, "0.001")]
)
def test_numbers_are_written_so_that_other_yaml_programs_take_them_for_numbers(
    number: float, text: str, registry: Registry
) -> None:
    recipe = made({"optimizer": {"use": "adam", "lr": number}}, registry)
    assert f" lr: {text}, " in recipe.to_yaml()
    assert reread(recipe, registry) == recipe


def test_the_shipped_recipes_are_valid_and_read_back(registry: Registry) -> None:
    root = Path(__file__).parent.parent
    paths = sorted((root / "recipes").glob("*.yaml"))
    assert paths
    # Those of other plugins are in their packages alone.
    shipped = [*root.glob("genlab/recipes/*"), *root.glob("plugins/genlab-mnist/*/recipes/*")]
    assert {path.name: path.read_text() for path in shipped} == {path.name: path.read_text() for path in paths}
    for path in paths:
        recipe = open_recipe(path, registry=registry).recipe
        assert reread(recipe, registry) == recipe


# -- overrides -------------------------------------------------------------------------------------------------


def with_overrides(file: Path, registry: Registry, *tokens: str) -> Recipe:
    return open_recipe(file, parse_overrides(tokens), registry=registry).recipe


def test_overrides_change_values_of_every_kind(file: Path, registry: Registry) -> None:
    recipe = with_overrides(
        file, registry, "latent=3", "train.epochs=5", "optimizer.lr=1e-2", "decoder.hidden=[8, 4]",
        "train.early_stopping.patience=7", "likelihood=gaussian", "likelihood.std=0.5",
    )  # fmt: skip
    assert (recipe.latent, recipe.train.epochs, recipe.train.batch_size) == (3, 5, 32)
    assert recipe.optimizer.use == "adam"
    assert recipe.optimizer.options["lr"] == 0.01
    assert recipe.decoder == PartSpec(use="mlp", options={"hidden": [8, 4]})
    assert recipe.train.early_stopping is not None
    assert recipe.train.early_stopping.patience == 7
    assert recipe.likelihood.options == {"std": 0.5, "learn_std": False}


def test_an_override_of_a_whole_part_replaces_its_options(file: Path, registry: Registry) -> None:
    assert with_overrides(file, registry, "encoder={use: mlp, hidden: [8]}").encoder.options == {"hidden": [8]}
    assert with_overrides(file, registry, "encoder=mlp").encoder.options == {"hidden": [256]}


def test_an_override_reaches_into_a_nested_part(file: Path, registry: Registry) -> None:
    recipe = with_overrides(file, registry, "encoder={use: wrapper, base: mlp}", "encoder.base.hidden=[3]")
    assert recipe.encoder.options["base"] == {"use": "mlp", "hidden": [3]}


def test_overrides_from_python_are_plain_values(file: Path, registry: Registry) -> None:
    changes = {
        "latent": 3,
        "encoder.hidden": (4, 5),
        "decoder": {"use": "mlp", "hidden": [6]},
        "description": "x: y",
    }
    recipe = open_recipe(file, changes, registry=registry).recipe
    assert (recipe.latent, recipe.encoder.options["hidden"]) == (3, [4, 5])
    assert recipe.decoder.options == {"hidden": [6]}
    assert recipe.description == "x: y"


def test_a_recipe_can_be_overridden_again(registry: Registry) -> None:
    recipe = made({}, registry)
    new = overridden(recipe, {"data.size": 6}, registry=registry)
    assert new.data.options["size"] == 6
    assert recipe.data.options["size"] == 4
    assert overridden(recipe, {}, registry=registry) == recipe


def refused(file: Path, registry: Registry, *tokens: str) -> str:
    with pytest.raises(RecipeError) as caught:
        with_overrides(file, registry, *tokens)
    return str(caught.value).replace(str(file), "r.yaml")


@pytest.mark.parametrize("token", ["x", "=3", "a..b=1", ".a=1", "a.=1", ".=1", ""])
def test_a_malformed_override_is_shown_with_an_example(token: str, file: Path, registry: Registry) -> None:
    message = refused(file, registry, token)
    assert message == f"override {token!r}: key=value is expected, as in train.epochs=3"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["latent=3", "latent=4"], "override 'latent=4': latent is set twice"),
        (["latent="], "override 'latent=': latent: null given; expected: an integer > 0"),
        (["latent.x=3"],
         "override 'latent.x=3': x cannot be set in 2, which is written at r.yaml:3:9; it has nothing inside"),
        (["name.x=3"],
         "override 'name.x=3': x cannot be set in 'bars', which is written at r.yaml:1:7; it has nothing inside"),
        (["encoder.hidden.0=3"], "override 'encoder.hidden.0=3': 0 cannot be set in [16], which is written at "
         "r.yaml:4:29; set the whole list"),
        (["encoder.kernel=5"], "override 'encoder.kernel=5': encoder.kernel: unknown option; allowed: hidden"),
        (["decoder.kernel=5"], "override 'decoder.kernel=5': decoder.kernel: unknown option; allowed: hidden"),
        (["train.epoch=5"],
         "override 'train.epoch=5': train.epoch: unknown option; did you mean 'epochs'? allowed: epochs, "),
        (["encoder={use: mlp, hidden: [0]}"],
         "override 'encoder={use: mlp, hidden: [0]}': encoder.hidden.0: 0 given; expected: an integer > 0"),
        (["encoder.hidden=[8]", "encoder=mlp"],
         "override 'encoder=mlp': it would undo the override of encoder.hidden; put it before that one"),
        (["encoder.use=elp"],
         "override 'encoder.use=elp': encoder: unknown encoder 'elp'; did you mean 'mlp'? installed: "),
        (["name=../x"], "override 'name=../x': name: '../x' given; a name becomes a folder: "),
        (["latent=3\n---\n4"], "override 'latent=3\\n---\\n4': a second document; a recipe is one document"),
        (["latent=\udcff"], "override 'latent=\\udcff': character U+DCFF is not allowed; a recipe is plain text"),
        (["latent=!!int 3"], "override 'latent=!!int 3': tag tag:yaml.org,2002:int is not allowed"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_named(tokens: list[str], message: str, file: Path, registry: Registry) -> None:
    assert refused(file, registry, *tokens).startswith(message)


def test_a_misspelled_override_gets_a_suggestion(file: Path, registry: Registry) -> None:
    message = refused(file, registry, "trian.epochs=3")
    assert message.startswith(
        "override 'trian.epochs=3': trian: unknown option; did you mean 'train'? allowed: extends, name,"
    )


def test_an_override_whose_parent_is_wrong_in_the_file_blames_the_file(file: Path, registry: Registry) -> None:
    assert refused(file, registry, "encoder.use=bad").startswith("override 'encoder.use=bad': ")
    file.write_text(TEXT.replace("hidden: [16]", "hidden: [0]"))
    assert refused(file, registry, "latent=3").split("\n") == [
        "r.yaml:4:30: encoder.hidden.0: 0 given; expected: an integer > 0",
        "    encoder: {use: mlp, hidden: [0]}",
        "                                 ^",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": {1, 2}}, "override latent: set is not a recipe value; pass a number, text or list"),
        ({"a..b": 1}, "override 'a..b': a key is expected, as in 'train.epochs'"),
        ({3: 1}, "override 3: a key is expected, as in 'train.epochs'"),
        ({"latent": 10**5000}, "beyond 64 bits"),
        ({"description": "\ud800"}, r"character U\+D800 is not allowed"),
        ({"latent": 0}, "override latent=0: latent: 0 given; expected: an integer > 0"),
    ],
)
def test_wrong_overrides_from_python_are_named(changes: Any, message: str, file: Path, registry: Registry) -> None:
    with pytest.raises(RecipeError, match=message):
        open_recipe(file, changes, registry=registry)


# -- nothing but errors for people -----------------------------------------------------------------------------

PIECES = [
    "{", "}", "[", "]", ": ", "- ", ", ", "\n", "\t", "  ", "&a ", "*a", "!t ", "'", '"', "|\n", "#", "---\n",
    "? ", "<<: ", "null", "~", "0x", "1e3", ".inf", "\\", "@", "\r", "é", "\ufeff", "😀", "use", "options", "1",
    "-1", "\0", "latent", "mlp", "true", "9" * 25, "%YAML 1.1\n",
]  # fmt: skip


def mended(text: str, edits: list[tuple[float, int, str]]) -> str:
    for where, cut, piece in edits:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + cut :]
    return text


@settings(max_examples=60, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES) | st.text(max_size=3)),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_a_recipe_with_any_slips_is_read_or_refused_in_our_words(edits: list[tuple[float, int, str]]) -> None:
    registry = installed().registry
    try:
        tree = read_text(mended(TEXT, edits), "r.yaml")
        recipe = resolve(tree, registry) if isinstance(tree.value, dict) else None
    except GenlabError as error:
        message = str(error)
        assert all(line.isprintable() for line in message.split("\n"))
        assert not any(
            word in message for word in ("Input should", "type=", "function-", "pydantic", "validation")
        )
        return
    assert recipe is None or reread(recipe, registry) == recipe


@settings(max_examples=60, deadline=None)
@given(
    key=st.sampled_from([*WRITTEN, "train", "seed", "prior", "objective", "optimizer", "nope"]),
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.sampled_from(["mlp", "adam"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["use", "options", "hidden", "lr", "epochs", "x", ""]), inner, max_size=3
            )
        ),
        max_leaves=8,
    ),
)
def test_any_value_anywhere_is_accepted_or_refused(key: str, value: Json) -> None:
    registry = installed().registry
    try:
        recipe = made({key: value}, registry)
    except RecipeError:
        return
    assert reread(recipe, registry) == recipe
