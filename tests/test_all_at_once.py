"""Several mistakes are told at once, of whatever stage each is, and none that comes only of another."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from genlab import LatentModel, Objective, Schedule, Terms
from genlab.errors import GenlabError, PartErrors, RecipeError
from genlab.opening import open_recipe
from genlab.overrides import overrides_of, parse_overrides
from genlab.parts.bars import Bars
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood
from genlab.parts.objectives import ELBO
from genlab.parts.priors import StandardNormal
from genlab.plugins import installed
from genlab.rehearsal import rehearse
from tests.conftest import BARS


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BARS)


def said(text: str, *overrides: str) -> list[str]:
    """What is said of a recipe, a line for each mistake; each line with its excerpt is checked to have a caret."""
    Path("r.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        open_recipe("r.yaml", parse_overrides(overrides))
    lines = str(caught.value).split("\n")
    carets = [line for line in lines if line.startswith("    ") and line.strip() == "^"]
    assert len(carets) == len([line for line in lines if line.startswith("    ")]) / 2
    return [line for line in lines if not line.startswith("    ")]


def starts(found: list[str], *expected: str) -> bool:
    """Whether there is one line for each beginning, in this order, and no other."""
    return len(found) == len(expected) and all(map(str.startswith, found, expected))


# -- ${...} -----------------------------------------------------------------------------------------------------


def test_every_reference_that_means_nothing_is_told_and_every_other_mistake_too() -> None:
    text = (
        BARS.replace("latent: 2", 'latent: "${env:NOPE1}"')
        .replace("decoder: {use: mlp, hidden: [16]}", 'decoder: {use: mlp, hidden: "${nope.two}"}')
        .replace("{epochs: 2, batch_size: 32}", "{epochs: 0, batch_size: -1}")
    )
    found = said(text)
    assert starts(
        found,
        "r.yaml:3:9: environment variable NOPE1 is not set",
        "r.yaml:5:29: ${nope.two}: no such key is written",
        "r.yaml:7:9: train.epochs: 0 given",
        "r.yaml:7:20: train.batch_size: -1 given",
    ), found


@pytest.mark.parametrize(
    "text",
    [
        BARS.replace("{use: bars, size: 4, examples: 200}", "${nope}"),
        BARS.replace("{use: mlp, hidden: [16]}\ndec", "{use: '${nope}', hidden: x}\ndec"),
        BARS.replace("[16]}\ndec", "[16, '${nope}']}\ndec"),
        BARS.replace("{epochs: 2, batch_size: 32}", "'${nope}'"),
        BARS.replace("{epochs: 2, batch_size: 32}", "{deterministic: true, runner: '${nope}'}"),
        BARS.replace("{epochs: 2, batch_size: 32}", "{max_time: '${nope}m'}"),
        BARS + "optimizer: ${nope}\n",
        BARS + "optimizer: {use: adam, betas: ['${nope}']}\n",
        BARS + "trackers: ${nope}\n",
        BARS + "trackers: ['${nope}']\n",
    ],
)
def test_a_reference_that_means_nothing_is_no_second_mistake(text: str) -> None:
    (found,) = said(text)
    assert "${nope}: no such key is written" in found


def test_what_refers_to_a_mistake_is_none_itself() -> None:
    text = (
        BARS.replace("latent: 2", "latent: ${env:NOPE1}") + 'description: "${latent} ${seed}"\nseed: ${latent}\n'
    )
    (found,) = said(text)
    assert found.startswith("r.yaml:3:9: environment variable NOPE1 is not set")


def test_each_of_several_references_in_one_text_is_told() -> None:
    found = said(BARS + 'description: "${a} ${latent} ${data} ${env:NOPE1}"\n')
    assert starts(
        found,
        "r.yaml:8:14: ${a}: no such key",
        "r.yaml:8:14: '${a} ${latent} ${data} ${env:NOPE1}': {use: 'bars', size: 4, examples: 200} cannot",
        "r.yaml:8:14: environment variable NOPE1 is not set",
    ), found


def test_each_circle_is_told_once() -> None:
    found = said(BARS + "optimizer: {use: adam, lr: '${optimizer.eps}', eps: '${optimizer.lr}'}\nseed: ${seed}\n")
    assert starts(found, "r.yaml:8:28: ${optimizer.eps} refers to itself", "r.yaml:9:7: ${seed} refers to itself")


# -- extends ----------------------------------------------------------------------------------------------------


def test_every_base_that_cannot_be_read_is_told_and_what_is_wrong_whatever_they_hold() -> None:
    found = said("extends: [nope1.yaml, nope2.yaml]\nlatent: -1\nfoo: 2\ntrain: {epoch: 3, epochs: 0}\n")
    assert starts(
        found,
        "r.yaml:1:11: extends: nope1.yaml: no such file",
        "r.yaml:1:23: extends: nope2.yaml: no such file",
        "r.yaml:2:1: latent: -1 given",
        "r.yaml:3:1: foo: unknown option",
        "r.yaml:4:9: train.epoch: unknown option",
        "r.yaml:4:19: train.epochs: 0 given",
    ), found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "encoder: {hidden: x}\n",  # of which part?
        "encoder: {use: mlp}\ntrain: {epochs: null}\nseed: null\nschedule: null\n",
        "latent: ${data.size}\ntrain: {epochs: '${train.batch_size}'}\n",
        "optimizer: {width: 3}\n",
    ],
)
def test_what_a_base_that_cannot_be_read_may_hold_is_not_missed(text: str) -> None:
    found = said(f"extends: nope.yaml\n{text}")
    assert starts(found, "r.yaml:1:10: extends: nope.yaml: no such file"), found


def test_every_entry_that_is_no_recipe_is_told() -> None:
    found = said("extends: [base.yaml, 3, {a: 1}, 'https://x.y/z.yaml']\nlatent: x\n")
    assert starts(
        found,
        "r.yaml:1:22: extends: 3 given",
        "r.yaml:1:25: extends: {a: 1} given",
        "r.yaml:1:33: extends: 'https://x.y/z.yaml': nothing is fetched",
        "r.yaml:2:1: latent: 'x' given",
    ), found


def test_mistakes_in_several_bases_are_told_each_in_its_file() -> None:
    Path("a.yaml").write_text("latent: [2\n")
    Path("b.yaml").write_text("extends: nope.yaml\nseed: !!int 3\ntrain: {epochs: 0}\n")
    Path("c.yaml").write_text("- 1\n")
    found = said("extends: [a.yaml, b.yaml, c.yaml, base.yaml]\nname: 3\n")
    assert starts(
        found,
        "a.yaml:1:9: not YAML",
        "b.yaml:1:10: extends: nope.yaml: no such file",
        "b.yaml:2:7: tag tag:yaml.org,2002:int is not allowed",
        "c.yaml:1:1: the recipe is not a mapping",
        "r.yaml:2:1: name: 3 given",
    ), found


# -- the text ---------------------------------------------------------------------------------------------------


def test_all_that_the_text_shows_is_told_and_what_is_wrong_besides() -> None:
    text = BARS.replace("latent: 2", "latent: 2\nlatent: 3").replace("bernoulli", "!odd bernoulli")
    text = text.replace("{epochs: 2, batch_size: 32}", "{epochs: *none, batch_size: -1, [1]: 2, eval: '\\0'}")
    found = said(text + 'seed: 99999999999999999999\ndescription: "\\0"\nprior: nromal\n')
    assert starts(
        found,
        "r.yaml:4:1: key 'latent' appears twice; first at r.yaml:3:1",
        "r.yaml:7:13: tag !odd is not allowed",
        "r.yaml:8:17: alias *none has no finished value",
        "r.yaml:8:24: train.batch_size: -1 given",
        "r.yaml:8:40: a key must be a word",
        "r.yaml:8:48: train.eval: unknown option",
        "r.yaml:9:7: '99999999999999999999': an integer beyond 64 bits",
        "r.yaml:10:14: character U+0000 is not allowed",
        "r.yaml:11:1: prior: unknown prior 'nromal'",
    ), found


@pytest.mark.parametrize(
    "end", ["seed: [1\n", "seed: 1\n  latent: 3\n", "---\nx: 1\n", "seed: " + "[" * 50 + "\n"]
)
def test_what_was_found_before_the_reading_stops_is_told(end: str) -> None:
    found = said(f"name: !x y\nname: z\n{end}")
    places = [line.split(":")[1] for line in found if "required, but not given" not in line]
    assert places in (["1", "2", "3"], ["1", "2", "4"])


def test_what_a_tag_hides_is_not_missed() -> None:
    assert len(said(BARS.replace("{use: mlp, hidden: [16]}", "!include encoder.yaml"))) == 2
    (found,) = said("!recipe\n" + "".join(BARS.splitlines(keepends=True)[1:]))
    assert found.startswith("r.yaml:1:1: tag !recipe")
    assert len(said(BARS.replace("{use: mlp, hidden: [16]}", "!odd {hidden: x}", 1))) == 1
    assert len(said("base: !x {a: 1}\n" + BARS, "base.b=2")) == 2


# -- overrides --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (("latent=[", "seed=}", "name={a"), ("override 'latent=[': not YAML", "override 'name={a': not YAML",
         "override 'seed=}': not YAML")),
        (("latent=3", "latent=4", "seed=1", "seed=2"), ("override 'latent=4': latent is set twice",
         "override 'seed=2': seed is set twice")),
        (("a..b=1", "latent=!x 2", "seed={a: 1, a: 2}"), ("override 'a..b=1': key=value is expected",
         "override 'latent=!x 2': tag !x is not allowed", "override 'seed={a: 1, a: 2}': key 'a' appears twice")),
    ],
)  # fmt: skip
def test_every_override_that_cannot_be_read_is_told(tokens: tuple[str, ...], expected: tuple[str, ...]) -> None:
    found = said(BARS, *tokens)
    assert starts(found, *expected), found


def test_every_override_that_cannot_be_laid_over_is_told_and_what_is_wrong_besides() -> None:
    found = said(
        BARS.replace("epochs: 2", "epochs: 0"),
        "extends=base.yaml", "latent.size=3", "encoder.hidden=[8]", "encoder=mlp", "train.batch_size=-1",
    )  # fmt: skip
    assert starts(
        found,
        "override 'encoder=mlp': it would undo",
        "override 'extends=base.yaml': extends is read from files only",
        "override 'latent.size=3': size cannot be set in 2",
        "override 'train.batch_size=-1': train.batch_size: -1 given",
        "r.yaml:7:9: train.epochs: 0 given",
    ), found


def test_every_value_from_python_that_a_recipe_cannot_hold_is_told() -> None:
    with pytest.raises(RecipeError) as caught:
        overrides_of({"latent": object(), "a..b": 1, "name": "x\0"})
    assert [line.partition(": ")[0] for line in str(caught.value).split("\n")] == [
        "override 'a..b'", "override latent", "override name='x\\x00'"
    ]  # fmt: skip


# -- parts ------------------------------------------------------------------------------------------------------


class BoomEncoder(MLPEncoder):
    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        raise ValueError("no")


class BoomDecoder(MLPDecoder):
    def __init__(self, latent: int, out_shape: tuple[int, ...]) -> None:
        raise ValueError("no")


class BoomPrior(StandardNormal):
    def __init__(self, latent: int) -> None:
        raise ValueError("no")


class BoomLikelihood(BernoulliLikelihood):
    def __init__(self, x_shape: tuple[int, ...]) -> None:
        raise ValueError("no")


class BoomObjective(ELBO):
    def __init__(self) -> None:
        raise ValueError("no")


class BoomData(Bars):
    def __init__(self) -> None:
        raise ValueError("no")


class OddEncoder(MLPEncoder):
    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__(x_shape, 5)


class OddDecoder(MLPDecoder):
    def __init__(self, latent: int, out_shape: tuple[int, ...]) -> None:
        super().__init__(latent, out_shape)

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z).flatten(1)


class OddPrior(StandardNormal):
    def __init__(self, latent: int) -> None:
        super().__init__(3)


class OddLikelihood(BernoulliLikelihood):
    def forward(self, h: Tensor) -> Distribution:
        return Independent(Normal(h, 1.0), 2)


class OddData(Bars):
    def prepare(self, x: Tensor) -> Tensor:
        return x.double()


class OddObjective(Objective):
    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        return Terms(-model.p(model.q(x).rsample()).log_prob(x))


class OddSchedule(Schedule):
    def factor(self, step: int, steps: int, history: object) -> float:
        return -1.0


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    for cls in (BoomEncoder, BoomDecoder, BoomPrior, BoomLikelihood, BoomObjective, BoomData):
        registry.register("boom", cls, "tests")
    for odd in (OddEncoder, OddDecoder, OddPrior, OddLikelihood, OddData, OddObjective, OddSchedule):
        registry.register("odd", odd, "tests")


def unfit(*overrides: str, text: str = BARS) -> list[str]:
    """What is said of parts that do not work, a line for each."""
    Path("r.yaml").write_text(text)
    with pytest.raises(GenlabError) as caught:
        rehearse(open_recipe("r.yaml", parse_overrides(overrides)), installed().registry)
    return [line for line in str(caught.value).split("\n") if not line.startswith("    ")]


@pytest.mark.usefixtures("odd")
def test_every_part_that_cannot_be_built_is_named() -> None:
    sgd = "optimizer={use: sgd, nesterov: true}"
    found = unfit("encoder=boom", "decoder=boom", "prior=boom", "objective=boom", sgd)
    assert starts(
        found,
        "override 'decoder=boom': decoder 'boom' cannot be built: no",
        "override 'encoder=boom': encoder 'boom' cannot be built: no",
        "override 'objective=boom': objective 'boom' cannot be built: no",
        f"override '{sgd}': optimizer 'sgd' cannot be built: Nesterov",
        "override 'prior=boom': prior 'boom' cannot be built: no",
    ), found
    found = unfit("likelihood=boom", "decoder=boom", "schedule=odd")
    assert [line.partition(":")[0] for line in found] == [
        "override 'decoder=boom'", "override 'likelihood=boom'", "override 'schedule=odd'"
    ]  # fmt: skip
    found = unfit("data=boom", "objective=boom", "encoder=boom")  # an encoder needs the shape of x
    assert [line.partition(":")[0] for line in found] == ["override 'data=boom'", "override 'objective=boom'"]


@pytest.mark.usefixtures("odd")
def test_every_part_that_returns_something_wrong_is_named() -> None:
    found = unfit(
        text=BARS.replace("{use: mlp, hidden: [16]}", "odd").replace("bernoulli", "odd") + "prior: odd\n"
    )
    assert starts(
        found,
        "r.yaml:4:1: encoder OddEncoder returns a distribution of batch shape (2,) and event shape (5,)",
        "r.yaml:5:1: decoder OddDecoder returns shape (2, 16)",
        "r.yaml:6:1: likelihood OddLikelihood returns a distribution of batch shape (2, 1) and event shape (4, 4)",
        "r.yaml:8:1: prior OddPrior returns a distribution of batch shape () and event shape (3,)",
    ), found


@pytest.mark.usefixtures("odd")
def test_a_part_that_fails_does_not_hide_what_comes_after_the_model() -> None:
    sgd = "optimizer={use: sgd, nesterov: true}"
    found = unfit("data=odd", "objective=odd", "schedule=odd", sgd, "encoder=mlp")
    assert starts(
        found,
        "override 'data=odd': data OddData: prepare() turns",
        "override 'objective=odd': objective OddObjective: loss is of shape (2,)",
        f"override '{sgd}': optimizer 'sgd' cannot be built: Nesterov",
        "override 'schedule=odd': schedule 'odd': the factor",
    ), found
    found = unfit("train.early_stopping.monitor=val/x", "schedule={use: plateau, monitor: val/y}", sgd)
    assert starts(
        found,
        f"override '{sgd}': optimizer 'sgd' cannot be built: Nesterov",
        "override 'schedule={use: plateau, monitor: val/y}': schedule.monitor: unknown metric 'val/y'",
        "override 'train.early_stopping.monitor=val/x': train.early_stopping.monitor: unknown metric 'val/x'",
    ), found


@pytest.mark.usefixtures("odd")
def test_a_model_made_by_hand_tells_all_that_does_not_fit() -> None:
    x_shape, parts = (1, 4, 4), (OddEncoder((1, 4, 4), 2), OddDecoder(2, (1, 4, 4)))
    with pytest.raises(PartErrors) as caught:
        LatentModel(*parts, OddPrior(2), BernoulliLikelihood(x_shape), x_shape=x_shape, latent=2)
    assert [getattr(error, "kind", None) for error in caught.value.errors] == ["encoder", "prior", "decoder"]
