"""Half precision: in the networks only, close to float32, and refused where a device has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent, LogNormal, MultivariateNormal, Normal
from torch.nn import functional as F

import genlab
from genlab.build import build_data, build_model
from genlab.contract import check_probabilities
from genlab.device import _UNKNOWN, Device, resolve
from genlab.errors import DeviceError, PartError
from genlab.interfaces import Encoder, Objective, Terms
from genlab.model import LatentModel
from genlab.opening import open_recipe
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood
from genlab.parts.objectives import ELBO
from genlab.parts.priors import StandardNormal
from genlab.plugins import installed
from genlab.precision import NAMES, in_float32, resolve_precision
from tests.test_distributions import a_model

CPU = resolve("cpu")
HALF = [("bf16", torch.bfloat16), ("fp16", torch.float16)]
RECIPE = Path(__file__).parent.parent / "recipes" / "mnist_cvae.yaml"


def reference_model() -> LatentModel:
    registry = installed().registry
    recipe = open_recipe(RECIPE, registry=registry).recipe
    model = build_model(recipe, build_data(recipe, registry).x_shape, registry)
    CPU.place(model)
    return model


def digits(count: int) -> Tensor:
    import numpy as np

    with np.load(Path(__file__).parent / "data" / "mnist_small.npz") as data:
        return torch.from_numpy(data["train_x"][:count])[:, None].float() / 255


@pytest.mark.parametrize(("name", "dtype"), HALF)
def test_networks_compute_in_half_precision_and_everything_else_in_float32(name: Any, dtype: torch.dtype) -> None:
    seen: dict[str, torch.dtype] = {}
    model = reference_model()
    model.precision = resolve_precision(name, CPU)
    for path, module in model.named_modules():
        if path.startswith(("encoder.", "decoder.")) and not [*module.children()]:
            module.register_forward_hook(lambda m, i, o, path=path: seen.__setitem__(path, o.dtype))
    x = digits(8)
    q = model.q(x)
    z = q.rsample()
    p = model.p(z)
    assert set(seen.values()) == {dtype}, seen
    for value in (q.mean, q.stddev, z, p.mean, p.log_prob(x), q.log_prob(z), model.kl(q, z)):
        assert value.dtype == torch.float32
    terms = ELBO()(model, x)
    assert {terms.loss.dtype, *(value.dtype for value in terms.logs.values())} == {torch.float32}


@pytest.mark.parametrize("op", ["exp", "log", "sum", "logsumexp", "softplus", "binary_cross_entropy_with_logits"])
def test_operations_on_what_the_networks_return_are_float32_even_inside_a_callers_autocast(op: str) -> None:
    """CPU autocast leaves these in the dtype that they are given, so they must be given float32."""
    found: list[torch.dtype] = []

    class Spy(BernoulliLikelihood):
        def forward(self, h: Tensor) -> Distribution:
            result = {
                "exp": lambda: h.exp(),
                "log": lambda: h.abs().log(),
                "sum": lambda: h.sum(),
                "logsumexp": lambda: h.logsumexp(1),
                "softplus": lambda: F.softplus(h),
                "binary_cross_entropy_with_logits": lambda: F.binary_cross_entropy_with_logits(h, h.sigmoid()),
            }[op]()
            weight = torch.ones(h.shape[-1], h.shape[-1])
            found.extend([h.dtype, result.dtype, (h @ weight).dtype])
            return super().forward(h)

    model = LatentModel(
        MLPEncoder((1, 2, 2), 2), MLPDecoder(2, (1, 2, 2)), StandardNormal(2), Spy((1, 2, 2)),
        x_shape=(1, 2, 2), latent=2,
    )  # fmt: skip
    model.precision = resolve_precision("bf16", CPU)
    found.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.p(torch.zeros(3, 2))
    assert found == [torch.float32] * 3


def test_a_plugins_encoder_that_builds_its_distribution_in_half_precision_cannot_escape() -> None:
    class Plain(Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Distribution:
            mean, std = self.net(x.flatten(1)).chunk(2, -1)
            return Independent(Normal(mean, std.exp(), validate_args=False), 1)

    model = LatentModel(
        Plain(), MLPDecoder(2, (1, 2, 2)), StandardNormal(2), BernoulliLikelihood((1, 2, 2)),
        x_shape=(1, 2, 2), latent=2,
    )  # fmt: skip
    model.precision = resolve_precision("bf16", CPU)
    q = model.q(torch.rand(3, 1, 2, 2))
    assert model.encoder.net.weight.dtype == torch.float32
    assert q.rsample().dtype == model.kl(q, q.rsample()).dtype == torch.float32
    q.rsample().sum().backward()
    assert model.encoder.net.weight.grad is not None


@pytest.mark.parametrize(
    "half",
    [
        Normal(torch.zeros(2).bfloat16(), torch.ones(2).bfloat16(), validate_args=False),
        Independent(Bernoulli(logits=torch.zeros(2).bfloat16(), validate_args=False), 1),
    ],
    ids=["Normal", "Bernoulli"],
)
def test_half_precision_parameters_are_replaced(half: Distribution) -> None:
    found = in_float32(half)
    assert found.sample().dtype == torch.float32
    assert found.mean.tolist() == pytest.approx(half.mean.float().tolist(), rel=1e-2)


def test_a_part_whose_probabilities_stay_in_half_precision_is_named_before_training() -> None:
    class Hidden(MLPEncoder):
        def forward(self, x: Tensor) -> Distribution:
            mean, log_std = self.net(x).chunk(2, -1)
            return Independent(LogNormal(mean, log_std.exp(), validate_args=False), 1, validate_args=False)

    model = LatentModel(
        Hidden((1, 2, 2), 2), MLPDecoder(2, (1, 2, 2)), StandardNormal(2), BernoulliLikelihood((1, 2, 2)),
        x_shape=(1, 2, 2), latent=2,
    )  # fmt: skip
    check_probabilities(model, torch.rand(2, 1, 2, 2))
    model.precision = resolve_precision("bf16", CPU)
    with pytest.raises(PartError, match=r"encoder Hidden computes in torch.bfloat16.*call .float\(\)"):
        check_probabilities(model, torch.rand(2, 1, 2, 2))


def test_float32_distributions_are_passed_on_untouched() -> None:
    for q in (Normal(torch.zeros(2), 1.0), MultivariateNormal(torch.zeros(2), torch.eye(2))):
        assert in_float32(q) is q


@pytest.mark.parametrize(("name", "dtype"), HALF)
def test_the_loss_of_a_batch_is_within_half_a_percent_of_float32(name: Any, dtype: torch.dtype) -> None:
    model, x = reference_model(), digits(128)

    def loss() -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return float(ELBO()(model, x).loss)

    exact = loss()
    model.precision = resolve_precision(name, CPU)
    assert loss() == pytest.approx(exact, rel=0.005)
    assert loss() != exact  # it did compute in another precision


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_short_training_ends_within_one_percent_of_float32(name: str, small_mnist: str) -> None:
    def trained(precision: str) -> float:
        parts = {"encoder": {"use": "mlp"}, "decoder": {"use": "mlp"}, "data": {"use": small_mnist}}
        settings = parts | {"train.epochs": 5, "train.precision": precision}
        return genlab.run(RECIPE, settings, plots=False, device="cpu").metrics["val/loss"]

    assert trained(name) == pytest.approx(trained("fp32"), rel=0.01)


def test_an_fp16_step_whose_gradients_overflow_is_withheld_and_the_scale_halved() -> None:
    from genlab.train.step import TrainStep

    class Steep(Objective):
        def forward(self, model: LatentModel, x: Tensor) -> Terms:
            return Terms(ELBO()(model, x).loss * 1e6)

    model = a_model()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = [p.detach().clone() for p in model.parameters()]
    TrainStep(lambda x: Steep()(model, x), optimizer, scaler)([torch.rand(8, 1, 2, 2)])
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert scaler.get_scale() == 2.0**126


def test_a_precision_that_a_device_does_not_have_is_an_error_that_lists_those_it_has() -> None:
    with pytest.raises(DeviceError, match=r"'tf32' is not available on cpu; available: fp32, bf16, fp16"):
        resolve_precision("tf32", CPU)
    unknown = Device(torch.device("privateuseone"), _UNKNOWN)
    with pytest.raises(DeviceError, match=r"available: fp32$"):
        resolve_precision("bf16", unknown)


def test_a_run_records_its_precision(bars: Path) -> None:
    run = genlab.run(bars, {"train.epochs": 1, "train.precision": "bf16"}, plots=False, device="cpu")
    assert '"precision": "bf16"' in (run.directory / "env.json").read_text()
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}


def test_every_precision_has_a_name_that_a_recipe_may_say(bars: Path) -> None:
    for name in NAMES:
        recipe = open_recipe(bars, {"train.precision": name}, registry=installed().registry).recipe
        assert recipe.train.precision == name
    with pytest.raises(genlab.GenlabError, match=r"train\.precision: 'fp8' given"):
        open_recipe(bars, {"train.precision": "fp8"}, registry=installed().registry)
