"""Parameters as one vector: the same values, the same steps."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import Parameter

from genlab import Terms
from genlab.build import build_optimizer
from genlab.parts.optimizers import SGD, Adam, AdamW
from genlab.plugins import installed
from genlab.registry import Registry
from genlab.resolving import recipe_from
from genlab.train.parameters import ALIGNED, alike, flattened
from genlab.train.step import TrainStep
from tests.test_train import CPU, NO_SCALER
from tests.trainer.training import (
    NOISELESS,
    RECIPE,
    Watch,
    largest_difference,
    nothing,
    run,
    some_parameters,
    twins,
    weights,
)


def test_flattening_keeps_values_shapes_and_memory_layouts() -> None:
    params = some_parameters()
    before = twins(params)
    vector = flattened(params)
    for p, old in zip(params, before, strict=True):
        assert torch.equal(p, old)
        assert p.shape == old.shape
        assert p.untyped_storage().data_ptr() == vector.untyped_storage().data_ptr()
        assert p.data_ptr() % (4 * ALIGNED) == vector.data_ptr() % (4 * ALIGNED)
    assert [p.stride() for p in params[:4]] == [p.stride() for p in before[:4]]
    assert params[2].is_contiguous(memory_format=torch.channels_last)
    assert vector.abs().sum().item() == pytest.approx(sum(p.abs().sum().item() for p in before), rel=1e-6)


def test_no_two_parameters_share_a_piece_of_the_vector() -> None:
    params = some_parameters()
    vector = flattened(params)
    with torch.no_grad():
        vector.zero_()
        for p in params:
            p.add_(1)
    assert all(torch.equal(p, torch.ones_like(p)) for p in params)
    assert vector.sum().item() == sum(p.numel() for p in params)


def test_gradients_arrive_in_the_vector_and_add_up_there() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(72, 3))
    CPU.place(net)
    assert not next(net.parameters()).is_contiguous()
    plain, x = deepcopy(net), torch.randn(2, 4, 5, 5)
    vector = flattened(list(net.parameters()))
    assert vector.grad is not None
    assert not vector.grad.any()
    for times in (1, 2):
        for each in (net, plain):
            each(x).square().sum().backward()
        wanted = [p.grad for p in plain.parameters()]
        for p, gradient in zip(net.parameters(), wanted, strict=True):
            assert p.grad is not None
            assert gradient is not None
            assert p.grad.untyped_storage().data_ptr() == vector.grad.untyped_storage().data_ptr()
            torch.testing.assert_close(p.grad, gradient)
        squares = sum(float(g.square().sum()) for g in wanted if g is not None)
        assert float(vector.grad.square().sum()) == pytest.approx(squares, rel=1e-5), times


STEPPERS: list[tuple[type[Adam] | type[AdamW] | type[SGD], dict[str, object]]] = [
    (Adam, {"weight_decay": 0.1}),
    (AdamW, {"weight_decay": 0.1, "betas": (0.8, 0.9)}),
    (SGD, {}),
    (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
]


def stepped(cls: type, options: Mapping[str, object], fused: bool) -> tuple[list[Parameter], list[Parameter]]:
    """Ten steps of separate parameters, and of the same ones in a vector."""
    separate = some_parameters()
    together = twins(separate)
    apart, one = cls(separate, fused, lr=0.01, **options), cls([flattened(together)], fused, lr=0.01, **options)
    for _ in range(10):
        for p, twin in zip(separate, together, strict=True):
            p.grad = torch.randn_like(p)
            assert twin.grad is not None
            twin.grad.copy_(p.grad)
        apart.step()
        one.step()
    return separate, together


@pytest.mark.parametrize(("cls", "options"), STEPPERS)
def test_a_step_of_the_vector_is_that_of_its_parts_bit_for_bit(cls: type, options: dict[str, object]) -> None:
    for p, twin in zip(*stepped(cls, options, fused=False), strict=True):
        assert torch.equal(p, twin)


@pytest.mark.parametrize(("cls", "options"), STEPPERS)
def test_a_fused_step_of_the_vector_is_that_of_its_parts(cls: type, options: dict[str, object]) -> None:
    """Nearly to the last bit: a kernel may round the ends of a tensor otherwise than its middle."""
    for p, twin in zip(*stepped(cls, options, fused=True), strict=True):
        torch.testing.assert_close(p, twin, rtol=1e-5, atol=1e-7)


def test_parameters_of_two_dtypes_do_not_share_a_vector() -> None:
    single, double = Parameter(torch.zeros(3)), Parameter(torch.zeros(2, dtype=torch.float64))
    assert alike([single, Parameter(torch.zeros(2, 2))])
    assert not alike([single, double])
    recipe = recipe_from(RECIPE, "r", registry=installed().registry)
    optimizer = build_optimizer(recipe, [single, double], installed().registry, fused=True)
    assert [p is q for p, q in zip(given_to(optimizer), [single, double], strict=True)] == [True, True]


def given_to(optimizer: torch.optim.Optimizer) -> list[Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_built_in_optimizer_is_given_one_vector(name: str, fused: bool) -> None:
    params = some_parameters()
    recipe = recipe_from(RECIPE | {"optimizer": name}, "r", registry=installed().registry)
    optimizer = build_optimizer(recipe, params, installed().registry, fused=fused)
    (vector,) = given_to(optimizer)
    assert vector.ndim == 1
    assert vector.numel() >= sum(p.numel() for p in params)
    assert optimizer.param_groups[0]["fused"] is fused


def test_an_optimizer_that_is_not_elementwise_is_given_the_parameters_themselves(registry: Registry) -> None:
    params = some_parameters()
    recipe = recipe_from(RECIPE | {"optimizer": "plain_sgd"}, "r", registry=registry)
    given = given_to(build_optimizer(recipe, params, registry, fused=True))
    assert len(given) == len(params)
    assert all(p is q for p, q in zip(given, params, strict=True))


def test_training_is_the_same_with_the_parameters_apart_and_in_a_vector(bars: Path, registry: Registry) -> None:
    apart, together = Watch(nothing), Watch(nothing)
    more = {"train.accumulate": 3, "train.clip_norm": 1.0, "train.ema": {}}
    run(bars, NOISELESS | more | {"optimizer": "plain_sgd"}, apart)
    run(bars, NOISELESS | more, together)
    assert len(given_to(apart.prepared.optimizer)) > 1 == len(given_to(together.prepared.optimizer))
    assert largest_difference(weights(apart.prepared), weights(together.prepared)) < 1e-6


@pytest.mark.parametrize("name", ["plain_sgd", "sgd"])
def test_a_second_step_on_the_same_parameters_starts_without_the_gradients_of_the_first(
    name: str, registry: Registry
) -> None:
    """As when runners are measured one after the other; no gradient reaches the last parameter."""
    params = [Parameter(torch.ones(3)), Parameter(torch.ones(2))]
    recipe = recipe_from(RECIPE | {"optimizer": {"use": name, "lr": 0.5}}, "r", registry=registry)
    optimizer = build_optimizer(recipe, params, registry, fused=True)
    for slope in (2.0, 0.0):
        TrainStep(lambda x, slope=slope: Terms((params[0] * slope).sum()), optimizer, NO_SCALER)([torch.zeros(1)])  # type: ignore[misc]
        assert [p.tolist() for p in params] == [[0.0] * 3, [1.0] * 2]
