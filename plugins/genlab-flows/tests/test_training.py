"""Flows in recipes: trained, saved, resumed, counted, and refused with the place of the mistake."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import genlab
import genlab_flows
from genlab.build import build_model, parameter_counts
from genlab.cli import main
from genlab.model import LatentModel
from genlab.plugins import installed
from genlab.resolving import recipe_from
from genlab.summary import layers
from genlab_flows.posterior import FlowPosterior

SHIPPED = sorted(genlab_flows.genlab_recipes().glob("*.yaml"))
BARS = """\
name: flow
data: {use: bars, size: 4, examples: 200}
latent: 2
encoder: {use: flow_posterior, base: {use: mlp, hidden: [16]}, hidden: [16]}
decoder: {use: mlp, hidden: [16]}
prior: {use: flow, transforms: 2, hidden: [16]}
likelihood: bernoulli
train: {epochs: 2, batch_size: 32}
"""


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GENLAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "flow.yaml"
    path.write_text(BARS)
    return path


def built(**changes: Any) -> LatentModel:
    """A model of the recipe, or with other parts."""
    parts = {
        "data": {"use": "bars", "size": 4},
        "encoder": {"use": "flow_posterior", "base": {"use": "mlp", "hidden": [16]}, "hidden": [16]},
        "decoder": {"use": "mlp", "hidden": [16]},
        "prior": {"use": "flow", "hidden": [16]},
    }
    tree = {"name": "flow", "latent": 2, "likelihood": "bernoulli", **parts, **changes}
    registry = installed().registry
    return build_model(recipe_from(tree, "flow.yaml", registry=registry), (1, 4, 4), registry)


def stir(model: LatentModel) -> None:
    """Give its flows parameters that make no normal distributions."""
    assert isinstance(model.encoder, FlowPosterior)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in [*model.encoder.bijection.parameters(), *model.prior.parameters()]:
            p.add_(0.15 * torch.randn_like(p))


def losses(run: genlab.Run) -> list[float]:
    lines = (run.directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["val/loss"] for line in lines]


@pytest.mark.parametrize("kind", ["nsf", "maf"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_trains_and_is_loaded_as_it_was(recipe: Path, kind: str, precision: str) -> None:
    changes = {"encoder.kind": kind, "prior.kind": kind, "train.precision": precision, "train.epochs": 4}
    run = genlab.run(recipe, changes, plots=False, device="cpu")
    found = losses(run)
    assert found == sorted(found, reverse=True)
    first, second = genlab.load(run.directory), genlab.load("flow")
    x = (torch.rand(5, 1, 4, 4) < 0.3).float()
    assert torch.equal(first.log_prob(x, k=3), second.log_prob(x, k=3))
    assert torch.equal(first.sample(4, seed=1), second.sample(4, seed=1))
    assert torch.equal(first.encode(x), second.encode(x))
    assert first.reconstruct(x).shape == x.shape
    assert first.sample(0).shape == (0, 1, 4, 4)


def test_a_seed_repeats_a_training_to_the_last_bit(recipe: Path) -> None:
    runs = [genlab.run(recipe, plots=False, device="cpu").directory for _ in range(2)]
    first, second = ((run / "model" / "model.safetensors").read_bytes() for run in runs)
    assert first == second
    other = genlab.run(recipe, {"seed": 1}, plots=False, device="cpu").directory
    assert (other / "model" / "model.safetensors").read_bytes() != first


def test_a_resumed_training_is_that_of_one_that_never_stopped(recipe: Path) -> None:
    whole = genlab.run(recipe, plots=False, device="cpu").directory
    begun = genlab.run(recipe, {"train.epochs": 1}, plots=False, device="cpu").directory
    gone_on = genlab.resume(begun, {"train.epochs": 2}, plots=False).directory
    states = [max((run / "checkpoints").iterdir()) / "state.safetensors" for run in (whole, gone_on)]
    assert states[0].read_bytes() == states[1].read_bytes()


@pytest.mark.parametrize("prior", ["flow", "standard_normal"])
@pytest.mark.parametrize("kind", ["nsf", "maf"])
def test_the_kl_is_positive_and_what_quadrature_says(prior: str, kind: str) -> None:
    options: dict[str, Any] = {"use": prior} | ({"kind": kind} if prior == "flow" else {})
    encoder = {"use": "flow_posterior", "kind": kind, "base": {"use": "mlp"}}
    model = built(latent=1, prior=options, encoder=encoder)
    assert not model.analytic_kl
    stir(model)
    x = (torch.rand(6, 1, 4, 4) < 0.3).float()
    with torch.no_grad():
        q, p = model.q(x), model.prior()
        drawn = q.rsample((20_000,))
        estimates = model.kl(q, drawn).double()
        low, high = drawn.min(0).values, drawn.max(0).values  # four standard deviations, on the normal side
        z = low + (high - low) * torch.linspace(-1, 2, 100_001)[:, None, None]
        log_q, log_p = q.log_prob(z).double(), p.log_prob(z).double()
        wanted = torch.trapezoid(log_q.exp() * (log_q - log_p), z[..., 0].double(), dim=0)
    error = estimates.std(0) / math.sqrt(len(estimates))
    assert ((estimates.mean(0) - wanted).abs() < 5 * error).all()
    assert (wanted > 0.01).all()
    assert (estimates.mean(0) > 0).all()


def test_a_model_is_a_function_of_its_seed_and_is_counted_without_weights() -> None:
    first, second = built(seed=3), built(seed=3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    registry = installed().registry
    assert first.recipe is not None
    counted = parameter_counts(first.recipe, (1, 4, 4), registry)
    assert sum(counted.values()) == sum(p.numel() for p in first.parameters())


def test_log_prob_tightens_with_more_samples_to_what_quadrature_says() -> None:
    """One latent: log p(x) = log of the integral of p(z) p(x|z), on a grid."""
    model = built(latent=1)
    stir(model)
    x = (torch.rand(4, 1, 4, 4) < 0.3).float()
    z = torch.linspace(-12, 12, 12_001)[:, None]
    with torch.no_grad():
        joint = torch.stack([model.p(z).log_prob(one.expand(len(z), 1, 4, 4)) for one in x])
        wanted = torch.logsumexp(joint + model.prior().log_prob(z), 1) + math.log(24 / 12_000)
    torch.testing.assert_close(model.log_prob(x, k=300), wanted, rtol=0, atol=0.1)
    assert model.log_prob(x, k=1).mean() < model.log_prob(x, k=300).mean()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_sound(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["validate", path.stem])
    out = capsys.readouterr()
    assert stopped.value.code == 0, out.out + out.err
    assert "ok" in out.out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("base: {use: mlp, hidden: [16]}, ", "", "base"),
        ("use: mlp, hidden: [16]}, h", "use: mpl, hidden: [16]}, h", "'mpl'; did you mean 'mlp'?"),
        ("transforms: 2", "transforms: 0", "transforms: 0 given"),
        ("transforms: 2", "transforms: 1000", "transforms: 1000 given; expected: an integer >= 1 and <= 64"),
        ("transforms: 2", "bins: 100000", "bins: 100000 given; expected: an integer >= 2 and <= 128"),
        ("transforms: 2", "kind: nfs", "'nfs' given; expected: one of 'nsf', 'maf'"),
        ("transforms: 2", "passes: 1", "passes"),
        ("transforms: 2, hidden: [16]", "hidden: [5000]", "hidden"),
        ("transforms: 2", "bin: 4", "did you mean 'bins'?"),
        (
            "use: mlp, hidden: [16]}, h",
            "use: flow_posterior, base: mlp}, h",
            "returns a Pushed; a flow starts from",
        ),
    ],
)
def test_mistakes_are_told_with_their_place(
    recipe: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in BARS
    recipe.write_text(BARS.replace(old, new, 1))
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(recipe), "--device", "cpu"])
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert "flow.yaml:" in err
    assert said in err


def test_the_layers_of_a_flow_prior_are_listed_with_what_they_return() -> None:
    of_prior = [layer for layer in layers(built()) if layer.path.startswith("prior.") and layer.parameters]
    assert of_prior
    assert all(layer.shape is not None for layer in of_prior)
