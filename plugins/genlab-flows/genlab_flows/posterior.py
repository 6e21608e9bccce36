"""A posterior q(z|x) that is no normal distribution: another encoder's, moved by a flow."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

import genlab
from genlab_flows.bijection import Bijection, Bins, Hidden, Kind, Passes, Transforms
from genlab_flows.distributions import Pushed


class FlowPosterior(genlab.Encoder):
    """Another encoder's normal posterior N(m, diag s^2), moved by a flow (Rezende & Mohamed 2015).

    z = m + s f(e; m, s) with e ~ N(0, I). The flow f works in the posterior's own standard coordinates, so that
    it is as fine for a narrow posterior as for a wide one, and sees of x what the base says of it, m and s. A
    sample and its density take one pass: an inverse autoregressive flow (Kingma et al. 2016). The KL term is
    estimated at that sample. It starts close to the base's posterior; the mean that ``encode`` returns is
    estimated too.

    base: the encoder to be moved, any whose posterior is a diagonal normal. transforms: how many transformations
    follow one another. kind: each of them, a rational-quadratic spline (``nsf``, Durkan et al. 2019) or affine
    (``maf``, Papamakarios et al. 2017). hidden: widths of the hidden layers of the network that makes its
    parameters. bins: of a spline; ``maf`` has none. passes: of the networks for the density at a z from
    elsewhere; null is one for each latent, 2 makes the flow a coupling flow (Dinh et al. 2017).
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        latent: int,
        *,
        base: genlab.Encoder,
        transforms: Transforms = 2,
        kind: Kind = "nsf",
        hidden: Hidden = (64, 64),
        bins: Bins = 8,
        passes: Passes = None,
    ) -> None:
        super().__init__()
        self.base = base
        self.bijection = Bijection(
            latent, 2 * latent, transforms=transforms, kind=kind, hidden=hidden, bins=bins, passes=passes
        )

    def forward(self, x: Tensor) -> Distribution:
        """Map x ``(B, *x_shape)`` to q(z|x): batch ``(B,)``, event ``(Z,)``.

        Raises ``ValueError`` if the base's posterior is no diagonal normal.
        """
        q = self.base(x)
        if not (isinstance(q, Independent) and isinstance(q.base_dist, Normal)):
            raise ValueError(
                f"base {type(self.base).__name__} returns a {type(q).__name__}; a flow starts from a diagonal "
                "normal, such as genlab.diagonal_normal(mean, log_var) makes"
            )
        normal = q.base_dist
        return Pushed(normal.loc.float(), normal.scale.float(), self.bijection)
