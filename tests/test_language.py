"""The recipe language: extends, ${...}, null, and where each value came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from genlab.errors import RecipeError
from genlab.interpolation import interpolated
from genlab.mistakes import Mistakes
from genlab.opening import Opened, find_recipe, installed_recipes, open_recipe
from genlab.overrides import overrides_of, parse_overrides
from genlab.plugins import installed
from genlab.recipe import USES
from genlab.resolving import read_resolved
from genlab.source import read_text
from genlab.tree import Json, Mistake, Node, Place, merged, tree_of

SHIPPED = ", ".join(recipe.name for recipe in installed_recipes())  # other plugins may bring more
BASE = """\
name: base
data: {use: bars, size: 4, examples: 200}
latent: 2
encoder: {use: mlp, hidden: [16]}
decoder: {use: mlp, hidden: [16]}
likelihood: bernoulli
train: {epochs: 2, batch_size: 32, early_stopping: {patience: 3}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)


def opened(text: str, *overrides: str, file: str = "child.yaml") -> Opened:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text)
    return open_recipe(file, parse_overrides(overrides))


def refused(text: str, *overrides: str, file: str = "child.yaml") -> str:
    with pytest.raises(RecipeError) as caught:
        opened(text, *overrides, file=file)
    return str(caught.value)


# -- extends ----------------------------------------------------------------------------------------------------


def test_mappings_merge_and_lists_replace() -> None:
    recipe = opened("extends: base.yaml\nname: child\nencoder: {hidden: [8, 8]}\ntrain: {epochs: 5}\n").recipe
    assert recipe.name == "child"
    assert recipe.encoder.written() == {"use": "mlp", "hidden": [8, 8]}
    assert (recipe.train.epochs, recipe.train.batch_size) == (5, 32)
    assert recipe.train.early_stopping is not None
    assert recipe.train.early_stopping.patience == 3


def test_a_part_of_another_name_takes_nothing_from_the_one_it_replaces() -> None:
    for text in ("likelihood: {use: gaussian}", "likelihood: gaussian"):
        recipe = opened(f"extends: base.yaml\n{text}\n", "likelihood.std=0.5").recipe
        assert recipe.likelihood.written() == {"use": "gaussian", "std": 0.5, "learn_std": False}
        back = opened("extends: child.yaml\nlikelihood: {use: bernoulli}\n", file="again.yaml").recipe
        assert back.likelihood.written() == {"use": "bernoulli"}


def test_options_alone_are_added_to_a_part_written_as_its_name() -> None:
    Path("base.yaml").write_text(BASE.replace("encoder: {use: mlp, hidden: [16]}", "encoder: mlp"))
    assert opened("extends: base.yaml\nencoder: {hidden: [3]}\n").recipe.encoder.options == {"hidden": [3]}


def test_several_are_laid_over_one_another_in_their_order() -> None:
    Path("small.yaml").write_text("latent: 3\ntrain: {epochs: 1}\n")
    Path("long.yaml").write_text("train: {epochs: 100}\n")
    recipe = opened("extends: [base.yaml, small.yaml, long.yaml]\nseed: 4\n").recipe
    assert (recipe.latent, recipe.train.epochs, recipe.seed) == (3, 100, 4)


def test_a_file_is_sought_from_the_folder_of_the_one_that_names_it() -> None:
    Path("deep/er").mkdir(parents=True)
    Path("deep/middle.yaml").write_text("extends: ../base.yaml\nlatent: 5\n")
    assert opened("extends: ../middle.yaml\nname: leaf\n", file="deep/er/leaf.yaml").recipe.latent == 5


def test_an_installed_recipe_is_extended_and_run_by_its_name() -> None:
    assert {"bars", "mnist_cvae", "fashion_mnist_cvae"} <= {recipe.name for recipe in installed_recipes()}
    assert opened("extends: mnist_cvae\nname: wide\nlatent: 8\n").recipe.encoder.options["hidden"] == 16
    assert open_recipe("genlab-mnist/mnist_cvae").recipe == open_recipe("mnist_cvae").recipe
    Path("mnist_cvae").mkdir()  # a folder of that name, of plots for example, is no recipe
    assert open_recipe("mnist_cvae").recipe.name == "mnist_cvae"


def test_a_recipe_at_an_absolute_path_may_extend_an_installed_one(tmp_path: Path) -> None:
    Path("child.yaml").write_text("extends: mnist_cvae\nname: mine\n")
    assert open_recipe(tmp_path / "child.yaml").recipe.name == "mine"


def test_overrides_are_laid_over_all() -> None:
    assert opened("extends: base.yaml\nlatent: 3\n", "latent=4", "encoder.hidden=[1]").recipe.latent == 4
    assert "extends is read from files only" in refused(BASE, "extends=base.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "extends: bass.yaml\n",
            "child.yaml:1:10: extends: bass.yaml: no such file; in .: base.yaml, child.yaml\n"
            "    extends: bass.yaml\n"
            "             ^",
        ),
        (
            "extends: mnist_cvea\n",
            "child.yaml:1:10: extends: mnist_cvea: no such file; in .: base.yaml, child.yaml, and no installed "
            f"recipe of that name; did you mean 'mnist_cvae'? installed: {SHIPPED}\n"
            "    extends: mnist_cvea\n"
            "             ^",
        ),
        (
            "latent: 2\nextends: [base.yaml, 3]\n",
            "child.yaml:2:22: extends: 3 given; a recipe file, the name of an installed recipe, or a list of them "
            "is expected\n    extends: [base.yaml, 3]\n                         ^",
        ),
        (
            "extends: child.yaml\n",
            "child.yaml:1:10: extends: it goes round in a circle: child.yaml -> child.yaml\n"
            "    extends: child.yaml\n             ^",
        ),
        ("extends: {a: 1}\n", "child.yaml:1:10: extends: {a: 1} given; a recipe file, the name of an installed "
         "recipe, or a list of them is expected\n    extends: {a: 1}\n             ^"),
    ],
)  # fmt: skip
def test_what_cannot_be_extended_is_said_where_it_is_named(text: str, message: str) -> None:
    assert refused(text) == message


def test_a_circle_of_several_files_is_named_in_full() -> None:
    Path("a.yaml").write_text("extends: b.yaml\n")
    Path("b.yaml").write_text("x: 1\nextends: [base.yaml, a.yaml]\n")
    assert "b.yaml:2:22: extends: it goes round in a circle: a.yaml -> b.yaml -> a.yaml" in refused(
        "extends: b.yaml\n", file="a.yaml"
    )


def test_a_file_that_doubles_at_every_step_is_stopped() -> None:
    for n in range(20):
        Path(f"f{n}.yaml").write_text(f"extends: [f{n + 1}.yaml, f{n + 1}.yaml]\n")
    Path("f20.yaml").write_text(BASE)
    assert "extends: more than 32 files" in refused("extends: f0.yaml\n")


def test_a_mistake_in_an_extended_file_is_reported_there_with_those_of_the_child() -> None:
    Path("base.yaml").write_text(BASE.replace("hidden: [16]", "hidden: [0]", 1))
    assert refused("extends: base.yaml\nlatent: two\n").split("\n") == [
        "base.yaml:4:30: encoder.hidden.0: 0 given; expected: an integer > 0",
        "    encoder: {use: mlp, hidden: [0]}",
        "                                 ^",
        "child.yaml:2:1: latent: 'two' given; expected: an integer > 0",
        "    latent: two",
        "    ^",
    ]


# -- options alone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "child", "override"),
    [
        ("{lr: 0.1}", "", ""),
        ("", "{lr: 0.1}", ""),
        ("{lr: 0.5}", "{use: adam, lr: 0.1}", ""),
        ("{lr: 0.1}", "{use: adam}", ""),
        ("{lr: 0.1}", "", "optimizer.use=adam"),
        ("", "", "optimizer.lr=0.1"),
        ("", "", "optimizer={lr: 0.1}"),
    ],
)
def test_options_alone_are_those_of_the_default_part(base: str, child: str, override: str) -> None:
    Path("base.yaml").write_text(f"{BASE}optimizer: {base}\n" if base else BASE)
    text = "extends: base.yaml\n" + (f"optimizer: {child}\n" if child else "")
    optimizer = opened(text, *filter(None, [override])).recipe.optimizer
    assert (optimizer.use, optimizer.options["lr"], optimizer.options["eps"]) == ("adam", 0.1, 1e-8)


@pytest.mark.parametrize(("kind", "use"), USES.items())
def test_an_empty_section_is_the_default_part(kind: str, use: str) -> None:
    assert opened(f"{BASE}{kind}: {{}}\n").recipe.part(kind).use == use
    assert opened(f"{BASE}{kind}: {{}}\n").origins()[f"{kind}.use"] == "default"


def test_options_alone_go_to_the_part_that_is_inherited() -> None:
    Path("base.yaml").write_text(f"{BASE}optimizer: sgd\n")
    child = "extends: base.yaml\noptimizer: {momentum: 0.9}\n"
    assert opened(child).recipe.optimizer.written()["momentum"] == 0.9
    assert "optimizer.betas: unknown option" in refused("extends: base.yaml\noptimizer: {betas: [0.9, 0.9]}\n")


@pytest.mark.parametrize("override", ["optimizer.use=sgd", "optimizer={use: sgd}", "optimizer=sgd"])
def test_options_of_the_default_part_go_with_it(override: str) -> None:
    text = f"{BASE}optimizer: {{lr: 0.5, eps: 0.1}}\n"
    Path("base.yaml").write_text(text)
    assert opened(text, override).recipe.optimizer.options["lr"] != 0.5
    if override == "optimizer={use: sgd}":
        child = opened("extends: base.yaml\noptimizer: {use: sgd}\n").recipe
        assert child.optimizer == opened(text, override).recipe.optimizer


def test_options_alone_are_checked_as_those_of_the_default_part() -> None:
    for text, overrides in ((f"{BASE}optimizer: {{momentum: 1}}\n", ()), (BASE, ("optimizer.momentum=1",))):
        said = refused(text, *overrides)
        assert "optimizer.momentum: unknown option; allowed: lr, betas, eps" in said


# -- null -------------------------------------------------------------------------------------------------------


def test_null_takes_an_inherited_value_away() -> None:
    text = (
        "extends: base.yaml\nname: child\nencoder: {hidden: null}\ntrain: {early_stopping: null, batch_size: null}"
    )
    recipe = opened(text).recipe
    assert recipe.encoder.options["hidden"] == [256]
    assert (recipe.train.early_stopping, recipe.train.batch_size) == (None, 128)
    recipe = opened(BASE, "train.batch_size=null", "encoder.hidden=null").recipe
    assert (recipe.train.batch_size, recipe.encoder.options) == (128, {"hidden": [256]})


def test_null_stays_null_where_that_is_a_value() -> None:
    Path("base.yaml").write_text(f"{BASE}checkpoint: {{every_epochs: 3}}\n")
    recipe = opened("extends: base.yaml\ncheckpoint: {every_epochs: null}\n").recipe
    assert recipe.checkpoint.every_epochs is None  # and not 1, the default


def test_a_whole_section_and_a_part_with_a_default_can_be_taken_away() -> None:
    Path("base.yaml").write_text(f"{BASE}schedule: cosine\n")
    recipe = opened("extends: base.yaml\nschedule: null\ntrain: null\n").recipe
    assert recipe.schedule.use == "constant"
    assert recipe.train.epochs == 20


@pytest.mark.parametrize("key", ["latent", "encoder"])
def test_what_a_recipe_needs_cannot_be_taken_away(key: str) -> None:
    assert refused(f"extends: base.yaml\n{key}: null\n").startswith(f"child.yaml:2:1: {key}: null given; ")


def test_null_that_takes_nothing_away_is_an_ordinary_mistake() -> None:
    assert "seed: null given; expected: an integer >= 0" in refused("extends: base.yaml\nseed: null\n")


# -- ${...} -----------------------------------------------------------------------------------------------------


def replaced(tree: Node, environ: dict[str, str]) -> Node:
    with Mistakes() as mistakes:
        return interpolated(tree, mistakes, environ)


def plain(text: str, **environ: str) -> Json:
    return replaced(read_text(text, "r.yaml"), environ).plain()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${n}", 3), ("${x.y}", [1.5, "t"]), ("${x.y.0}", 1.5), ("${x}", {"y": [1.5, "t"], "z": True}),
        ("a ${n} b", "a 3 b"), ("${n}${x.z}", "3true"), ("${x.y.0} and ${x.y.1}", "1.5 and t"),
        ("$${n}", "${n}"), ("$${n} is ${n}", "${n} is 3"), ("$n {n}", "$n {n}"), ("'${n}'", 3), ("${far}", 3),
        ("${env:A}", 5), ("${env:B,7}", 7), ("${env:B,a, b}", "a, b"), ("${env:B,}", None), ("x${env:B,}y", "xy"),
        ("${env:C}", "no"), ("v${env:D}", "v007"), ("${env:D}", 7), ("${env:E}", "${n}"),
    ],
)  # fmt: skip
def test_an_interpolation_takes_over_value_and_type(value: str, expected: Json) -> None:
    text = f"n: 3\nfar: ${{near}}\nnear: ${{n}}\nx: {{y: [1.5, t], z: true}}\nv: {value}\n"
    found = plain(text, A="5", C="no", D="007", E="${n}")
    assert isinstance(found, dict)
    assert found["v"] == expected
    assert type(found["v"]) is type(expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${m}", "${m}: no such key is written; a default cannot be referred to, write it out"),
        ("${nonne}", "${nonne}: no such key is written; did you mean 'none'? a default cannot be referred to, "
         "write it out"),
        ("${x.w}", "${x.w}: no such key is written; did you mean 'x.y'? a default cannot be referred to, write it "
         "out"),
        ("${v}", "${v} refers to itself"),
        ("${p}", "${q} refers to itself"),
        ("${", "'${': ${ without }; write $${ for the characters themselves"),
        ("a ${n", "'a ${n': ${ without }; write $${ for the characters themselves"),
        ("${}", "${}: a key, as in ${train.epochs}, or ${env:NAME,default} is expected"),
        ("${n + 1}", "${n + 1}: a key, as in ${train.epochs}, or ${env:NAME,default} is expected"),
        ("${oc.env:A}", "${oc.env:A}: a key, as in ${train.epochs}, or ${env:NAME,default} is expected"),
        ("${env:NOPE}", "environment variable NOPE is not set; set it or give a default: ${env:NOPE,...}"),
        ("is ${x}", "'is ${x}': {y: [1.5, 't']} cannot be written into a text"),
        ("is ${none}", "'is ${none}': null cannot be written into a text"),
        ("${env:BIG}", f"environment variable BIG: '{'9' * 30}': an integer beyond 64 bits; a text of digits "
         "needs quotes"),
        ("${env:ESC}", "character U+001B is not allowed; a recipe is plain text"),
    ],
)  # fmt: skip
def test_an_interpolation_that_means_nothing_is_refused_where_it_stands(value: str, message: str) -> None:
    text = f"n: 3\nnone: null\np: ${{q}}\nq: ${{p}}\nx: {{y: [1.5, t]}}\nv: {value}\n"
    tree = read_text(text if value != "${p}" else text.replace("v: ", "a: "), "r.yaml")
    if value != "${p}":  # the others hold whatever v is
        tree = tree.without("p", "q")
    with pytest.raises(RecipeError) as caught:
        replaced(tree, {"BIG": "9" * 30, "ESC": "\x1b[31m"})
    first, *excerpt = str(caught.value).split("\n")
    assert first.partition(": ")[2] == message
    assert excerpt[1].strip() == "^"


def test_a_few_lines_cannot_become_a_million_values() -> None:
    lines = ["a0: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for n in range(1, 9):
        refs = ", ".join(f"'${{a{n - 1}}}'" for _ in range(10))
        lines.append(f"a{n}: [{refs}]")
    with pytest.raises(RecipeError, match="makes more than 10000 values"):
        plain("\n".join(lines))


def test_a_few_lines_cannot_become_a_gigabyte() -> None:
    long = "x" * 50_000
    for reference in ("'${y}'", "'a ${y}'"):
        with pytest.raises(RecipeError, match="makes more than 200000 characters"):
            plain(f"y: {long}\nv: [{', '.join([reference] * 9)}]")


def test_a_number_of_5000_digits_is_no_key() -> None:
    with pytest.raises(RecipeError, match=r"a key, as in \$\{train.epochs\}"):
        plain(f"v: ${{{'9' * 5000}}}")


def test_a_long_chain_is_refused_and_not_a_crash() -> None:
    chain = "\n".join(f"a{n}: '${{a{n + 1}}}'" for n in range(2000)) + "\na2000: 1\n"
    with pytest.raises(RecipeError, match="nests deeper than 32 levels"):
        plain(chain)


def test_interpolation_comes_after_extending_and_overriding_and_before_validation() -> None:
    Path("base.yaml").write_text(BASE.replace("name: base", 'name: "bars_${latent}"'))
    assert opened("extends: base.yaml\nlatent: 5\n", "latent=7").recipe.name == "bars_7"
    said = refused("extends: base.yaml\ntrain: {epochs: '${name}'}\n")
    assert said == (
        "child.yaml:2:9: train.epochs: 'bars_2' given; expected: an integer > 0 (default 20)\n"
        "    train: {epochs: '${name}'}\n"
        "            ^"
    )


@pytest.mark.parametrize("value", ["5", "null", "a: b", "[x", "1e-3", "plain", "two words", "é", "#", "", "${x}"])
def test_an_override_is_typed_so_that_it_is_read_again(value: str) -> None:
    (override,) = overrides_of({"description": value})
    (again,) = parse_overrides([str(override)])
    assert (again.key, again.node.plain()) == ("description", value)


def test_an_override_may_interpolate() -> None:
    assert opened(BASE, "train.batch_size=${data.size}").recipe.train.batch_size == 4


# -- origins ----------------------------------------------------------------------------------------------------


def test_every_value_has_its_origin() -> None:
    child = (
        "extends: base.yaml\nname: child\nlatent: ${data.size}\nlikelihood: gaussian\nencoder: {hidden: null}\n"
    )
    result = opened(child, "train.epochs=7")
    origins = result.origins()
    assert origins["name"] == "child.yaml:2"
    assert origins["latent"] == "child.yaml:3, ${data.size}"
    assert origins["likelihood.use"] == "child.yaml:4"
    assert origins["likelihood.std"] == "default"
    assert origins["encoder.use"] == "base.yaml:4"
    assert origins["encoder.hidden"] == "default, null at child.yaml:5"
    assert origins["data.size"] == "base.yaml:2"
    assert origins["train.epochs"] == "override 'train.epochs=7'"
    assert origins["train.early_stopping.patience"] == "base.yaml:7"
    assert origins["seed"] == "default"
    assert set(origins) == set(leaves(result.recipe.written()))


def leaves(value: object, path: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{path}.{key}" if path else key)]
    return [path]


def test_the_recipe_with_origins_is_a_recipe() -> None:
    result = opened(BASE, "encoder.hidden=[3, 4]")
    text = result.recipe.to_yaml(result.origins())
    assert "  hidden: [3, 4]" in text
    assert "# override 'encoder.hidden=[3, 4]'\n" in text
    assert opened(text, file="again.yaml").recipe == result.recipe


# -- trees ------------------------------------------------------------------------------------------------------


def test_a_caret_stands_below_the_place() -> None:
    assert str(Mistake(Place("r.yaml", 3, 5, "a: ü 日x: y"), "no")) == "r.yaml:3:5: no\n    a: ü 日x: y\n        ^"
    wide = Mistake(Place("r.yaml", 1, 4, "日本 x"), "no")
    assert str(wide).split("\n")[2] == "    " + " " * 5 + "^"
    cut = str(Mistake(Place("r.yaml", 1, 501, "x" * 500 + "HERE" + "y" * 500), "no")).split("\n")
    assert cut[1][cut[2].index("^") :].startswith("HERE")
    assert len(cut[1]) < 110
    tab = str(Mistake(Place("r.yaml", 1, 3, "a\tb\x1b[31m"), "no")).split("\n")
    assert tab[1:] == ["    a b [31m", "      ^"]


def test_merging_leaves_its_arguments_alone() -> None:
    base, over = tree_of({"a": {"b": 1}}, Place("x")), tree_of({"a": {"c": 2}}, Place("y"))
    assert merged(base, over).plain() == {"a": {"b": 1, "c": 2}}
    assert base.plain() == {"a": {"b": 1}}
    assert merged(base, Node(None, Place("y"))).clears


def test_a_missing_recipe_names_what_there_is() -> None:
    assert {"bars", "fashion_mnist_cvae", "mnist_cvae"} <= set(SHIPPED.split(", "))
    with pytest.raises(RecipeError) as caught:
        find_recipe("mnist_vae")
    assert str(caught.value) == (
        "mnist_vae: no such file; in .: base.yaml, and no installed recipe of that name; did you mean "
        f"'mnist_cvae'? installed: {SHIPPED}"
    )


def test_the_recipes_of_the_documentation_are_recipes() -> None:
    text = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text()
    whole, child, piece = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert opened(whole).recipe.encoder.options["channels"] == [32, 64]
    recipe = opened(child).recipe
    assert (recipe.encoder.options["hidden"], recipe.train.early_stopping) == (128, None)
    recipe = opened(f"extends: base.yaml\n{piece}").recipe
    assert (recipe.name, recipe.train.batch_size, recipe.train.epochs) == ("bars_2", 4, 20)


def test_what_looks_like_an_interpolation_and_is_none_survives_being_written(tmp_path: Path) -> None:
    first = opened(BASE + 'description: "costs $${5} or $$${x}"\n')
    assert first.recipe.description == "costs ${5} or $${x}"
    again = tmp_path / "resolved.yaml"
    again.write_text(first.recipe.to_yaml())
    assert open_recipe(again).recipe == first.recipe  # as `genlab run runs/.../resolved.yaml` reads it
    assert read_resolved(again, registry=installed().registry) == first.recipe  # and `genlab resume`
