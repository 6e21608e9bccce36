"""The layers of a model: what each returns for one example, and how many parameters it has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlab.model import LatentModel
from genlab.seeds import seeded


@dataclass(frozen=True)
class Layer:
    """One layer: its path in the model, its class, its output's shape without the batch, its parameters."""

    path: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int


def layers(model: LatentModel) -> list[Layer]:
    """Return the modules without children, or with parameters of their own, in the order in which they run."""
    shapes: dict[str, tuple[int, ...]] = {}
    leaves = {
        path: module for path, module in model.named_modules() if not any(True for _ in module.children()) and path
    }

    def note(path: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                shapes.setdefault(path, tuple(output.shape[1:]))
            elif isinstance(output, Distribution):
                shapes.setdefault(path, tuple(output.event_shape))

        return hook

    handles = [module.register_forward_hook(note(path)) for path, module in leaves.items()]
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), seeded(0, model.device):
            q = model.q(torch.zeros(1, *model.x_shape, device=model.device))
            z = q.rsample()
            model.p(z)
            model.prior().log_prob(z)  # the layers of a prior may run in its density alone
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    ran = [path for path in shapes if path in leaves]
    silent = [path for path in leaves if path not in shapes]
    return [
        Layer(
            path,
            type(leaves[path]).__name__,
            shapes.get(path),
            sum(p.numel() for p in leaves[path].parameters(recurse=False)),
        )
        for path in (*ran, *silent)
    ]


def parameter_count(module: nn.Module) -> int:
    """Return the number of parameters of a module, trained or not."""
    return sum(p.numel() for p in module.parameters())
