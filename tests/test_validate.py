"""Everything short of training: what a recipe whose parts do not work together is told, and how soon."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

import genlab
from genlab import DataSource, Decoder, Encoder, Examples, Likelihood, Objective, Prior, Schedule, Terms
from genlab.cli import main
from genlab.errors import GenlabError
from genlab.opening import open_recipe
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.objectives import ELBO
from genlab.plugins import installed
from genlab.rehearsal import Rehearsal, fake_batch, rehearse

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
Captured = pytest.CaptureFixture[str]


def normal(*shape: int, event: int = 1) -> Distribution:
    return Independent(Normal(torch.zeros(shape), torch.ones(shape)), event)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, type], None]:
    """Register parts for one test."""
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    return lambda name, cls: registry.register(name, cls, "tests")


def rehearsed(path: Path, overrides: dict[str, object] | None = None) -> Rehearsal:
    return rehearse(open_recipe(path, overrides), installed().registry)


# -- recipes that are right ------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_ours_is_right_and_no_file_is_read(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path / "nothing"))
    found = rehearsed(recipe)
    assert found.recipe.name == recipe.stem
    assert not found.warnings
    assert not (tmp_path / "nothing").exists()


def test_the_reference_recipe_has_its_published_size() -> None:
    assert rehearsed(ROOT / "recipes" / "mnist_cvae.yaml").parameters == 134_165


def test_it_takes_less_than_five_seconds_with_start_up() -> None:
    start = time.monotonic()
    command = [sys.executable, "-m", "genlab", "validate", *map(str, RECIPES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 5 * len(RECIPES)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["ok"] * len(RECIPES)


@pytest.mark.parametrize(
    "overrides",
    [
        {"train.precision": "bf16"},
        {"train.precision": "fp16"},
        {"train.precision": "tf32"},  # not of the CPU: another device's business
        {"train.runner": "graph"},
        {"train.batch_size": 1},
        {"likelihood": "gaussian"},
        {"objective": {"use": "elbo", "warmup_steps": 10, "free_bits": 0.5}},
        {"schedule": {"use": "plateau", "monitor": "train/kl"}},
        {"optimizer": {"use": "sgd", "momentum": 0.9}},
        {"encoder": "tiny"},
    ],
    ids=str,
)
def test_what_works_is_let_through(overrides: dict[str, object], bars: Path) -> None:
    assert rehearsed(bars, overrides).parameters > 0


def test_random_state_is_left_as_it_was(bars: Path) -> None:
    state = torch.get_rng_state()
    rehearsed(bars)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_made_up_batch_lies_where_the_likelihood_and_the_source_have_it(bars: Path) -> None:
    registry = installed().registry
    from genlab.build import build_data, build_model

    recipe = open_recipe(bars).recipe
    data = build_data(recipe, registry)
    x = fake_batch(build_model(recipe, data.x_shape, registry), data, 64)
    assert x.shape == (64, 1, 4, 4)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    recipe = open_recipe(bars, {"likelihood": {"use": "gaussian", "std": 10.0}}).recipe
    x = fake_batch(build_model(recipe, data.x_shape, registry), data, 64)
    assert (x.min(), x.max()) == (0, 1)  # the data are bytes, whatever the likelihood could make


# -- parts that do not work together ---------------------------------------------------------------------------


class Off(MLPEncoder):
    """Ignores the latent size that it is given."""

    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__(x_shape, 5)


class Unjoined(MLPEncoder):
    """Forgets Independent."""

    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__(x_shape, latent)

    def forward(self, x: Tensor) -> Distribution:
        return Normal(super().forward(x).mean, 1.0)


class NoSample(MLPEncoder):
    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__(x_shape, latent)

    def forward(self, x: Tensor) -> Distribution:
        return Independent(torch.distributions.Bernoulli(logits=super().forward(x).mean), 1)


class Flat(MLPDecoder):
    """Returns what Flatten would, not images."""

    def __init__(self, latent: int, out_shape: tuple[int, ...]) -> None:
        super().__init__(latent, out_shape)

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z).flatten(1)


class TwoPerPixel(Likelihood):
    params = 2

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, h: Tensor) -> Distribution:
        mean, log_std = h.chunk(2, dim=1)
        return Independent(Normal(mean, log_std.exp()), 3)


class OnePerPixel(Decoder):
    """Does not ask which shape is wanted."""

    def __init__(self, latent: int, out_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.net = nn.Linear(latent, 16)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z).view(-1, 1, 4, 4)


class PerPixel(Likelihood):
    """log_prob is of each row, not of the whole image."""

    params = 1

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, h: Tensor) -> Distribution:
        p = Independent(Normal(h, 1.0), 3)
        p.log_prob = lambda x: Normal(h, 1.0).log_prob(x).sum((1, 3))  # type: ignore[method-assign]
        return p


class BadPrior(Prior):
    def __init__(self, latent: int) -> None:
        super().__init__()

    def forward(self) -> Distribution:
        return normal(3)


class BreaksWhenBuilt(Encoder):
    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.size = {}["size"]  # type: ignore[var-annotated]

    def forward(self, x: Tensor) -> Distribution:
        raise NotImplementedError


class Breaks(Decoder):
    def __init__(self, latent: int, out_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.net = nn.Linear(latent + 1, 3)

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z)


class BreaksInTraining(MLPEncoder):
    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__(x_shape, latent)

    def forward(self, x: Tensor) -> Distribution:
        if self.training:
            raise AttributeError("'BreaksInTraining' object has no attribute 'noise'")
        return super().forward(x)


class PerExample(Objective):
    def forward(self, model: genlab.LatentModel, x: Tensor) -> Terms:
        return Terms(-model.p(model.q(x).rsample()).log_prob(x))


class Number(Objective):
    def forward(self, model: genlab.LatentModel, x: Tensor) -> Terms:
        loss = -model.p(model.q(x).rsample()).log_prob(x).mean()
        return Terms(loss, {"nll": loss.item()})  # type: ignore[dict-item]


class JustTheLoss(Objective):
    def forward(self, model: genlab.LatentModel, x: Tensor) -> Terms:
        return -model.p(model.q(x).rsample()).log_prob(x).mean()  # type: ignore[return-value]


class NaN(ELBO):
    def __init__(self) -> None:
        super().__init__()

    def forward(self, model: genlab.LatentModel, x: Tensor) -> Terms:
        return Terms(super().forward(model, x).loss * math.nan)


class LogOfZero(Likelihood):
    params = 1

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, h: Tensor) -> Distribution:
        return Independent(Normal(h, 0 * h.exp(), validate_args=False), 3, validate_args=False)


class RootAtZero(Objective):
    """Its loss is finite, its gradient is not."""

    def forward(self, model: genlab.LatentModel, x: Tensor) -> Terms:
        return Terms((0 * model.q(x).rsample()).abs().sqrt().mean())


class Constant(Objective):
    def forward(self, model: genlab.LatentModel, x: Tensor) -> Terms:
        return Terms(torch.zeros(()))


class Source(DataSource):
    x_shape: Any = (1, 4, 4)

    def split(self, name: str) -> Examples:
        raise AssertionError("no data is read")


class ListShape(Source):
    x_shape: Any = [1, 4, 4]  # noqa: RUF012


class PairOfZero(Source):
    x_shape = (1, 0)


class Flattens(Source):
    def prepare(self, x: Tensor) -> Tensor:
        return (x.float() / 255).flatten(1)


class Doubles(Source):
    def prepare(self, x: Tensor) -> Tensor:
        return x.double()


class Downhill(Schedule):
    def factor(self, step: int, steps: int, history: Any) -> float:
        return 1 - 2 * step / steps


WRONG: list[tuple[type, str, str]] = [
    (Off, "encoder", "encoder Off returns a distribution of batch shape (2,) and event shape (5,); batch (2,) and "
     "event (2,) are expected: the recipe's latent size is 2, which the encoder is given as `latent`"),
    (Unjoined, "encoder", "encoder Unjoined returns a distribution of batch shape (2, 2) and event shape (); "
     "batch (2,) and event (2,) are expected: the recipe's latent size is 2; "
     "torch.distributions.Independent(..., 1) makes an event of the last axes"),
    (NoSample, "encoder", "encoder NoSample returns Independent, which has no rsample; gradients could not reach "
     "its parameters: return one that has, genlab.diagonal_normal(mean, log_var) for example"),
    (BadPrior, "prior", "prior BadPrior returns a distribution of batch shape () and event shape (3,); batch () "
     "and event (2,) are expected: the recipe's latent size is 2, which the prior is given as `latent`"),
    (Flat, "decoder", "decoder Flat returns shape (2, 16), but likelihood BernoulliLikelihood needs (2, 1, 4, "
     "4) (1 per element of x (1, 4, 4)); the decoder is told so, as out_shape (1, 4, 4)"),
    (PerPixel, "likelihood", "likelihood PerPixel: log_prob of x has shape (2, 4); (2,), one number per "
     "example, is expected"),
    (BreaksWhenBuilt, "encoder", "encoder 'odd' cannot be built: KeyError: 'size'"),
    (Breaks, "decoder", "decoder Breaks fails on z of shape (2, 2): RuntimeError: mat1 and mat2 shapes cannot be "
     "multiplied (2x2 and 3x3)"),
    (BreaksInTraining, "encoder", "encoder BreaksInTraining fails on x of shape (2, 1, 4, 4): AttributeError: "
     "'BreaksInTraining' object has no attribute 'noise'"),
    (PerExample, "objective", "objective PerExample: loss is of shape (2,); a 0-dim tensor, the mean over the "
     "batch, is expected: take .mean()"),
    (Number, "objective", "objective Number: nll is a float; a 0-dim tensor, the mean over the batch, is "
     "expected: leave it on the device, without .item()"),
    (JustTheLoss, "objective", "objective JustTheLoss returns Tensor; genlab.Terms(loss, logs) is expected"),
    (NaN, "objective", "objective: the loss: not finite on a batch drawn from the model itself, in evaluation "
     "(loss nan)"),
    (Constant, "objective", "the loss depends on no parameter that can be trained, so there is nothing to train"),
    (ListShape, "data", "data 'odd' has x_shape [1, 4, 4]; a tuple of positive integers is expected, (1, 28, "
     "28) for example"),
    (PairOfZero, "data", "data 'odd' has x_shape (1, 0); a tuple of positive integers is expected, (1, 28, 28) "
     "for example"),
    (Flattens, "data", "data Flattens: prepare() turns a batch of shape (2, 1, 4, 4) into torch.float32 of shape "
     "(2, 16); float32 of shape (2, 1, 4, 4) is expected: the source's x_shape is (1, 4, 4)"),
    (Doubles, "data", "data Doubles: prepare() turns a batch of shape (2, 1, 4, 4) into torch.float64 of shape "
     "(2, 1, 4, 4); float32 of shape (2, 1, 4, 4) is expected: the source's x_shape is (1, 4, 4)"),
    (Downhill, "schedule", "schedule 'odd': the factor on the learning rate at step 51 of 100 is "
     "-0.020000000000000018; a number >= 0 is expected"),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "kind", "message"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_part_that_does_not_fit_is_named_with_what_it_should_be(
    cls: type, kind: str, message: str, bars: Path, register: Callable[[str, type], None]
) -> None:
    register("odd", cls)
    with pytest.raises(GenlabError) as caught:
        rehearsed(bars, {kind: "odd"})
    assert str(caught.value) == f"override {kind}='odd': {message}"


def test_a_decoder_that_ignores_what_the_likelihood_needs(
    bars: Path, register: Callable[[str, type], None]
) -> None:
    register("one_per_pixel", OnePerPixel)
    register("two_per_pixel", TwoPerPixel)
    assert rehearsed(bars, {"decoder": "one_per_pixel"}).parameters
    assert rehearsed(bars, {"likelihood": "two_per_pixel"}).parameters
    with pytest.raises(GenlabError) as caught:
        rehearsed(bars, {"decoder": "one_per_pixel", "likelihood": "two_per_pixel"})
    assert str(caught.value) == (
        "override decoder='one_per_pixel': decoder OnePerPixel returns shape (2, 1, 4, 4), but likelihood "
        "TwoPerPixel needs (2, 2, 4, 4) (2 per element of x (1, 4, 4)); the decoder is told so, as out_shape "
        "(2, 4, 4)"
    )


def test_a_density_that_is_not_finite_is_traced_to_its_part(
    bars: Path, register: Callable[[str, type], None]
) -> None:
    register("log_of_zero", LogOfZero)
    with pytest.raises(
        GenlabError,
        match=r"^override likelihood='log_of_zero': likelihood LogOfZero: log p\(x\|z\): not finite",
    ):
        rehearsed(bars, {"likelihood": "log_of_zero"})


def test_a_gradient_that_is_not_finite_is_found(bars: Path, register: Callable[[str, type], None]) -> None:
    register("root_at_zero", RootAtZero)
    with pytest.raises(
        GenlabError, match=r": the gradient of encoder\.net\.\S+ is not finite .* although the loss is"
    ):
        rehearsed(bars, {"objective": "root_at_zero"})


def test_parameters_that_get_no_gradient_are_a_warning(bars: Path, register: Callable[[str, type], None]) -> None:
    class Spare(MLPEncoder):
        def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
            super().__init__(x_shape, latent)
            self.spare = nn.Linear(3, 4)

    register("spare", Spare)
    found = rehearsed(bars, {"encoder": "spare"})
    assert found.warnings == (
        "no gradient reaches encoder.spare.weight, encoder.spare.bias: the loss does not depend on these "
        "parameters",
    )


def test_a_model_too_large_for_the_machine_is_refused_before_it_takes_the_memory(bars: Path) -> None:
    with pytest.raises(GenlabError) as caught:
        rehearsed(bars, {"decoder.hidden": [3_000_000, 3_000_000]})
    assert str(caught.value).startswith(
        f"{bars}:5:1: the model would have 9,000,060,000,356 parameters, 9,000,060,000,016 of them in its "
        "decoder; a step takes 134,111 GiB, and this machine has "
    )


def test_a_part_that_needs_its_memory_to_be_built_is_no_mistake(
    bars: Path, register: Callable[[str, type], None]
) -> None:
    class Looks(MLPEncoder):
        def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
            super().__init__(x_shape, latent)
            self.norm = float(next(self.parameters()).norm().item())

    register("looks", Looks)
    assert rehearsed(bars, {"encoder": "looks"}).parameters


def test_a_step_that_ruins_the_parameters_is_found(bars: Path) -> None:
    with pytest.raises(GenlabError, match=r"is not finite after one step; a smaller lr is the usual remedy"):
        rehearsed(bars, {"optimizer": {"use": "sgd", "lr": 1e300}})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train.early_stopping.monitor": "val/los"}, "override train.early_stopping.monitor='val/los': "
         "train.early_stopping.monitor: unknown metric 'val/los'; did you mean 'val/loss'? this objective has "
         "train/loss, train/nll, train/kl, val/loss, val/nll, val/kl"),
        ({"schedule": {"use": "plateau", "monitor": "acc"}}, "override schedule={use: 'plateau', monitor: "
         "'acc'}: schedule.monitor: unknown metric 'acc'; this objective has train/loss, train/nll, train/kl, "
         "val/loss, val/nll, val/kl"),
        ({"optimizer": {"use": "sgd", "nesterov": True}}, "override optimizer={use: 'sgd', nesterov: true}: "
         "optimizer 'sgd' cannot be built: Nesterov momentum requires a momentum and zero dampening"),
    ],
)  # fmt: skip
def test_what_only_shows_when_things_are_built(overrides: dict[str, object], message: str, bars: Path) -> None:
    with pytest.raises(GenlabError) as caught:
        rehearsed(bars, overrides)
    assert str(caught.value) == message


# -- the command -----------------------------------------------------------------------------------------------


def validate(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["validate", *arguments])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_one_line_per_recipe(bars: Path, capsys: Captured) -> None:
    code, out, err = validate([str(bars), str(RECIPES[-1])], capsys)
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.split()[:4] == [str(bars), "ok", "660", "parameters"]
    assert second.split()[:4] == [str(RECIPES[-1]), "ok", "134,165", "parameters"]


def test_every_wrong_recipe_is_reported_and_the_code_is_2(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    code, out, err = validate(
        ["nope.yaml", str(bars), str(RECIPES[-1]), "data={use: bars, size: 4}", "seed=3"], capsys
    )
    assert code == 2
    assert [line.split()[1] for line in out.splitlines()] == ["wrong", "ok", "ok"]
    assert err.count("error: ") == 1
    assert err.startswith("error: nope.yaml: no such file")
    code, out, err = validate([str(bars), str(RECIPES[-1]), "encoder.hiden=[3]"], capsys)
    assert code == 2
    assert err.count("unknown option") == 2


def test_the_place_is_named_where_parts_do_not_fit(
    bars: Path, register: Callable[[str, type], None], capsys: Captured
) -> None:
    register("flat", Flat)
    bars.write_text(bars.read_text().replace("decoder: {use: mlp, hidden: [16]}", "decoder: flat"))
    code, _, err = validate([str(bars)], capsys)
    assert code == 2
    assert err.startswith(f"error: {bars}:5:1: decoder Flat returns shape")
    assert err.endswith("\n    decoder: flat\n    ^\n")


def test_json_says_the_same(bars: Path, capsys: Captured) -> None:
    code, out, err = validate([str(bars), "nope.yaml", "--json"], capsys)
    assert (code, err) == (2, "")
    right, wrong = json.loads(out)
    assert right["seconds"] < 5
    del right["seconds"]
    assert right == {
        "recipe": str(bars),
        "ok": True,
        "name": "bars",
        "parameters": 660,
        "warnings": [],
        "error": None,
    }
    assert wrong["ok"] is False
    assert wrong["error"].startswith("nope.yaml: no such file")


def test_the_name_of_a_file_cannot_move_the_cursor_or_break_a_line(bars: Path, capsys: Captured) -> None:
    names = ["\x1b[31mred.yaml", "two\nlines.yaml"]
    for name in names:
        bars.with_name(name).write_text(bars.read_text())
    code, out, err = validate([*(str(bars.with_name(name)) for name in names), str(bars)], capsys)
    assert (code, err) == (0, "")
    assert [line.rpartition("/")[2].partition("  ")[0].strip() for line in out.splitlines()] == [
        "\\x1b[31mred.yaml'", "two\\nlines.yaml'", "bars.yaml",
    ]  # fmt: skip
    assert len({line.index("ok") for line in out.splitlines()}) == 1
    assert all(line.isprintable() for line in out.splitlines())


@pytest.mark.parametrize("command", ["validate", "show", "run"])
def test_a_file_whose_name_reads_as_something_else(
    command: str, bars: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bars.parent)
    for name in ("a=b.yaml", "-x.yaml"):
        with pytest.raises(SystemExit):
            main([command, name])
        assert "./" not in capsys.readouterr().err
        Path(name).write_text(bars.read_text())
        with pytest.raises(SystemExit) as ended:
            main([command, name])
        assert f"; for the file write ./{name}" in capsys.readouterr().err
        assert ended.value.code == 2
        assert validate([f"./{name}"], capsys)[0] == 0


def test_no_recipe_at_all(capsys: Captured) -> None:
    code, _, err = validate(["latent=3"], capsys)
    assert (code, err) == (2, "error: at least one recipe is expected (overrides are key=value)\n")


def test_debug_shows_where_a_part_failed(
    bars: Path, register: Callable[[str, type], None], capsys: Captured
) -> None:
    register("breaks", Breaks)
    with pytest.raises(GenlabError) as caught:
        main(["validate", str(bars), "decoder=breaks", "--debug"])
    causes = []
    cause: BaseException | None = caught.value
    while cause is not None:
        causes.append(type(cause).__name__)
        cause = cause.__cause__
    assert causes[-1] == "RuntimeError"
