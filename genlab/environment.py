"""What a result was obtained with: machine, Python, libraries, plugins."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch
from pydantic import BaseModel

import genlab
from genlab.device import Device
from genlab.train.options import RunnerOption

LIBRARIES = ("torch", "torchvision", "numpy", "pydantic", "pluggy", "safetensors", "matplotlib")


class Environment(BaseModel):
    """The content of ``env.json``."""

    genlab: str
    plugins: dict[str, str]
    python: str
    platform: str
    device: str
    on: str
    precision: str
    runner: RunnerOption
    runner_figures: dict[str, str] = {}
    deterministic: bool
    threads: int
    cpus: int
    allocator_tuned: bool
    libraries: dict[str, str]
    command: str

    def differences(self, now: Environment) -> list[str]:
        """Say what differs now in what a result depends on to the last bit."""
        names = ("genlab", "python", "device", "precision", "runner", "threads", "deterministic")
        found = [(name, getattr(self, name), getattr(now, name)) for name in names]
        for group in ("libraries", "plugins"):
            before, after = getattr(self, group), getattr(now, group)
            found += [(name, before.get(name, "absent"), after.get(name, "absent")) for name in before | after]
        return [f"{name} {before} then, {after} now" for name, before, after in found if before != after]


def capture(
    device: Device,
    precision: str,
    runner: RunnerOption,
    plugins: tuple[tuple[str, str], ...],
    *,
    deterministic: bool,
    allocator_tuned: bool,
    command: str,
) -> Environment:
    """Describe this process's environment."""
    return Environment(
        genlab=genlab.__version__,
        plugins=dict(plugins),
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
