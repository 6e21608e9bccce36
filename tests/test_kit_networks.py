"""What the kit says of networks that people do use: batch normalisation, recurrent ones, terse descriptions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlab import Encoder, diagonal_normal
from genlab.parts.encoders import MLPEncoder
from genlab.testing import check_encoder


class Images(Encoder):
    """Refuses all but images."""

    def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
        super().__init__()
        if len(x_shape) != 3:
            raise ValueError("images are expected")
        self.net = self.network(x_shape, 2 * latent)

    def network(self, x_shape: tuple[int, ...], out: int) -> nn.Module:
        """Return a network whose last layer has ``out`` numbers."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Distribution:
        """Return q(z|x)."""
        return diagonal_normal(*self.net(x).chunk(2, -1))


class Normalised(Images):
    """A convolution with batch normalisation."""

    def network(self, x_shape: tuple[int, ...], out: int) -> nn.Module:
        c, h, w = x_shape
        return nn.Sequential(
            nn.Conv2d(c, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU(), nn.Flatten(), nn.Linear(8 * h * w, out)
        )


class Last(nn.Module):
    """The last state of a recurrent network over the rows of an image."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.rows = nn.GRU(width, out, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows(x.flatten(1, 2))[1][-1]  # type: ignore[no-any-return]


class Recurrent(Images):
    """A GRU over rows."""

    def network(self, x_shape: tuple[int, ...], out: int) -> nn.Module:
        return Last(x_shape[-1], out)


class Printing(MLPEncoder):
    """Prints in each step."""

    def forward(self, x: Tensor) -> Distribution:
        """Return q(z|x)."""
        print("a step", end="")
        return super().forward(x)


def test_what_is_the_same_but_for_rounding_is_the_same_after_saving() -> None:
    """The weights of a convolution lie otherwise in memory once they are loaded."""
    report = check_encoder(Normalised, [(1, 28, 28), (1, 4, 4), (3, 5, 7)])
    assert [result.name for result in report.outcome("failed")] == []


def test_batch_normalisation_is_named_where_a_batch_of_one_raises() -> None:
    class Vectors(MLPEncoder):
        """A dense network with batch normalisation."""

        def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
            super().__init__(x_shape, latent, hidden=(8,))
            self.net.append(nn.BatchNorm1d(2 * latent))

    (failure,) = check_encoder(Vectors, [(5,)]).outcome("failed")
    assert failure.name == "any_batch_size"
    assert "expected: a result for a batch of 1" in failure.message
    assert "mend: BatchNorm cannot tell the variance of a single number" in failure.message


def test_what_torch_itself_cannot_compile_is_skipped_and_trained_eagerly() -> None:
    report = check_encoder(Recurrent, [(1, 4, 4)])
    assert not report.outcome("failed"), report
    (skipped,) = report.outcome("skipped")
    assert skipped.name == "compiles_whole"
    assert skipped.reason.startswith("torch itself cannot compile it, train it with --runner eager: ")


def test_a_graph_break_of_the_author_s_own_is_none_of_torch_s() -> None:
    (failure,) = check_encoder(Printing, [(5,)]).outcome("failed")
    assert failure.name == "compiles_whole"
    assert "--runner eager" in failure.message


@pytest.mark.parametrize("said", ["MADE.", "x"])
def test_a_description_may_be_short(said: str) -> None:
    named = type("Named", (MLPEncoder,), {"__doc__": said})
    assert check_encoder(named, [(5,)]).ok


def test_state_that_is_changed_by_loading_is_named() -> None:
    class Forgets(MLPEncoder):
        """Counts its steps, and forgets them."""

        def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
            super().__init__(x_shape, latent, hidden=(8,))
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x: Tensor) -> Distribution:
            """Return q(z|x)."""
            if self.training:
                self.count += 1
            return super().forward(x)

        def _load_from_state_dict(self, state, prefix, *args):  # type: ignore[no-untyped-def]
            state[f"{prefix}count"] = torch.zeros(())
            super()._load_from_state_dict(state, prefix, *args)

    (failure,) = check_encoder(Forgets, [(5,)]).outcome("failed")
    assert failure.name == "is_the_same_after_saving"
    assert "came: other values in count" in failure.message
