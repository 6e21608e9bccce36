"""The two loops that ``train_step.py`` compares: genlab's own, and one written by hand for one model."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.opening import open_text
from genlab.parts.encoders import MLPEncoder
from genlab.prepare import Prepared, prepare
from genlab.train.callbacks import Callback
from genlab.train.loop import fit
from genlab.train.rate import LearningRate
from genlab.train.runners import Runner
from genlab.train.signals import StopRequest
from genlab.train.state import TrainState
from genlab_mnist.conv import ConvEncoder, turned

REFERENCE = (Path(__file__).parents[1] / "recipes" / "mnist_cvae.yaml").read_text()
TINY = """
name: tiny
data: {use: bars, size: 2, examples: 8000}
latent: 1
encoder: {use: mlp, hidden: []}
decoder: {use: mlp, hidden: []}
likelihood: bernoulli
objective: elbo
optimizer: {use: adam, lr: 1.0e-3, eps: 1.0e-7}
train: {epochs: 1, batch_size: 8}
"""

Posterior = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps a batch of x to mean and log-variance of q(z|x), ``(B, Z)``."""


def prepared(recipe: str, steps: int, seed: int) -> Prepared:
    """Prepare the text of a recipe for so many steps, with one evaluation, at the end."""
    changes = {
        "seed": seed,
        "train.epochs": 10**6,
        "train.max_steps": steps,
        "train.eval_every_steps": steps,
        "train.early_stopping": None,
        "schedule": "constant",
    }
    opened = open_text(recipe, Path("benchmark"), changes)
    return prepare(opened.recipe, "cpu", tree=opened.tree, command="")


def genlab_loop(parts: Prepared, state: TrainState, run_step: Runner, callback: Callback) -> None:
    """Run genlab's real loop, watched by one callback; the evaluation at its end is left out."""
    options = parts.recipe.train
    fit(
        state,
        run_step,
        LearningRate(parts.optimizer, parts.schedule, options.steps(state.steps_per_epoch)),
        parts.train,
        lambda: {"loss": 0.0},
        options,
        seed=parts.recipe.seed,
        stop=StopRequest(),
        callbacks=[callback],
    )


def posterior_of(encoder: nn.Module) -> Posterior:
    """Return an encoder's layers as one would call them by hand, without the distribution around them."""
    if isinstance(encoder, MLPEncoder):
        return lambda x: encoder.net(x).chunk(2, dim=-1)
    assert isinstance(encoder, ConvEncoder)

    def posterior(x: Tensor) -> tuple[Tensor, Tensor]:
        h = turned(x)
        for conv in encoder.convs:
            h = F.relu_(conv(h))
        h = F.relu_(encoder.dense(h.permute(0, 2, 3, 1).flatten(1)))
        return encoder.mean(h), encoder.log_var(h)

    return posterior


def loss_by_hand(posterior: Posterior, decoder: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, reconstruction term and KL of a batch x in [0, 1]: means over its examples, in nats."""
    mean, log_var = posterior(x)
    z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
    nll = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum") / len(x)
    kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum() / len(x)
    return nll + kl, nll, kl


def loop_by_hand(encoder: nn.Module, decoder: nn.Module, x: Tensor, batch_size: int) -> Iterator[float]:
    """Train step by step without end, as one would write it for bytes x in memory; yield the epoch's mean loss."""
    posterior = posterior_of(encoder)
    params = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(params, lr=1e-3, eps=1e-7, fused=True)
    while True:
        loss_sum, nll_sum, kl_sum, count = 0.0, 0.0, 0.0, 0
        for index in torch.randperm(len(x)).split(batch_size):
            batch = x[index].float() / 255
            optimizer.zero_grad(set_to_none=True)
            loss, nll, kl = loss_by_hand(posterior, decoder, batch)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(batch)
            nll_sum += nll.item() * len(batch)
            kl_sum += kl.item() * len(batch)
            count += len(batch)
            yield loss_sum / count
