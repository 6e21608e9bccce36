"""What every benchmark writes beside its figures: the machine, the versions, and how sure a median is."""

import json
import os
import platform
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

DRAWS = 5000  # of a bootstrap


def machine() -> dict[str, object]:
    """Describe the processor and the system; names nobody's host."""
    system = " ".join([platform.system(), platform.machine(), *platform.libc_ver()])
    return {"cpu": _cpu(), "cores": os.cpu_count(), "system": system, "load_before": load()}


def load() -> list[float]:
    """Return the load averages of the last 1, 5 and 15 minutes; on two cores, 2 of others' work is too much."""
    return [round(value, 2) for value in os.getloadavg()]


def versions(python: str) -> dict[str, str]:
    """Return the versions of what an interpreter runs on."""
    code = (
        "import json, platform; from importlib import metadata as m\n"
        "names = ['genlab', 'torch', 'pythae', 'keras', 'tensorflow', 'tensorflow-cpu', 'jax', 'lightning',\n"
        " 'numpy']\n"
        "have = {d.metadata['Name'].lower().replace('_', '-') for d in m.distributions()}\n"
        "print(json.dumps({'python': platform.python_version()} | {n: m.version(n) for n in names if n in have}))"
    )
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def interval(
    samples: Sequence[T], statistic: Callable[[Sequence[T]], float], seed: int = 0
) -> tuple[float, float]:
    """Return the bootstrap 95 % interval of a statistic, by percentiles (Efron & Tibshirani 1993, chapter 13)."""
    draw = random.Random(seed)
    values = sorted(statistic(draw.choices(samples, k=len(samples))) for _ in range(DRAWS))
    return values[round(0.025 * (DRAWS - 1))], values[round(0.975 * (DRAWS - 1))]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
