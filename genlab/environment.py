"""What a result was obtained with: machine, Python, libraries, plugins."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch

import genlab
from genlab.device import Device
from genlab.runfiles import Environment, Owner
from genlab.train.options import RunnerOption

LIBRARIES = ("torch", "torchvision", "numpy", "pydantic", "pluggy", "safetensors", "matplotlib")


def capture(
    device: Device,
    precision: str,
    runner: RunnerOption,
    plugins: tuple[tuple[str, str], ...],
    parts: list[Owner],
    *,
    deterministic: bool,
    allocator_tuned: bool,
    command: str,
) -> Environment:
    """Describe this process's environment."""
    return Environment(
        genlab=genlab.__version__,
        plugins=dict(plugins),
        parts=parts,
        python=platform.python_version(),
        platform=platform.platform(),
        device=device.label,
        on=str(device.on),
        precision=precision,
        runner=runner,
        deterministic=deterministic,
        threads=torch.get_num_threads(),
        cpus=os.cpu_count() or 1,
        allocator_tuned=allocator_tuned,
        libraries={name: _version(name) for name in LIBRARIES},
        command=command,
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
