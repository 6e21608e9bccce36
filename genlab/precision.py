"""Precision: which dtype the networks compute in. Everything else is float32, on every device.

``bf16`` and ``fp16`` run the encoder's and decoder's networks under autocast. What they return is turned to
float32 before a distribution's log-probability, a KL term or a reduction sees it: autocast on the CPU leaves
``exp``, ``log`` and ``sum`` in bf16 where CUDA upcasts, and a sum over 784 pixels in 8 bits of mantissa is no
loss. ``fp16`` needs a gradient scaler (Micikevicius et al. 2018, "Mixed Precision Training"). ``tf32`` lets
tensor cores round the inputs of float32 products to 10 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch.amp import GradScaler
from torch.distributions import Distribution, Independent

from genlab.device import Device
from genlab.distributions import DiagonalNormal
from genlab.errors import DeviceError

Name = Literal["fp32", "tf32", "bf16", "fp16"]
NAMES: tuple[Name, ...] = get_args(Name)
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AS_IT_IS = nullcontext()


@dataclass(frozen=True)
class Precision:
    """One precision on one kind of device."""

    name: Name
    device_type: str

    def networks(self) -> AbstractContextManager[object]:
        """The context in which networks run."""
        dtype = _DTYPES.get(self.name)
        return self.mathematics() if dtype is None else torch.autocast(self.device_type, dtype=dtype)

    def mathematics(self) -> AbstractContextManager[object]:
        """The context of everything else: no autocast, whatever the caller has switched on."""
        if not torch.is_autocast_enabled(self.device_type):
            return _AS_IT_IS
        return torch.autocast(self.device_type, enabled=False)

    def scaler(self) -> GradScaler:
        """A gradient scaler for fp16, whose gradients would underflow; for other precisions one that does nothing.

        It starts at 2^10: losses here are sums over pixels, whose gradients overflow at torch's 2^16, and each
        overflow costs a step. It grows by itself.
        """
        return GradScaler(self.device_type, init_scale=2.0**10, enabled=self.name == "fp16")


def resolve_precision(name: Name, device: Device) -> Precision:
    """Return a precision that ``device`` has, and set the device to it.

    Raises ``DeviceError`` naming those that there are.
    """
    if name not in device.can.precisions:
        known = ", ".join(device.can.precisions)
        raise DeviceError(f"precision {name!r} is not available on {device.on.type}; available: {known}")
    device.round_products(name == "tf32")
    return Precision(name, device.on.type)


def in_float32(q: Distribution) -> Distribution:
    """Return a distribution whose parameters are float32: ``q`` itself if they are.

    One that hides its parameters is returned as it is; ``genlab.contract.check_probabilities`` finds it before
    training.
    """
    if isinstance(q, DiagonalNormal):
        return q
    if isinstance(q, Independent):
        base = in_float32(q.base_dist)
        return q if base is q.base_dist else Independent(base, q.reinterpreted_batch_ndims, validate_args=False)
    own = {name: value for name in q.arg_constraints if torch.is_tensor(value := vars(q).get(name))}
    if not any(value.dtype in _DTYPES.values() for value in own.values()):
        return q
    rebuild: Callable[..., Distribution] = type(q)
    try:
        return rebuild(**{name: value.float() for name, value in own.items()}, validate_args=False)
    except (TypeError, ValueError):
        return q
