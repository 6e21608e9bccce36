"""The JSON Schema of recipes, read by somebody else's validator, says what genlab says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Gt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from genlab import Encoder, GenlabError, Objective
from genlab.cli import main
from genlab.docstrings import option_meanings
from genlab.opening import open_text
from genlab.plugins import installed
from genlab.registry import GIVEN, KINDS, Registry
from genlab.schema import DIALECT, recipe_schema, schema_text
from genlab.source import read_text

ROOT = Path(__file__).parent.parent
RECIPES = sorted(file for file in ROOT.rglob("recipes/*.yaml") if ".venv" not in file.parts)

GOOD = """\
name: bars
description: a few bars
data: {use: bars, size: 4, p: 0.2, examples: 200}
latent: 2
encoder: {use: conv, channels: [8], kernel: 3}
decoder: {use: mlp, hidden: [16, 8]}
likelihood: {use: gaussian, std: 0.5, learn_std: true}
optimizer: {use: adam, lr: 1e-3, betas: [0.9, 0.99]}
schedule: plateau
train: {epochs: 2, max_time: 10m, ema: {decay: 0.9}, early_stopping: {patience: 3}, runner: eager}
checkpoint: {keep: 2, every_steps: null}
trackers: [tensorboard, {use: tensorboard, subfolder: board}]
seed: 1
"""


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    return Draft7Validator(recipe_schema(installed().registry))


def genlab_accepts(text: str, registry: Registry | None = None) -> bool:
    try:
        open_text(text, Path("r.yaml"), registry=registry or installed().registry)
    except GenlabError:
        return False
    return True


def validator_accepts(validator: Draft7Validator, text: str) -> bool:
    """Whether the validator accepts a YAML text; YAML 1.2 applies, as it does to genlab."""
    return bool(validator.is_valid(read_text(text, "r.yaml").plain()))


# -- the schema itself -----------------------------------------------------------------------------------------


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema; the values of ``const``, ``default`` and the like are none."""
    if not isinstance(schema, dict):
        return
    yield schema
    for word in ("additionalProperties", "propertyNames", "additionalItems", "not", "if", "then", "else"):
        yield from subschemas(schema.get(word))
    for word in ("properties", "definitions"):
        for child in schema.get(word, {}).values():
            yield from subschemas(child)
    items = schema.get("items", [])
    for child in [*items] if isinstance(items, list) else [items]:
        yield from subschemas(child)
    for word in ("allOf", "anyOf", "oneOf"):
        for child in schema.get(word, []):
            yield from subschemas(child)


def test_it_is_a_schema_of_draft_7_and_has_no_later_word(validator: Draft7Validator) -> None:
    Draft7Validator.check_schema(validator.schema)
    assert validator.schema["$schema"] == DIALECT == Draft7Validator.META_SCHEMA["$schema"]
    words = {word for schema in subschemas(validator.schema) for word in schema}
    assert words <= set(Draft7Validator.META_SCHEMA["properties"])
    text = json.dumps(validator.schema)
    for later in ("$defs", "prefixItems", "unevaluated", "dependentRequired", "$anchor", "minContains"):
        assert later not in text


def test_every_reference_leads_somewhere_and_stands_alone(validator: Draft7Validator) -> None:
    for schema in subschemas(validator.schema):
        if "$ref" in schema:
            assert schema.keys() == {"$ref"}  # draft 7 reads nothing beside it
            assert schema["$ref"].removeprefix("#/definitions/") in validator.schema["definitions"]


def test_every_installed_part_is_in_it_with_defaults_and_words(validator: Draft7Validator) -> None:
    definitions = validator.schema["definitions"]
    for part in installed().registry.parts():
        if part.kind == "search":  # which no recipe names
            assert f"search.{part.name}" not in definitions
            continue
        described = definitions[f"{part.kind}.{part.name}"]
        assert described["description"] == part.summary.replace("``", "`")
        assert list(described["properties"]) == ["use", *part.option_names]
        for name in part.option_names:
            if part.distribution != "genlab-tiny":  # which explains nothing, to stay the smallest
                assert described["properties"][name].get("description"), f"{part.kind} {part.name}: {name}"
            assert ("default" in described["properties"][name]) == (name in part.defaults)
    assert definitions["optimizer.adam"]["properties"]["lr"]["default"] == 0.001
    assert definitions["data.mnist"]["properties"]["limit"]["description"].startswith("take the first so many")
    for key, entry in validator.schema["else"]["properties"].items():
        assert "description" in entry or entry == {"$ref": "#/definitions/extends"}, key


def test_it_is_the_same_text_every_time() -> None:
    assert schema_text(installed().registry) == schema_text(installed().registry)


def test_the_command_prints_it_or_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["schema"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert json.loads(printed) == recipe_schema(installed().registry)
    assert list(json.loads(printed))[:2] == ["$schema", "title"]
    with pytest.raises(SystemExit):
        main(["schema", "-o", str(tmp_path / "s.json")])
    assert (tmp_path / "s.json").read_text() == printed
    assert "$schema=s.json" in capsys.readouterr().out


# -- right recipes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_recipe_is_valid(file: Path, validator: Draft7Validator) -> None:
    error = best_match(validator.iter_errors(read_text(file.read_text(), file.name).plain()))
    assert error is None, error


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: conv"),
        ("hidden: [16, 8]", "hidden: []"),
        ("max_time: 10m", "max_time: 1h30m"),
        ("max_time: 10m", "max_time: 1.5h"),
        ("max_time: 10m", "max_time: 90"),
        ("max_time: 10m", "max_time: null"),
        ("ema: {decay: 0.9}", "ema: null"),
        ("ema: {decay: 0.9}", "ema: {}"),
        ("runner: eager", "runner: eager, deterministic: true"),
        ("runner: eager", "runner: auto, deterministic: false"),
        ("runner: eager", "deterministic: true"),
        ("keep: 2", "keep: 1000"),
        ("lr: 1e-3", "lr: 1"),
        ("schedule: plateau", "schedule: {use: plateau}"),
        ("seed: 1", "seed: 9223372036854775807"),
        ("name: bars", "name: 'a.b-c_D9'"),
        ("trackers: [tensorboard, {use: tensorboard, subfolder: board}]", "trackers: []"),
        ("description: a few bars\n", ""),
        ("p: 0.2", "seed: -3"),
        ("{use: adam, lr: 1e-3, betas: [0.9, 0.99]}", "{lr: 1e-3, betas: [0.9, 0.99]}"),
        ("{use: adam, lr: 1e-3, betas: [0.9, 0.99]}", "{}"),
        ("schedule: plateau", "schedule: {warmup_steps: 5}"),
        ("schedule: plateau", "schedule: {warmup_steps: '${latent}'}"),
        ("schedule: plateau", "objective: {beta: 2, free_bits: 0.1}\nprior: {}"),
    ],
)
def test_right_recipes(before: str, after: str, validator: Draft7Validator) -> None:
    text = GOOD.replace(before, after, 1)
    assert validator_accepts(validator, text)
    assert genlab_accepts(text)


# -- wrong recipes ---------------------------------------------------------------------------------------------

WRONG = [
    ("latent: 2", "latnet: 2"),
    ("latent: 2\n", ""),
    ("latent: 2", "latent: 0"),
    ("latent: 2", "latent: -1"),
    ("latent: 2", "latent: 2.5"),
    ("latent: 2", "latent: '2'"),
    ("latent: 2", "latent: true"),
    ("latent: 2", "latent: null"),
    ("latent: 2", "latent: [2]"),
    ("latent: 2", "latent: two"),
    ("name: bars\n", ""),
    ("name: bars", "name: 3"),
    ("name: bars", "name: null"),
    ("description: a few bars", "description: 3"),
    ("description: a few bars", "description: null"),
    ("data: {use: bars,", "data: {use: bras,"),
    ("data: {use: bars,", "data: {"),
    ("size: 4", "size: 1"),
    ("size: 4", "siz: 4"),
    ("p: 0.2", "p: 1"),
    ("p: 0.2", "p: 0"),
    ("p: 0.2", "p: x"),
    ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: cnov"),
    ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: 3"),
    ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: [conv]"),
    ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: ''"),
    ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: {}"),
    ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: {use: null}"),
    ("encoder: {use: conv, channels: [8], kernel: 3}", "encoder: null"),
    ("encoder: {use: conv,", "encoder: {use: mlp,"),
    ("encoder: {use: conv,", "encoder: {use: [conv],"),
    ("encoder: {use: conv,", "encoder: {use: conv, options: {},"),
    ("channels: [8]", "channels: []"),
    ("channels: [8]", "channels: [8, 0]"),
    ("channels: [8]", "channels: [8.5]"),
    ("channels: [8]", "channels: 8"),
    ("channels: [8]", "channels: null"),
    ("kernel: 3", "kernel: 1"),
    ("kernel: 3", "kernel: 4"),
    ("hidden: [16, 8]", "hidden: ['16']"),
    ("std: 0.5", "std: 0"),
    ("std: 0.5", "std: true"),
    ("learn_std: true", "learn_std: yes"),
    ("learn_std: true", "learn_std: 1"),
    ("betas: [0.9, 0.99]", "betas: [0.9]"),
    ("betas: [0.9, 0.99]", "betas: [0.9, 0.99, 0.5]"),
    ("betas: [0.9, 0.99]", "betas: [0.9, 1]"),
    ("betas: [0.9, 0.99]", "betas: 0.9"),
    ("lr: 1e-3", "lr: -1e-3"),
    ("lr: 1e-3", "lr: null"),
    ("schedule: plateau", "schedule: {use: plateau, shrink: 1}"),
    ("{use: adam, lr: 1e-3,", "{lr: -1e-3,"),
    ("{use: adam, lr: 1e-3,", "{lr: x,"),
    ("{use: adam, lr: 1e-3,", "{momentum: 0.9,"),
    ("schedule: plateau", "schedule: {patience: 3}"),
    ("schedule: plateau", "schedule: {use: null, warmup_steps: 3}"),
    ("schedule: plateau", "prior: {width: 3}"),
    ("schedule: plateau", "objective: {bta: 2}"),
    ("schedule: plateau", "objective: null"),
    ("epochs: 2", "epochs: 0"),
    ("epochs: 2", "epoch: 2"),
    ("epochs: 2", "epochs: null"),
    ("max_time: 10m", "max_time: ten minutes"),
    ("max_time: 10m", "max_time: 10k"),
    ("max_time: 10m", "max_time: 0s"),
    ("max_time: 10m", "max_time: 0"),
    ("max_time: 10m", "max_time: -1"),
    ("max_time: 10m", 'max_time: "10m\\n"'),
    ("max_time: 10m", "max_time: true"),
    ("max_time: 10m", "precision: fp64"),
    ("max_time: 10m", "data: disk"),
    ("max_time: 10m", "workers: -1"),
    ("max_time: 10m", "clip_norm: 0"),
    ("ema: {decay: 0.9}", "ema: {decay: 1}"),
    ("ema: {decay: 0.9}", "ema: true"),
    ("ema: {decay: 0.9}", "ema: {rate: 0.9}"),
    ("patience: 3", "patience: 0"),
    ("patience: 3", "monitor: 3"),
    ("runner: eager", "runner: fast"),
    ("runner: eager", "runner: auto, deterministic: true"),
    ("runner: eager", "deterministic: 1"),
    ("keep: 2", "keep: 1"),
    ("keep: 2", "keep: null"),
    ("every_steps: null", "every_minutes: 0"),
    ("trackers: [tensorboard, {use: tensorboard, subfolder: board}]", "trackers: tensorboard"),
    ("trackers: [tensorboard, {use: tensorboard, subfolder: board}]", "trackers: {use: tensorboard}"),
    ("trackers: [tensorboard, ", "trackers: [wandb, "),
    ("trackers: [tensorboard, ", "trackers: [3, "),
    ("subfolder: board", "folder: board"),
    ("subfolder: board", "subfolder: 3"),
    ("seed: 1", "seed: -1"),
    ("seed: 1", "seed: 1.5"),
    ("seed: 1", "seed: 1\nsearch: {use: grid}"),
    ("seed: 1", "seed: 1\ndevice: cpu"),
    ("seed: 1", "seed: 1\n1: 2"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), WRONG)
def test_what_genlab_refuses_the_validator_refuses(before: str, after: str, validator: Draft7Validator) -> None:
    assert before in GOOD
    text = GOOD.replace(before, after, 1)
    assert not genlab_accepts(text)
    assert not validator_accepts(validator, text)


@pytest.mark.parametrize("text", ["[]", "3", "words", "~", "{}"])
def test_what_is_no_recipe_at_all(text: str, validator: Draft7Validator) -> None:
    assert not genlab_accepts(text)
    assert not validator_accepts(validator, text)


NAMES = ["''", "a/b", ".hidden", "'a b'", '"a\\n"', "é", "a" * 101, "-a"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_can_be_no_folder(name: str, validator: Draft7Validator) -> None:
    text = GOOD.replace("name: bars", f"name: {name}")
    assert not genlab_accepts(text)
    assert not validator_accepts(validator, text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("latent: 2", "latent: 2.0"),
        ("latent: 2", "latent: 1e1"),
        ("lr: 1e-3", "lr: .inf"),
        ("std: 0.5", "std: .nan"),
    ],
)
def test_what_json_schema_cannot_say(before: str, after: str, validator: Draft7Validator) -> None:
    """The list in the docstring of genlab.schema; whoever shortens it moves the line to WRONG."""
    text = GOOD.replace(before, after)
    assert not genlab_accepts(text)
    assert validator_accepts(validator, text)


@pytest.mark.parametrize(
    "text",
    [GOOD + "seed: 2\n", GOOD + "--- {}\n", GOOD.replace("seed: 1", "seed: !!int 1"), GOOD + f"x: {2**70}\n"],
)
def test_what_only_the_text_shows(text: str) -> None:
    with pytest.raises(GenlabError):
        read_text(text, "r.yaml")
    assert not genlab_accepts(text)


def test_a_validator_names_the_place_and_the_cause(validator: Draft7Validator) -> None:
    """What the user of another validator reads is to the point, although every value has several forms."""

    def said(before: str, after: str) -> str:
        error = best_match(validator.iter_errors(read_text(GOOD.replace(before, after), "r.yaml").plain()))
        return f"{error.json_path}: {error.message}"

    assert said("kernel: 3", "kernle: 3").startswith("$.encoder: Additional properties are not allowed ('kernle'")
    assert said("epochs: 2", "epochs: 0").startswith("$.train.epochs: 0 is ")
    assert said("latent: 2\n", "") == "$: 'latent' is a required property"
    assert said("ema: {decay: 0.9}", "ema: {rate: 1}").startswith("$.train.ema: Additional properties")


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 70_000),
        st.floats(-2, 2, allow_nan=False).filter(lambda x: not x.is_integer()),
        st.sampled_from(
            ["", "conv", "mlp", "bars", "auto", "10m", "0s", "val/loss", "3", "true", "eager", "adam"]
        ),
        st.text(alphabet="abu_ /0", max_size=4),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(st.sampled_from(["use", "hidden", "decay", "keep", "lr", "x"]), children, max_size=3),
    ),
    max_leaves=4,
)
KEYS = [
    "use",
    "hidden",
    "kernel",
    "epochs",
    "runner",
    "deterministic",
    "decay",
    "keep",
    "seed",
    "limit",
    "x",
    "prior",
]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a value, the value's own left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in items:
        yield (*path, step)
        yield from places(child, (*path, step))


@st.composite
def mutated(draw: Callable[..., Any]) -> dict[str, Any]:
    """The good recipe with one to three values replaced, deleted or added."""
    recipe: Any = read_text(GOOD, "r.yaml").plain()
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(recipe))))
        owner = recipe
        for step in path[:-1]:
            owner = owner[step]
        what = draw(st.sampled_from(["replace", "delete", "add"]))
        if what == "replace":
            owner[path[-1]] = draw(values)
        elif what == "delete":
            del owner[path[-1]]
        elif isinstance(owner, dict):
            owner[draw(st.sampled_from(KEYS))] = draw(values)
        else:
            owner.append(draw(values))
    return recipe


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipe=mutated())
def test_both_give_the_same_verdict(validator: Draft7Validator, recipe: dict[str, Any]) -> None:
    text = json.dumps(recipe)
    assert genlab_accepts(text) == validator_accepts(validator, text)


# -- the language: extends and references ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("epochs: 2", "epochs: '${latent}'"),
        GOOD.replace("latent: 2", "latent: '${env:LATENT,3}'"),
        GOOD.replace("name: bars", "name: 'bars_${latent}'"),
        GOOD.replace("use: conv", "use: '${env:ENCODER,conv}'"),
        GOOD.replace("channels: [8]", "channels: ['${latent}', 3]"),
        GOOD.replace("channels: [8]", "channels: '${decoder.hidden}'"),
        GOOD.replace("max_time: 10m", "max_time: '${env:MINUTES,5}m'"),
        GOOD.replace("runner: eager", "runner: '${env:RUNNER,eager}', deterministic: true"),
        GOOD.replace("decoder: {use: mlp, hidden: [16, 8]}", "decoder: '${env:DECODER,mlp}'"),
        "extends: bars",
        "extends: [bars, mnist_cvae]\nlatent: 3",
        "extends: []\n" + GOOD,
        "extends: bars\nencoder: {hidden: [3]}",
        "extends: bars\nencoder: conv\ndecoder: {use: conv, kernel: 5}",
        "extends: bars\ntrain: {epochs: null, early_stopping: null}\nseed: null\noptimizer: null",
        "extends: bars\noptimizer: {lr: null}",
        "extends: mnist_cvae\nencoder: {kernel: null}\ntrain: {early_stopping: {patience: null}}",
        "extends: mnist_cvae\nencoder: {hidden: 8, channels: [4]}",  # a number of conv, a list of mlp
        "extends: bars\nencoder: {}",
        "extends: bars\nencoder: {hidden: ['${latent}', 3]}\noptimizer: {lr: '${env:LR,0.1}', eps: 1e-8}",
        "extends: bars\nlikelihood: {use: '${env:LIKELIHOOD,gaussian}', std: 3}",
        "extends: bars\noptimizer: {lr: 0.1}\nschedule: {warmup_steps: 3}\nobjective: {beta: 2}\nprior: {}",
    ],
)
def test_what_the_language_allows(text: str, validator: Draft7Validator) -> None:
    assert validator_accepts(validator, text)
    assert genlab_accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("epochs: 2", "epochs: 'about ${latent}'"),
        GOOD.replace("epochs: 2", "epochs: '${}'"),
        GOOD.replace("epochs: 2", "epochs: '${latent'"),
        GOOD.replace("epochs: 2", "epochs: '$${latent}'"),
        GOOD.replace("use: conv", "use: '$${latent}'"),
        "extends: 3",
        "extends: null",
        "extends: ''",
        "extends: [3]",
        "extends: ['']",
        "extends: {file: bars}",
        "extends: bars\nlatnet: 2",
        "extends: bars\nlatent: 0",
        "extends: bars\nencoder: {use: conv, kernel: 2}",
        "extends: bars\nencoder: {use: conv, hiden: 2}",
        "extends: bars\nencoder: {use: null}",
        "extends: bars\nencoder: {hidden: abc}",
        "extends: bars\nencoder: {hidden: [0]}",
        "extends: bars\nencoder: {chanels: 3}",
        "extends: bars\noptimizer: {lr: -3}",
        "extends: bars\noptimizer: {lr: x}",
        "extends: bars\ndata: {size: 1}",
        "extends: bars\nprior: {width: 3}",
        "extends: bars\nlikelihood: {options: {}}",
        "extends: bars\ntrain: {epoch: null}",
        "extends: bars\ntrain: {epochs: x}",
        "extends: bars\ntrackers: [null]",
        "extends: bars\ntrackers: [{subfolder: x}]",
        "extends: bars\ntrain: {deterministic: true, runner: auto}",
    ],
)
def test_what_the_language_does_not_allow(text: str, validator: Draft7Validator) -> None:
    assert not genlab_accepts(text)
    assert not validator_accepts(validator, text)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("epochs: 2", "epochs: '${train.epoch}'"),  # no such key
        GOOD.replace("epochs: 2", "epochs: '${name}'"),  # not a number
        "extends: nothing",
        "extends: []\nlatent: 3",
        "extends: bars\nencoder: null",  # nothing is left
        "extends: bars\nencoder: {kernel: 3}",  # of mlp, which has none
    ],
)
def test_what_only_the_recipe_that_comes_of_it_shows(text: str, validator: Draft7Validator) -> None:
    """As the docstring of genlab.schema says."""
    assert not genlab_accepts(text)
    assert validator_accepts(validator, text)


def test_an_editor_completes_the_options_of_whatever_part_is_inherited(validator: Draft7Validator) -> None:
    (inherited,) = (
        case["then"]["properties"]
        for case in validator.schema["definitions"]["extending.optimizer"]["anyOf"][-2]["allOf"]
        if "not" in case["if"]
    )
    parts = installed().registry.parts("optimizer")
    assert set(inherited) == {name for part in parts for name in part.option_names}
    assert inherited["lr"]["description"]
    assert inherited["momentum"]["default"] == 0.0
    assert ("default" in inherited["lr"]) == (len({part.defaults["lr"] for part in parts}) == 1)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("extends: r.yaml\nencoder: {base: {hidden: [3]}}", True),
        ("extends: r.yaml\nencoder: {base: {hidden: abc}}", False),
        ("extends: r.yaml\nencoder: {base: {hiden: [3]}}", False),
        ("extends: r.yaml\nencoder: {layers: [{width: 3}], base: {base: {base: mlp}}}", True),
        ("extends: r.yaml\nencoder: {layers: [{width: x}]}", False),
    ],
)
def test_options_of_inherited_nested_parts(
    text: str, right: bool, wrapped: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inner = "{use: wrapper, base: {use: wrapper, base: mlp}}" if "base: {base" in text else "mlp"
    encoder = f"encoder: {{use: wrapper, base: {inner}}}"
    Path("r.yaml").write_text(GOOD.replace("encoder: {use: conv, channels: [8], kernel: 3}", encoder))
    try:
        open_text(text, Path("child.yaml"), registry=wrapped)
    except GenlabError:
        assert not right
    else:
        assert right
    assert validator_accepts(Draft7Validator(recipe_schema(wrapped)), text) == right


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipe=mutated())
def test_an_editor_finds_no_fault_with_a_recipe_that_genlab_takes(
    validator: Draft7Validator, recipe: dict[str, Any]
) -> None:
    text = json.dumps({"extends": "bars"} | recipe)
    assert validator_accepts(validator, text) or not genlab_accepts(text)


# -- parts of other people's -----------------------------------------------------------------------------------


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("an even number is expected")
    return value


class Layer(BaseModel):
    """One layer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    width: int
    norm: bool = False


class Free(BaseModel):
    """A model that passes over what it does not know."""

    model_config = ConfigDict(strict=True)

    width: int = 3


class Wrapper(Encoder):
    """An encoder around another.

    base: the other one. layers: of ``width`` each.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        latent: int,
        *,
        base: Encoder,
        layers: list[Layer] = [],  # noqa: B006
        even: Annotated[int, AfterValidator(_even), Gt(0)] = 2,
        loss: Annotated[dict[str, float], Field(description="weights by name")] = {},  # noqa: B006
        anything: dict[str, Any] = {},  # noqa: B006
        free: Free | None = None,
        sides: dict[Literal["left", "right"], int] = {},  # noqa: B006
    ) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


@pytest.fixture
def wrapped() -> Registry:
    registry = Registry()
    for part in installed().registry.parts():
        registry.register(part.name, part.cls, part.distribution)
    registry.register("wrapper", Wrapper, "tests")
    return registry


@pytest.mark.parametrize(
    ("encoder", "right"),
    [
        ("{use: wrapper, base: mlp}", True),
        ("{use: wrapper, base: {use: mlp, hidden: [3]}}", True),
        ("{use: wrapper, base: {use: wrapper, base: {use: wrapper, base: mlp}}}", True),
        ("{use: wrapper, base: mlp, layers: [{width: 3}, {width: 3, norm: true}], loss: {a: 1.5, b: 2}}", True),
        ("wrapper", False),
        ("{use: wrapper}", False),
        ("{use: wrapper, base: wrapper}", False),
        ("{use: wrapper, base: nothing}", False),
        ("{use: wrapper, base: bernoulli}", False),
        ("{use: wrapper, base: null}", False),
        ("{use: wrapper, base: {use: mlp, hiden: [3]}}", False),
        ("{use: wrapper, base: {use: wrapper, base: {use: wrapper}}}", False),
        ("{use: wrapper, base: mlp, layers: [{norm: true}]}", False),
        ("{use: wrapper, base: mlp, layers: [{width: 3, x: 3}]}", False),
        ("{use: wrapper, base: mlp, loss: {a: b}}", False),
        ("{use: wrapper, base: mlp, even: 0}", False),
        ("{use: wrapper, base: mlp, anything: {a: [1, x], b: null}, free: {width: 2, more: 3}}", True),
        ("{use: wrapper, base: mlp, free: {width: x}}", False),
        ("{use: wrapper, base: mlp, sides: {left: 1}}", True),
        ("{use: wrapper, base: mlp, sides: {up: 1}}", False),
    ],
)
def test_nested_parts_and_models(encoder: str, right: bool, wrapped: Registry) -> None:
    validator = Draft7Validator(recipe_schema(wrapped))
    Draft7Validator.check_schema(validator.schema)
    text = GOOD.replace("encoder: {use: conv, channels: [8], kernel: 3}", f"encoder: {encoder}")
    assert genlab_accepts(text, wrapped) == right
    assert validator_accepts(validator, text) == right


def test_what_the_author_says_of_an_option_reaches_the_editor(wrapped: Registry) -> None:
    options = recipe_schema(wrapped)["definitions"]["encoder.wrapper"]["properties"]
    assert options["base"]["description"] == "the other one"
    assert options["layers"]["description"] == "of `width` each"
    assert options["loss"]["description"] == "weights by name"
    assert "description" not in options["even"]


def test_a_kind_that_no_recipe_names_is_left_out(wrapped: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seasoning:
        """Goes into no recipe."""

    monkeypatch.setitem(KINDS, "seasoning", Seasoning)
    monkeypatch.setitem(GIVEN, "seasoning", ())
    before = schema_text(wrapped)
    wrapped.register("everywhere", type("Everywhere", (Seasoning,), {"__init__": lambda self: None}), "tests")
    assert schema_text(wrapped) == before
    assert [part.name for part in wrapped.parts("seasoning")] == ["everywhere"]


def test_meanings_are_read_off_docstrings() -> None:
    class Base(Objective):
        """Says nothing.

        depth: of the base.
        """

    class Own(Base):
        """A part: with a colon in its summary, depth: not this one.

        width: of each
        layer, as in width: 3. first, last: the two
            ends. Prose goes on. other: unknown names are prose.

        Another paragraph.
        """

    assert option_meanings(Own, ["width", "first", "last", "depth", "none"]) == {
        "width": "of each layer, as in width: 3",
        "first": "the two ends. Prose goes on. other: unknown names are prose",
        "last": "the two ends. Prose goes on. other: unknown names are prose",
        "depth": "of the base",
    }
