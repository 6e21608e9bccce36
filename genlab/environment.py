"""What a result was obtained with: machine, Python, libraries, plugins."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch
from pydantic import BaseModel

import genlab
from genlab.device import Device

LIBRARIES = ("torch", "torchvision", "numpy", "pydantic", "pluggy", "safetensors", "matplotlib")


class Environment(BaseModel):
    """The content of ``env.json``."""

    genlab: str
    plugins: dict[str, str]
    python: str
    platform: str
    device: str
    precision: str
    threads: int
    cpus: int
    allocator_tuned: bool
    libraries: dict[str, str]
    command: str


def capture(
    device: Device, precision: str, plugins: tuple[tuple[str, str], ...], *, allocator_tuned: bool, command: str
) -> Environment:
    """Describe this process's environment."""
    return Environment(
        genlab=genlab.__version__,
        plugins=dict(plugins),
        python=platform.python_version(),
        platform=platform.platform(),
        device=device.label,
        precision=precision,
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
