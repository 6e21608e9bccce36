"""Flow priors and posteriors: densities that are densities, samples that follow them, training that works."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

import genlab
from genlab.parts.encoders import MLPEncoder
from genlab_flows.bijection import Bijection
from genlab_flows.posterior import FlowPosterior
from genlab_flows.prior import FlowPrior

Kind = Literal["nsf", "maf"]
X_SHAPE = (1, 4, 4)

kinds = pytest.mark.parametrize("kind", ["nsf", "maf"])
parts = pytest.mark.parametrize("part", ["prior", "posterior"])
latents = pytest.mark.parametrize("latent", [1, 3])


def prior_of(latent: int, kind: Kind, **options: Any) -> FlowPrior:
    torch.manual_seed(0)
    prior = FlowPrior(latent, **{"transforms": 2, "kind": kind, "hidden": (16,), **options})
    stir(prior)
    return prior


def posterior_of(latent: int, kind: Kind, **options: Any) -> FlowPosterior:
    torch.manual_seed(0)
    base = MLPEncoder(X_SHAPE, latent, hidden=(16,))
    encoder = FlowPosterior(X_SHAPE, latent, **{"base": base, "kind": kind, "hidden": (16,), **options})
    stir(encoder.bijection)
    return encoder


def stir(module: nn.Module) -> None:
    """Give it parameters that make no normal distribution."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.4 * torch.randn_like(p))


def one(part: str, latent: int, kind: Kind, **options: Any) -> Distribution:
    """A prior, or the posterior of one x, with batch shape ()."""
    if part == "prior":
        return prior_of(latent, kind, **options)()
    q: Any = posterior_of(latent, kind, **options)(torch.rand(1, *X_SHAPE))
    return type(q)(q.loc[0], q.scale[0], q.bijection)


def density(p: Distribution, z: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([p.log_prob(piece).double().exp() for piece in z.split(20_000)])


def draw(p: Distribution, n: int) -> Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        return p.sample((n,))


# -- densities and samples -------------------------------------------------------------------------------------


@parts
@kinds
def test_a_density_integrates_to_one_over_the_line_and_samples_follow_it(part: str, kind: Kind) -> None:
    p = one(part, 1, kind)
    z = torch.linspace(-30, 30, 60_001).double()
    f = density(p, z[:, None].float())
    cdf = torch.cat((torch.zeros(1), torch.cumulative_trapezoid(f, z)))
    assert cdf[-1].item() == pytest.approx(1, abs=1e-4)
    # Kolmogorov-Smirnov: sqrt(n) D exceeds c with probability 2 exp(-2 c^2), for large n; once in a million here.
    n, c = 20_000, math.sqrt(-math.log(1e-6 / 2) / 2)
    found = draw(p, n)[:, 0].double().sort().values
    nearest = torch.searchsorted(z, found)
    wanted = cdf[nearest - 1] + (cdf[nearest] - cdf[nearest - 1]) * (found - z[nearest - 1]) / (z[1] - z[0])
    ranks = torch.arange(1, n + 1) / n
    distance = torch.maximum((ranks - wanted).abs(), (ranks - 1 / n - wanted).abs()).max().item()
    assert math.sqrt(n) * distance < c
    # Such a test tells the flow from the normal distribution of its moments, or it would tell nothing.
    if kind == "nsf":
        normal = Normal(found.mean(), found.std()).cdf(found)
        assert math.sqrt(n) * (ranks - normal).abs().max().item() > c


@parts
@kinds
def test_a_density_integrates_to_one_over_the_plane_and_samples_follow_it(part: str, kind: Kind) -> None:
    p, n, cells, fine = one(part, 2, kind), 20_000, 12, 40
    sample = draw(p, n).double()
    centre, spread = sample.mean(0), sample.std(0)
    # A grid of 480 x 480 over ten standard deviations, by the midpoint rule.
    step = 10 * spread / (cells * fine)
    axis = torch.arange(cells * fine) + 0.5 - cells * fine / 2
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2) * step + centre
    mass = density(p, grid.float()).view(cells, fine, cells, fine).sum((1, 3)) * step.prod()
    beyond = ((sample - centre).abs() > 5 * spread).any(1).double().mean().item()
    assert mass.sum().item() == pytest.approx(1 - beyond, abs=2e-3)
    # Pearson's chi-square over the cells that expect five or more, the others as one.
    cell = ((sample - centre) / step / fine + cells / 2).floor().long()
    inside = ((cell >= 0) & (cell < cells)).all(1)
    counts = torch.bincount(cell[inside, 0] * cells + cell[inside, 1], minlength=cells**2).double()
    expected, large = n * mass.flatten(), n * mass.flatten() >= 5
    observed = torch.cat((counts[large], n - counts[large].sum()[None]))
    wanted = torch.cat((expected[large], n - expected[large].sum()[None]))
    chi2 = ((observed - wanted) ** 2 / wanted).sum()
    assert torch.special.gammaincc(large.sum().double() / 2, chi2 / 2) > 1e-6  # the probability of more
    swapped = torch.cat((counts.view(cells, cells).t().flatten()[large], observed[-1:]))
    assert torch.special.gammaincc(large.sum().double() / 2, ((swapped - wanted) ** 2 / wanted).sum() / 2) < 1e-6


@kinds
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("passes", [None, 2, 3])
@pytest.mark.parametrize("latent", [1, 2, 5])
def test_the_determinant_is_that_of_the_jacobian_and_the_inverse_leads_back(
    kind: Kind, context: int, passes: int | None, latent: int
) -> None:
    torch.manual_seed(0)
    flow = Bijection(latent, context, transforms=3, kind=kind, hidden=(16, 16), bins=4, passes=passes)
    stir(flow)
    v, c = 2 * torch.randn(20, latent), torch.randn(20, context) if context else None
    log_det = flow(v, c)[1]
    flow.double()
    v, c = v.double(), None if c is None else c.double()
    with torch.no_grad():
        torch.testing.assert_close(flow.inverse(flow(v, c)[0], c), v, rtol=1e-6, atol=1e-6)
    for i in range(len(v)):
        jacobian = torch.autograd.functional.jacobian(
            lambda at, i=i: flow(at, None if c is None else c[i])[0], v[i]
        )
        sign, wanted = torch.linalg.slogdet(jacobian)
        assert sign > 0
        torch.testing.assert_close(log_det[i].double(), wanted, rtol=1e-4, atol=1e-4)
        if latent > 1:
            assert jacobian.flatten()[1:].any()  # more than a scaling of each element


@kinds
@latents
def test_the_density_of_the_last_sample_is_the_density_there_and_so_is_its_gradient(
    kind: Kind, latent: int
) -> None:
    encoder = posterior_of(latent, kind)
    q = encoder(torch.rand(4, *X_SHAPE))
    z = q.rsample()
    remembered, computed = q.log_prob(z), q.log_prob(z.clone())
    torch.testing.assert_close(remembered, computed, rtol=1e-4, atol=1e-4)
    params = list(encoder.parameters())
    first = torch.autograd.grad(remembered.sum(), params, retain_graph=True)
    second = torch.autograd.grad(computed.sum(), params)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-2)


@kinds
def test_the_density_of_what_sample_drew_has_a_gradient_too(kind: Kind) -> None:
    """That of the log-density at a fixed z, which REINFORCE and wake-sleep follow."""
    encoder = posterior_of(2, kind)
    q = encoder(torch.rand(4, *X_SHAPE))
    z = q.sample()
    params = list(encoder.parameters())
    found = torch.autograd.grad(q.log_prob(z).sum(), params, retain_graph=True)
    for a, b in zip(found, torch.autograd.grad(q.log_prob(z.clone()).sum(), params), strict=True):
        torch.testing.assert_close(a, b)


@kinds
def test_samples_before_the_last_have_their_own_density(kind: Kind) -> None:
    q = posterior_of(3, kind)(torch.rand(4, *X_SHAPE))
    with torch.no_grad():
        first = q.rsample()
        known = q.log_prob(first)
        q.rsample()
        torch.testing.assert_close(q.log_prob(first), known, rtol=1e-4, atol=1e-4)


@kinds
def test_the_gradient_of_a_step_is_its_slope(kind: Kind) -> None:
    """Along a random direction in the space of all parameters, the noise held fixed."""
    torch.manual_seed(0)
    encoder, prior = FlowPosterior(X_SHAPE, 3, base=MLPEncoder(X_SHAPE, 3), kind=kind), FlowPrior(3, kind=kind)
    if kind == "maf":  # splines as rough as that have kinks between two steps of float32
        stir(encoder.bijection)
    params, x = [*encoder.parameters(), *prior.parameters()], torch.rand(64, *X_SHAPE)
    directions = [torch.randn_like(p) for p in params]

    def at(t: float) -> Tensor:
        with torch.no_grad():
            for p, direction in zip(params, directions, strict=True):
                p.add_(t * direction)
        torch.manual_seed(1)
        return loss_of(encoder, prior)(x)

    gradients = torch.autograd.grad(at(0), params)
    wanted = sum((g * d).sum().item() for g, d in zip(gradients, directions, strict=True))
    h = 5e-4
    with torch.no_grad():
        slope = ((at(h) - at(-2 * h)) / (2 * h)).item()  # from 0 to h, then to -h
    assert slope == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize(("passes", "evaluations"), [(None, 6), (3, 3), (2, 2)])
def test_passes_are_what_a_sample_of_the_prior_takes(passes: int | None, evaluations: int) -> None:
    prior, calls = prior_of(6, "maf", transforms=1, passes=passes), []
    prior.bijection.steps[0].hyper.register_forward_hook(lambda *_: calls.append(1))
    prior().log_prob(prior().rsample())
    assert len(calls) == evaluations + 1  # and one for the density


@kinds
def test_a_posterior_starts_close_to_its_base_and_a_prior_close_to_the_standard_normal(kind: Kind) -> None:
    torch.manual_seed(0)
    encoder = FlowPosterior(X_SHAPE, 3, base=MLPEncoder(X_SHAPE, 3), kind=kind)
    x = torch.rand(6, *X_SHAPE)
    q, base, prior = encoder(x), encoder.base(x), FlowPrior(3, kind=kind)()
    with torch.no_grad():
        z = q.sample((500,))
        assert (q.log_prob(z) - base.log_prob(z)).mean(0).abs().max() < 0.05  # KL, nats
        e = torch.randn(500, 3)
        normal = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
        assert (normal.log_prob(e) - prior.log_prob(e)).mean().abs() < 0.05


@kinds
@latents
def test_the_mean_is_that_of_samples_and_each_example_has_its_own(kind: Kind, latent: int) -> None:
    encoder = posterior_of(latent, kind)
    x = torch.rand(5, *X_SHAPE)
    with torch.no_grad():
        q = encoder(x)
        samples = draw(q, 20_000)
        std = samples.std(0)
        assert ((q.mean - samples.mean(0)).abs() / std).max() < 0.05
        before = torch.get_rng_state()
        torch.testing.assert_close(q.mean[1:2], encoder(x[1:2]).mean, rtol=1e-4, atol=1e-5)
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3)])
@kinds
@latents
def test_shapes(shape: tuple[int, ...], kind: Kind, latent: int) -> None:
    p, q = prior_of(latent, kind)(), posterior_of(latent, kind)(torch.rand(4, *X_SHAPE))
    assert (p.batch_shape, p.event_shape) == ((), (latent,))
    assert (q.batch_shape, q.event_shape) == ((4,), (latent,))
    assert p.rsample(shape).shape == (*shape, latent)
    assert p.log_prob(torch.zeros(*shape, latent)).shape == shape
    assert q.rsample(shape).shape == (*shape, 4, latent)
    assert q.log_prob(torch.zeros(*shape, 4, latent)).shape == (*shape, 4)
    wide = q.expand((3, 4))
    assert wide.rsample(shape).shape == (*shape, 3, 4, latent)
    torch.testing.assert_close(wide.log_prob(torch.zeros(latent))[1], q.log_prob(torch.zeros(latent)))
    assert p.expand((3,)).rsample(shape).shape == (*shape, 3, latent)


# -- as modules ------------------------------------------------------------------------------------------------


def loss_of(encoder: FlowPosterior, prior: FlowPrior) -> Callable[[Tensor], Tensor]:
    """Returns what a step computes of the two: E[|z|^2 + log q(z|x) - log p(z)]."""

    def loss(x: Tensor) -> Tensor:
        q = encoder(x)
        z = q.rsample()
        return (z.square().sum(-1) + q.log_prob(z) - prior().log_prob(z)).mean()

    return loss


@kinds
@latents
@pytest.mark.parametrize("hidden", [(16,), (16, 8), ()])
def test_gradients_reach_every_parameter(kind: Kind, latent: int, hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    encoder = FlowPosterior(X_SHAPE, latent, base=MLPEncoder(X_SHAPE, latent), kind=kind, hidden=hidden)
    prior = FlowPrior(latent, kind=kind, hidden=hidden)
    loss_of(encoder, prior)(torch.rand(16, *X_SHAPE)).backward()
    named = [*encoder.named_parameters(), *prior.named_parameters()]
    unmoved = [name for name, p in named if p.grad is None or not p.grad.any() or not p.grad.isfinite().all()]
    assert unmoved == []


@kinds
def test_gradients_reach_a_prior_through_its_samples(kind: Kind) -> None:
    prior = prior_of(3, kind)
    prior().rsample((16,)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in prior.parameters())


@kinds
@latents
def test_saved_and_loaded_it_computes_the_same(kind: Kind, latent: int) -> None:
    first, second = prior_of(latent, kind), FlowPrior(latent, transforms=2, kind=kind, hidden=(16,))
    second.load_state_dict(from_bytes(to_bytes(first.state_dict())))  # which refuses tensors that share memory
    z = torch.randn(5, latent)
    assert torch.equal(first().log_prob(z), second().log_prob(z))
    encoder, x = posterior_of(latent, kind), torch.rand(5, *X_SHAPE)
    other = FlowPosterior(X_SHAPE, latent, base=MLPEncoder(X_SHAPE, latent, hidden=(16,)), kind=kind, hidden=(16,))
    other.load_state_dict(from_bytes(to_bytes(encoder.state_dict())))
    assert torch.equal(draw(encoder(x), 3), draw(other(x), 3))


class HalfEncoder(genlab.Encoder):
    """A base whose author forgot about precision."""

    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.net = nn.Linear(math.prod(x_shape), 2 * latent)

    def forward(self, x: Tensor) -> Distribution:
        loc, raw = self.net(x.flatten(1)).chunk(2, -1)
        return Independent(Normal(loc, raw.exp(), validate_args=False), 1, validate_args=False)


@kinds
@latents
def test_under_autocast_the_flow_computes_in_float32(kind: Kind, latent: int) -> None:
    encoder = posterior_of(latent, kind, base=HalfEncoder(X_SHAPE, latent))
    prior, x = prior_of(latent, kind), torch.rand(8, *X_SHAPE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inner = encoder.base(x)
        q = encoder(x)
        torch.manual_seed(0)
        z = q.rsample()
        inside = q.log_prob(z), q.log_prob(z.clone()), prior().log_prob(z), prior().rsample((4,))
    assert inner.mean.dtype == torch.bfloat16
    torch.manual_seed(0)
    again = q.rsample()
    assert torch.equal(again, z)
    outside = q.log_prob(again), q.log_prob(z.clone()), prior().log_prob(z), prior().rsample((4,))
    for a, b in zip(inside, outside, strict=True):
        assert a.dtype == torch.float32
        assert a.isfinite().all()
        assert torch.equal(a, b)


@kinds
def test_a_step_compiles_whole_and_to_the_same_numbers(kind: Kind) -> None:
    loss, x = loss_of(posterior_of(3, kind), prior_of(3, kind)), torch.rand(4, *X_SHAPE)
    torch.manual_seed(0)
    wanted = loss(x)
    torch.manual_seed(0)
    found = torch.compile(loss, backend="aot_eager", fullgraph=True)(x)
    torch.testing.assert_close(found, wanted)


@kinds
@latents
def test_a_step_asks_for_no_value_of_a_tensor(kind: Kind, latent: int) -> None:
    """On the meta device there are none, so that a step that waits for its device, or leaves it, fails."""
    encoder, prior = posterior_of(latent, kind).to("meta"), prior_of(latent, kind).to("meta")
    loss_of(encoder, prior)(torch.rand(4, *X_SHAPE, device="meta")).backward()
    assert prior().rsample((4,)).is_meta


@kinds
@latents
def test_it_can_be_counted_without_weights(kind: Kind, latent: int) -> None:
    with torch.device("meta"):
        counted = FlowPrior(latent, kind=kind)
    assert all(t.is_meta for t in [*counted.parameters(), *counted.buffers()])
    made = FlowPrior(latent, kind=kind)
    assert [p.shape for p in counted.parameters()] == [p.shape for p in made.parameters()]


def test_torchs_own_distributions_are_as_they_were() -> None:
    code = (
        "import torch; from torch.distributions import Distribution as D, Normal\n"
        "kept = D._validate_args, vars(D)['arg_constraints']\n"
        "import genlab_flows\n"
        "assert (D._validate_args, vars(D)['arg_constraints']) == kept\n"
        "try: Normal(0.0, -1.0)\n"
        "except ValueError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


class FullEncoder(genlab.Encoder):
    """A posterior with correlations."""

    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.latent = latent

    def forward(self, x: Tensor) -> Distribution:
        return MultivariateNormal(torch.zeros(len(x), self.latent), torch.eye(self.latent))


def test_a_base_that_is_no_diagonal_normal_is_refused() -> None:
    with pytest.raises(ValueError, match="base FullEncoder returns a MultivariateNormal; a flow starts from a"):
        posterior_of(3, "nsf", base=FullEncoder(X_SHAPE, 3))(torch.rand(2, *X_SHAPE))
