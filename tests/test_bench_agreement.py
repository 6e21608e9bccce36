"""Whether a way to compute agrees, and by what it is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.amp import GradScaler

from genlab.bench import agreement as agreeing
from genlab.bench.agreement import Numbers, compared, numbers, side_of
from genlab.bench.noise import HostNoise
from genlab.bench.works import prepared_for
from genlab.precision import Precision
from tests.made_benchmarks import task_of


def test_the_same_way_agrees_to_the_last_bit_and_bf16_within_its_tolerance(bars: Path) -> None:
    def found(precision: str) -> Numbers:
        return numbers(side_of(prepared_for(task_of(bars, precision=precision))), 20)

    told, again, bf16 = found("fp32"), found("fp32"), found("bf16")
    exact = compared(again, told, agreeing.TOLERANCES["fp32"], 20)
    assert (exact.loss_error, exact.gradient_error, exact.val_loss_error, exact.disagrees) == (0, 0, 0, [])
    close = compared(bf16, told, agreeing.TOLERANCES["bf16"], 20)
    assert close.disagrees == []
    assert close.gradient_error > agreeing.TOLERANCES["fp32"].gradient
    assert "gradient" in compared(bf16, told, agreeing.TOLERANCES["fp32"], 20).disagrees


def test_a_way_that_computes_something_else_disagrees() -> None:
    told = Numbers(100.0, torch.ones(4, dtype=torch.float64), 50.0)
    wrong = [
        (Numbers(101.0, told.gradient, 50.0), ["loss"]),
        (Numbers(100.0, 1.1 * told.gradient, 50.0), ["gradient"]),
        (Numbers(100.0, told.gradient, 60.0), ["val/loss"]),
        (Numbers(float("nan"), told.gradient * float("inf"), 50.0), ["loss", "gradient"]),
    ]
    for numbers_, disagrees in wrong:
        assert compared(numbers_, told, agreeing.TOLERANCES["bf16"], 10).disagrees == disagrees


def test_noise_of_the_host_is_the_same_for_every_side_and_new_at_every_step(bars: Path) -> None:
    prepared = prepared_for(task_of(bars))
    before = type(prepared.model.q(next(iter(prepared.train)))).rsample
    first, second = (HostNoise(prepared.recipe.seed, torch.device("cpu")) for _ in range(2))
    x = next(iter(prepared.train))

    def draws(noise: HostNoise) -> list[torch.Tensor]:
        found = []
        with noise.drawn():
            for _ in range(2):
                found.append(prepared.model.q(x).rsample())
                noise.refill()
        return found

    one, other = draws(first), draws(second)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(*one)
    q = prepared.model.q(x)
    with first.drawn():
        z = torch.stack([(first.refill(), (q.rsample() - q.mean) / q.stddev)[1] for _ in range(200)])
    assert abs(z.mean().item()) < 0.05
    assert abs(z.std().item() - 1) < 0.05
    assert type(q).rsample is before


def test_a_side_with_the_hosts_noise_trains_as_another_does(bars: Path) -> None:
    found = []
    for _ in range(2):
        noise = HostNoise(0, torch.device("cpu"))
        with noise.drawn():
            found.append(numbers(side_of(prepared_for(task_of(bars)), noise), 10, noise))
    assert (found[0].loss, found[0].val_loss) == (found[1].loss, found[1].val_loss)
    plain = numbers(side_of(prepared_for(task_of(bars))), 10)
    assert plain.loss != found[0].loss  # it is other noise


def test_fp16_is_compared_at_a_scale_that_does_not_overflow(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflowing(own: Precision) -> GradScaler:
        return GradScaler(own.device_type, init_scale=2.0**24, enabled=own.name == "fp16")

    told = numbers(side_of(prepared_for(task_of(bars))), 5)
    monkeypatch.setattr(Precision, "scaler", overflowing)
    found = numbers(side_of(prepared_for(task_of(bars, precision="fp16"))), 5)
    assert compared(found, told, agreeing.TOLERANCES["fp16"], 5).gradient_error < 1e-2
