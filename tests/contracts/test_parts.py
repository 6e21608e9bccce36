"""What every registered part promises, whoever registered it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from genlab import Choices, DataError, DataSource, Decoder, Encoder, Likelihood, Objective, Prior, Search
from genlab.contract import check_fit, decoder_out_shape
from genlab.data import read_split
from genlab.distributions import diagonal_normal
from genlab.errors import PartError
from genlab.model import LatentModel
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood, GaussianLikelihood
from genlab.parts.priors import StandardNormal
from genlab.plugins import installed
from genlab.recipe import Recipe
from genlab.registry import Part
from genlab.resolving import recipe_from

PARTS = [part for part in installed().registry.parts() if not part.nested]
X_SHAPES = [(5,), (1, 4, 4), (3, 5, 7), (1, 28, 28)]
BATCHES = [1, 3]
LATENTS = [1, 3]


def each(kind: str) -> pytest.MarkDecorator:
    parts = [part for part in PARTS if part.kind == kind]
    assert parts
    return pytest.mark.parametrize("part", parts, ids=lambda part: part.name)


x_shapes = pytest.mark.parametrize("x_shape", X_SHAPES, ids=str)
latents = pytest.mark.parametrize("latent", LATENTS)
batches = pytest.mark.parametrize("batch", BATCHES)


def made(part: Part, *given: Any, **options: Any) -> Any:
    """Build a part with a seed; skip where it takes images only."""
    torch.manual_seed(0)
    try:
        return part.cls(*given, **options)
    except ValueError as error:
        if "images" in str(error):
            pytest.skip(f"{part.kind} {part.name}: {error}")
        raise


def gradients_reach(module: nn.Module, loss: Tensor) -> None:
    wanted = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not wanted:
        return
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    for name, gradient in zip(wanted, found, strict=True):
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        assert (gradient != 0).any(), name


def survives_saving(module: nn.Module, build: Callable[[], nn.Module], use: Callable[[Any], Tensor]) -> None:
    """A second one that is given the first one's state computes the same."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.01 * torch.randn_like(p))
    other = build()
    other.load_state_dict(module.state_dict())
    assert torch.equal(use(module), use(other))


# -- encoders --------------------------------------------------------------------------------------------------


@each("encoder")
@x_shapes
@latents
@batches
def test_an_encoder_returns_a_posterior_for_each_example(
    part: Part, x_shape: tuple[int, ...], latent: int, batch: int
) -> None:
    encoder: Encoder = made(part, x_shape, latent)
    x = torch.rand(batch, *x_shape)
    before = x.clone()
    q = encoder(x)
    assert isinstance(q, Distribution)
    assert (q.batch_shape, q.event_shape) == ((batch,), (latent,))
    assert q.has_rsample
    z = q.rsample()
    assert (z.shape, z.dtype) == ((batch, latent), torch.float32)
    assert q.log_prob(z).shape == (batch,)
    assert q.mean.shape == (batch, latent)
    assert torch.equal(x, before)


@each("encoder")
@x_shapes
def test_an_encoder_treats_each_example_alone(part: Part, x_shape: tuple[int, ...]) -> None:
    encoder: Encoder = made(part, x_shape, 2).eval()
    x = torch.rand(3, *x_shape)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x).mean[1:2], encoder(x[1:2]).mean, rtol=1e-4, atol=1e-5)


@each("encoder")
@x_shapes
def test_gradients_reach_every_parameter_of_an_encoder(part: Part, x_shape: tuple[int, ...]) -> None:
    encoder: Encoder = made(part, x_shape, 3)
    z = encoder(torch.rand(5, *x_shape)).rsample()
    gradients_reach(encoder, (z**2).sum())


@each("encoder")
@x_shapes
def test_an_encoder_is_a_function_of_its_seed_and_survives_saving(part: Part, x_shape: tuple[int, ...]) -> None:
    def build() -> Encoder:
        encoder: Encoder = made(part, x_shape, 3)
        return encoder.eval()

    x = torch.rand(2, *x_shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(build()(x).mean, build()(x).mean)
    survives_saving(build(), build, lambda encoder: encoder(x).mean)


# -- decoders --------------------------------------------------------------------------------------------------


@each("decoder")
@x_shapes
@latents
@batches
def test_a_decoder_fills_the_shape_it_is_asked_for(
    part: Part, x_shape: tuple[int, ...], latent: int, batch: int
) -> None:
    for params in (1, 2):
        out_shape = (params * x_shape[0], *x_shape[1:])
        decoder: Decoder = made(part, latent, out_shape)
        h = decoder(torch.randn(batch, latent))
        assert (h.shape, h.dtype) == ((batch, *out_shape), torch.float32)


@each("decoder")
@x_shapes
def test_a_decoders_output_is_unconstrained(part: Part, x_shape: tuple[int, ...]) -> None:
    decoder: Decoder = made(part, 2, x_shape)
    h = decoder(100 * torch.randn(64, 2))
    assert (h < -0.01).any()
    assert (h > 1.01).any()


@each("decoder")
@x_shapes
def test_gradients_reach_every_parameter_of_a_decoder_and_its_input(part: Part, x_shape: tuple[int, ...]) -> None:
    decoder: Decoder = made(part, 3, x_shape)
    z = torch.randn(5, 3, requires_grad=True)
    h = decoder(z)
    gradients_reach(decoder, (h**2 + h).sum())
    (gradient,) = torch.autograd.grad((decoder(z) ** 2).sum(), z)
    assert (gradient != 0).any(1).all()


@each("decoder")
@x_shapes
def test_a_decoder_is_a_function_of_its_seed_and_survives_saving(part: Part, x_shape: tuple[int, ...]) -> None:
    def build() -> Decoder:
        decoder: Decoder = made(part, 3, x_shape)
        return decoder.eval()

    z = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(build()(z), build()(z))
    survives_saving(build(), build, lambda decoder: decoder(z))


# -- priors ----------------------------------------------------------------------------------------------------


@each("prior")
@latents
def test_a_prior_is_one_distribution_over_latents(part: Part, latent: int) -> None:
    prior: Prior = made(part, latent)
    p = prior()
    assert (p.batch_shape, p.event_shape) == ((), (latent,))
    assert p.sample((7,)).shape == (7, latent)
    assert p.log_prob(torch.zeros(7, latent)).shape == (7,)
    survives_saving(prior, lambda: made(part, latent), lambda prior: prior().log_prob(torch.zeros(2, latent)))


@each("prior")
def test_a_prior_is_normalised(part: Part) -> None:
    p = made(part, 1)()
    z = torch.linspace(-30, 30, 20_001)
    density = p.log_prob(z[:, None]).double().exp()
    assert torch.trapezoid(density, z.double()).item() == pytest.approx(1, abs=1e-4)


@each("prior")
def test_the_kl_to_a_prior_is_what_samples_say(part: Part) -> None:
    prior = made(part, 3)()
    torch.manual_seed(0)
    mean, log_var = torch.randn(2, 3), 0.5 * torch.randn(2, 3)
    q = diagonal_normal(mean, log_var)
    try:
        kl = kl_divergence(q, prior)
    except NotImplementedError:
        pytest.skip(f"prior {part.name} has no closed form against a diagonal normal")
    z = q.sample((200_000,))
    terms = (q.log_prob(z) - prior.log_prob(z)).double()
    error = terms.std(0) / math.sqrt(len(terms))
    assert ((kl - terms.mean(0)).abs() < 5 * error).all()


def test_the_kl_of_normals_is_that_of_kingma_and_welling() -> None:
    """Appendix B of "Auto-Encoding Variational Bayes": -KL = 1/2 sum(1 + log s^2 - m^2 - s^2)."""
    torch.manual_seed(0)
    mean, log_var = 3 * torch.randn(50, 4), torch.randn(50, 4)
    found = kl_divergence(diagonal_normal(mean, log_var), StandardNormal(4)())
    m, v = mean.double(), log_var.double()
    wanted = -0.5 * (1 + v - m**2 - v.exp()).sum(1)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


# -- likelihoods -----------------------------------------------------------------------------------------------


@each("likelihood")
@x_shapes
@batches
def test_a_likelihood_is_a_distribution_over_observations(
    part: Part, x_shape: tuple[int, ...], batch: int
) -> None:
    likelihood: Likelihood = made(part, x_shape)
    h = torch.randn(batch, *decoder_out_shape(likelihood, x_shape), requires_grad=True)
    p = likelihood(h)
    assert (p.batch_shape, p.event_shape) == ((batch,), x_shape)
    assert p.mean.shape == (batch, *x_shape)
    x = p.sample()
    log_prob = p.log_prob(x)
    assert (log_prob.shape, log_prob.dtype) == ((batch,), torch.float32)
    assert log_prob.isfinite().all()
    (gradient,) = torch.autograd.grad(log_prob.sum(), h)
    assert (gradient != 0).flatten(1).any(1).all()
    gradients_reach(likelihood, likelihood(h.detach()).log_prob(x).sum())
    survives_saving(likelihood, lambda: made(part, x_shape), lambda other: other(h.detach()).log_prob(x))


@each("likelihood")
def test_a_likelihood_does_not_validate_because_that_waits_for_the_device(part: Part) -> None:
    likelihood: Likelihood = made(part, (2,))
    h = torch.full((1, *decoder_out_shape(likelihood, (2,))), torch.nan)
    assert likelihood(h).log_prob(torch.full((1, 2), torch.nan)).isnan().all()


def test_the_probabilities_of_all_binary_images_of_two_pixels_sum_to_one() -> None:
    images = torch.cartesian_prod(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    p = BernoulliLikelihood((2,))(torch.tensor([[0.3, -1.7]]))
    assert p.log_prob(images).exp().sum().item() == pytest.approx(1, abs=1e-6)
    wanted = math.log(1 / (1 + math.exp(-0.3))) + math.log(1 - 1 / (1 + math.exp(1.7)))  # x = (1, 0)
    assert p.log_prob(torch.tensor([[1.0, 0.0]])).item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("std", [0.1, 1.0, 2.5])
@pytest.mark.parametrize("learn_std", [False, True])
def test_the_gaussian_likelihood_integrates_to_one(std: float, learn_std: bool) -> None:
    p = GaussianLikelihood((1,), std=std, learn_std=learn_std)(torch.tensor([[0.7]]))
    x = torch.linspace(0.7 - 12 * std, 0.7 + 12 * std, 20_001)
    density = p.log_prob(x[:, None]).double().exp()
    assert torch.trapezoid(density, x.double()).item() == pytest.approx(1, abs=1e-4)
    wanted = -0.5 * (0.3 / std) ** 2 - math.log(std) - 0.5 * math.log(2 * math.pi)
    assert p.log_prob(torch.tensor([[1.0]])).item() == pytest.approx(wanted, rel=1e-5)


def test_a_learned_standard_deviation_goes_to_that_of_the_residuals() -> None:
    likelihood = GaussianLikelihood((1,), std=1.0, learn_std=True)
    x = torch.tensor([[0.3], [-0.3]])
    with torch.no_grad():
        likelihood.log_std.fill_(math.log(0.3))
    loss = -likelihood(torch.zeros(2, 1)).log_prob(x).mean()
    (gradient,) = torch.autograd.grad(loss, likelihood.log_std)
    assert gradient.item() == pytest.approx(0, abs=1e-5)


# -- objectives ------------------------------------------------------------------------------------------------


def small_model() -> LatentModel:
    torch.manual_seed(0)
    likelihood = BernoulliLikelihood((1, 4, 4))
    encoder, decoder = MLPEncoder((1, 4, 4), 3, hidden=(8,)), MLPDecoder(3, (1, 4, 4), hidden=(8,))
    return LatentModel(encoder, decoder, StandardNormal(3), likelihood, x_shape=(1, 4, 4), latent=3)


@each("objective")
@batches
def test_an_objective_is_a_mean_over_the_batch_that_reaches_the_whole_model(part: Part, batch: int) -> None:
    model, objective = small_model(), cast(Objective, made(part))
    x = (torch.rand(batch, 1, 4, 4) > 0.5).float()
    torch.manual_seed(1)
    terms = objective(model, x)
    assert (terms.loss.shape, terms.loss.dtype) == ((), torch.float32)
    assert all(value.shape == () and value.isfinite() for value in terms.logs.values())
    gradients_reach(nn.ModuleList([model, objective]), terms.loss)
    torch.manual_seed(1)
    assert torch.equal(objective(model, x).loss, terms.loss)


@each("objective")
def test_an_objective_does_not_grow_with_the_batch(part: Part) -> None:
    model, objective = small_model(), cast(Objective, made(part))
    x = (torch.rand(1, 1, 4, 4) > 0.5).float()
    losses = [objective(model, x.expand(n, -1, -1, -1)).loss.item() for n in (1000, 4000)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


# -- data sources ----------------------------------------------------------------------------------------------


@each("data")
def test_a_data_source_gives_the_same_examples_every_time(part: Part) -> None:
    source: DataSource = made(part)
    assert all(isinstance(size, int) and size > 0 for size in source.x_shape)
    try:
        source.verify()
    except DataError as error:
        pytest.skip(f"its files are not here: {str(error).splitlines()[0]}")
    again: DataSource = made(part)
    for name in ("train", "val", "test"):
        first, second = source.split(name), again.split(name)
        assert torch.equal(read_split(source, name).x, first.x)
        assert torch.equal(first.x, second.x)
        x = source.prepare(first.x[:3])
        assert (x.dtype, x.shape) == (torch.float32, (3, *source.x_shape))
        assert x.isfinite().all()
        if first.label is not None:
            assert first.label.min() >= 0
    assert source.origin


# -- optimizers ------------------------------------------------------------------------------------------------


def square(part: Part) -> tuple[nn.Parameter, torch.optim.Optimizer]:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer: torch.optim.Optimizer = part.cls([weight], False)
    return weight, optimizer


def steps(weight: nn.Parameter, optimizer: torch.optim.Optimizer, count: int) -> Tensor:
    for _ in range(count):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
    return weight.detach().clone()


@each("optimizer")
def test_an_optimizer_goes_downhill(part: Part) -> None:
    weight, optimizer = square(part)
    assert isinstance(optimizer, torch.optim.Optimizer)
    before = (weight**2).sum().item()
    steps(weight, optimizer, 10)
    assert (weight**2).sum().item() < before


@each("optimizer")
def test_an_optimizer_goes_on_from_its_saved_state(part: Part) -> None:
    weight, optimizer = square(part)
    middle = steps(weight, optimizer, 3)
    state = copy.deepcopy(optimizer.state_dict())  # it shares its tensors with the optimizer
    other, fresh = square(part)
    with torch.no_grad():
        other.copy_(middle)
    fresh.load_state_dict(state)
    assert torch.equal(steps(other, fresh, 3), steps(weight, optimizer, 3))


# -- searches --------------------------------------------------------------------------------------------------


@each("search")
def test_a_search_chooses_from_the_space_and_repeats_itself(part: Part, tmp_path: Path) -> None:
    space = {"a": Choices((1, "x", [2, 3], None)), "b": Choices((0.5, 1.5)), "c.d": Choices((True, False))}

    def asked(folder: Path) -> list[Mapping[str, Any]]:
        folder.mkdir()
        search: Search = part.cls(space, folder, 3)
        found = []
        for loss in range(8):
            values = search.ask()
            assert values is not None
            found.append(json.loads(json.dumps(values)))
            if search.adaptive:
                search.tell(values, float(loss) if loss else None)
                search.tell(values, float(loss) if loss else None)
        return found

    first = asked(tmp_path / "first")
    assert asked(tmp_path / "second") == first
    for values in first:
        assert list(values) == list(space)
        assert all(values[key] in choices.values for key, choices in space.items())


# -- options ---------------------------------------------------------------------------------------------------

WRITTEN: dict[str, Any] = {
    "name": "x", "data": "bars", "latent": 2, "encoder": "mlp", "decoder": "mlp", "likelihood": "bernoulli"
}  # fmt: skip


def resolved(part: Part, options: dict[str, Any]) -> Recipe:
    registry = installed().registry
    spec = {"use": part.name, **options}
    named = {"trackers": [spec]} if part.kind == "tracker" else {part.kind: spec}
    return recipe_from({**WRITTEN, **named}, "x", registry=registry)


@pytest.mark.parametrize("part", [p for p in PARTS if p.kind != "search"], ids=lambda p: f"{p.kind}:{p.name}")
def test_the_options_of_a_part_survive_a_recipe(part: Part) -> None:
    if required := [name for name in part.option_names if name not in part.defaults]:
        pytest.skip(f"needs options: {', '.join(required)}")
    spec = dict(resolved(part, {}).parts())[part.kind]
    assert set(spec.options) == set(part.defaults)
    assert part.parse(spec.options) == part.parse({})
    for name, default in part.defaults.items():
        assert part.parse({})[name] == default
    assert dict(resolved(part, dict(spec.options)).parts())[part.kind] == spec


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.kind}:{part.name}")
def test_a_part_says_in_one_line_what_it_is(part: Part) -> None:
    assert part.summary.endswith(".") or len(part.summary) > 20
    assert "\n" not in part.summary


# -- do parts fit together -------------------------------------------------------------------------------------


class Normals(Encoder):
    """An encoder that returns what it is told to for B examples."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__()
        self.make = make
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Any:
        return self.make(len(x))


class Wrong(nn.Module):
    """A module that returns whatever it is told to."""

    params = 1

    def __init__(self, make: Callable[..., Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, *given: Any) -> Any:
        return self.make(*given)


def normal(*shape: int, event: int = 1) -> Distribution:
    return Independent(Normal(torch.zeros(shape), torch.ones(shape)), event)


def fail(*_: Any) -> Any:
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def unfit(**parts: Any) -> str:
    model = small_model()
    model.train()
    for name, part in parts.items():
        setattr(model, name, part)
    state = torch.get_rng_state()
    with pytest.raises(PartError) as caught:
        check_fit(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    return str(caught.value)


def test_parts_that_fit_leave_random_state_and_mode_alone() -> None:
    model = small_model().train()
    state = torch.get_rng_state()
    assert check_fit(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_posterior_without_closed_form_kl_is_told_apart() -> None:
    model = small_model()
    model.encoder = Normals(lambda b: Independent(torch.distributions.StudentT(torch.full((b, 3), 4.0)), 1))
    assert check_fit(model) is False


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda b: torch.zeros(b, 3), "encoder Normals returns Tensor; a torch.distributions.Distribution is "
         "expected"),
        (lambda b: None, "encoder Normals returns NoneType; a torch.distributions.Distribution is expected"),
        (lambda b: normal(b, 5), "batch shape (2,) and event shape (5,); batch (2,) and event (3,) are "
         "expected: the "
         "recipe's latent size is 3"),
        (lambda b: normal(b, 3, event=0), "batch shape (2, 3) and event shape (); batch (2,) and event (3,)"),
        (lambda b: Independent(torch.distributions.Bernoulli(torch.full((b, 3), 0.5)), 1),
         "encoder Normals returns Independent, which has no rsample; gradients could not reach its parameters"),
        (fail, "encoder Normals fails on x of shape (2, 1, 4, 4): RuntimeError: mat1 and mat2"),
    ],
)  # fmt: skip
def test_an_encoder_that_does_not_fit(make: Callable[[int], Any], said: str) -> None:
    assert said in unfit(encoder=Normals(make))


def test_an_encoder_without_forward_is_named() -> None:
    class Bare(nn.Module):
        pass

    model = small_model()
    assert "encoder Bare fails on x of shape (2, 1, 4, 4): NotImplementedError" in unfit(encoder=Bare())
    assert check_fit(model)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda z: torch.zeros(2, 16), "decoder Wrong returns shape (2, 16), but likelihood BernoulliLikelihood "
         "needs "
         "(2, 1, 4, 4) (1 per element of x (1, 4, 4))"),
        (lambda z: torch.zeros(2, 1, 4, 5), "decoder Wrong returns shape (2, 1, 4, 5), but likelihood Bernoulli"),
        (lambda z: (z,), "decoder Wrong returns tuple; a tensor is expected"),
        (fail, "decoder Wrong fails on z of shape (2, 3): RuntimeError: mat1 and mat2"),
    ],
)  # fmt: skip
def test_a_decoder_that_does_not_fit(make: Callable[..., Any], said: str) -> None:
    assert said in unfit(decoder=Wrong(make))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: normal(5), "prior Wrong returns a distribution of batch shape () and event shape (5,); batch "
         "() and "
         "event (3,) are expected: the recipe's latent size is 3"),
        (lambda: normal(1, 3), "prior Wrong returns a distribution of batch shape (1,) and event shape (3,)"),
        (lambda: torch.zeros(3), "prior Wrong returns Tensor"),
        (fail, "prior Wrong fails on nothing: RuntimeError"),
    ],
)  # fmt: skip
def test_a_prior_that_does_not_fit(make: Callable[..., Any], said: str) -> None:
    assert said in unfit(prior=Wrong(make))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda h: normal(2, 1, 4, 4, event=2), "likelihood Wrong returns a distribution of batch shape (2, 1) "
         "and "
         "event shape (4, 4); batch (2,) and event (1, 4, 4) are expected: the data's x_shape is (1, 4, 4)"),
        (lambda h: h, "likelihood Wrong returns Tensor"),
        (fail, "likelihood Wrong fails on h of shape (2, 1, 4, 4) from decoder MLPDecoder: RuntimeError"),
    ],
)  # fmt: skip
def test_a_likelihood_that_does_not_fit(make: Callable[..., Any], said: str) -> None:
    assert said in unfit(likelihood=Wrong(make))


@pytest.mark.parametrize("params", [None, 0, -1, 1.5, "2"])
def test_a_likelihood_must_say_how_many_parameters_it_needs(params: Any) -> None:
    likelihood = Wrong(lambda h: h)
    likelihood.params = params
    with pytest.raises(PartError, match=f"likelihood Wrong: params is {params!r}; the number of parameters per"):
        decoder_out_shape(cast(Likelihood, likelihood), (1, 4, 4))


def test_the_shape_a_decoder_must_fill_has_the_parameters_in_its_first_axis() -> None:
    likelihood = Wrong(lambda h: h)
    likelihood.params = 2
    assert decoder_out_shape(cast(Likelihood, likelihood), (3, 4, 5)) == (6, 4, 5)
    assert decoder_out_shape(BernoulliLikelihood, (7,)) == (7,)
