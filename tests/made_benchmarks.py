"""Results of benchmarks that nobody measured, every field filled, for tests of what is done with results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.bench.agreement import TOLERANCES
from genlab.bench.machine import (
    Accelerator,
    Conditions,
    Container,
    Environment,
    Memory,
    Processor,
    Software,
    System,
)
from genlab.bench.result import (
    Agreement,
    Code,
    Cold,
    Combination,
    Cost,
    Peaks,
    Process,
    Profile,
    Protocol,
    RecipeFacts,
    Result,
    Skipped,
)
from genlab.bench.summary import Gathered, warnings_of
from genlab.bench.tasks import Counts, Task
from genlab.opening import open_recipe

FP32 = Combination(what="train", device="cpu", precision="fp32", runner="eager", batch_size=32)
BF16 = FP32.model_copy(update={"precision": "bf16"})
PEAKS = [
    Peaks(device="cpu", precision=precision, flops=flops, size=1024, bytes=2e10)
    for precision, flops in (("fp32", 1e11), ("bf16", 4e11))
]


def conditions(clock: float = 0.0, **given: Any) -> Conditions:
    """A quiet moment."""
    quiet: dict[str, Any] = {
        "clock": clock, "load": [0.1, 0.2, 0.3], "mhz": 2600.0, "memory_available": 2**34,
        "busy_seconds": clock, "own_seconds": clock, "stolen_seconds": 0.0, "quota_throttled_seconds": 0.0,
        "heat_throttled": 0,
    }  # fmt: skip
    return Conditions(**(quiet | given))


def process(number: int, seconds: float, **given: Any) -> Process:
    """A process that took so many seconds for a call."""
    usual: dict[str, Any] = {
        "round": number,
        "started": "2026-11-22T10:00:00+00:00",
        "cold": Cold(imports=2.0, prepare=1.0, runner=None, cache=None, first_call=3 * seconds),
        "warm_up": [2 * seconds, seconds],
        "steady": True,
        "calls_per_window": 10,
        "windows": [0.99 * seconds, seconds, 1.01 * seconds],
        "threads": 2,
        "peak_host_bytes": 2**28,
        "peak_device_bytes": 2**20,
        "before": conditions(10.0 * number),
        "after": conditions(10.0 * number + 5),
    }
    return Process(**(usual | given))


def agreement(error: float = 1e-7, precision: str = "fp32") -> Agreement:
    """An agreement whose gradient differs by so much."""
    tolerance = TOLERANCES[precision]
    return Agreement(
        loss=100.0, reference_loss=100.0, loss_error=0.0, gradient_error=error, steps=100, val_loss=50.0,
        reference_val_loss=50.0, val_loss_error=0.0, tolerance=tolerance,
        disagrees=["gradient"] if error > tolerance.gradient else [],
    )  # fmt: skip


def gathered(combination: Combination, seconds: Sequence[float], error: float = 1e-7) -> Gathered:
    """A combination measured by processes that took so many seconds for a call."""
    return Gathered(
        combination,
        [process(number, value) for number, value in enumerate(seconds)],
        [],
        combination.batch_size,
        agreement(error, combination.precision or "fp32"),
        Counts(flops=1e9, bytes=1e8),
    )


STEADY = (0.0100, 0.0101, 0.0099, 0.0100, 0.0102, 0.0098, 0.0100)


def made(
    cells: Sequence[Gathered] | None = None, *, recipe: str = "bars", latent: int = 2, cores: int = 2, **given: Any
) -> Result:
    """A whole result; by default fp32, and bf16 twice as fast."""
    found = cells or [gathered(FP32, STEADY), gathered(BF16, [value / 2 for value in STEADY], 1e-3)]
    measured = [each.cell(0.05, PEAKS) for each in found]
    before = conditions()
    usual: dict[str, Any] = {
        "created": "2026-11-22T10:00:00+00:00",
        "finished": "2026-11-22T10:05:00+00:00",
        "ended": "complete",
        "command": "genlab bench bars.yaml",
        "recipe": RecipeFacts(
            name=recipe, ref="bars.yaml", sha256=f"{latent:064d}", resolved={"latent": latent}, parameters=1000
        ),
        "code": Code(genlab="0.1.0", commit="0" * 40, dirty=False),
        "plugins": {"genlab": "0.1.0"},
        "environment": environment(cores, before),
        "protocol": Protocol(
            seed=0, processes=7, most_processes=15, bound=0.05, limit_seconds=300.0, windows=10,
            window_seconds=0.15, warm_up_seconds=5.0, threads=None, agreement_steps=100,
            order=[[each.combination.label for each in found]],
        ),
        "cells": measured,
        "skipped": [
            Skipped(
                combination=FP32.model_copy(update={"device": "cuda"}),
                reason="device 'cuda' is not available here; available: auto, cpu",
            )
        ],
        "peaks": PEAKS,
        "profiles": [
            Profile(
                combination=FP32, steps=20, trace="r.trace.json",
                costs=[Cost(name="aten::mm", calls=40, seconds=0.001, share=0.4)],
            )
        ],
        "warnings": warnings_of(before, measured, cores),
    }  # fmt: skip
    return Result(**(usual | given))


def environment(cores: int, before: Conditions) -> Environment:
    """A machine with so many cores."""
    return Environment(
        system=System(
            platform="Linux x86_64", release="6.1", machine="x86_64", libc="glibc 2.36", nice=0,
            variables={"OMP_NUM_THREADS": "2"},
        ),
        processor=Processor(
            model="Some CPU", flags=["avx2", "fma"], logical=cores, physical=cores, usable=list(range(cores)),
            governors=["performance"], least_mhz=800.0, most_mhz=3000.0, boost=True, virtual=False,
        ),
        memory=Memory(total=2**34, swap=0, huge_pages="madvise"),
        container=Container(version=2, cores=2.0, memory=2**33),
        software=Software(
            python="3.11.7", implementation="CPython", libraries={"torch": "2.13.0"}, torch_git="abc",
            torch_debug=False, torch_config=["GCC 11.2"], threads=2, interop_threads=1,
            threading=["OpenMP 201511"], runtime={"instructions": "AVX2"}, allocator_tuned=True, compiler="g++ 12",
        ),
        accelerators=[
            Accelerator(
                device="cuda:0", name="Some GPU", memory=2**35, driver="550.1", capability="9.0",
                settings={"power_limit": "350 W"},
            )
        ],
        before=before,
        after=conditions(300.0),
    )  # fmt: skip


def task_of(bars: Path, **given: str) -> Task:
    combination = Combination(what="train", device="cpu", precision="fp32", runner="eager", batch_size=32)
    return Task(
        recipe=open_recipe(bars).recipe.written(),
        combination=combination.model_copy(update=given),
        round=0,
        spawned=0.0,
        threads=None,
        windows=2,
        window_seconds=0.01,
        warm_up_seconds=0.1,
        cache=None,
    )
