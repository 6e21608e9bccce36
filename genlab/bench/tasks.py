"""What a measuring process is told, and what it says: JSON, a line a message, within one version of genlab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from genlab.bench.machine import Accelerator, Frozen, Software
from genlab.bench.result import Agreement, Combination, Cost, Peaks, Process


class Task(Frozen):
    """One combination, to be measured once.

    recipe: resolved. no_plugins, plugin_files: as the command line has them. spawned: when the process was started
    (``time.monotonic``, which all processes share).
    """

    recipe: dict[str, JsonValue]
    no_plugins: bool = False
    plugin_files: tuple[Path, ...] = ()
    combination: Combination
    round: int
    spawned: float
    threads: int | None
    windows: int
    window_seconds: float
    warm_up_seconds: float
    cache: Literal["empty", "filled"] | None
    agreement_steps: int = 0
    roofline: bool = False
    peaks: bool = False
    quality_target: float | None = None
    seconds_left: float | None = None
    trace: str | None = None
    profiled_steps: int = 20


class Counts(Frozen):
    """What one call does: floating-point operations of products and convolutions, bytes read and written."""

    flops: float
    bytes: float


class Stage(Frozen):
    """What the process is at."""

    kind: Literal["stage"] = "stage"
    name: str


class About(Frozen):
    """What a process knows of itself: parameters of the model, software, plugins, its accelerator."""

    parameters: int
    software: Software
    accelerator: Accelerator | None
    plugins: dict[str, str]


class Done(Frozen):
    """What it measured. notes: what besides could not be found out, and why."""

    kind: Literal["done"] = "done"
    about: About
    process: Process
    examples_per_call: float | None = None
    agreement: Agreement | None = None
    counts: Counts | None = None
    peaks: Peaks | None = None
    notes: list[str] = Field([])


class Profiled(Frozen):
    """Where the time went."""

    kind: Literal["profiled"] = "profiled"
    about: About
    steps: int
    costs: list[Cost]


class Failed(Frozen):
    """Why it could not. mended: it is the recipe or the machine, addressed to a person; else a defect."""

    kind: Literal["failed"] = "failed"
    reason: str
    mended: bool


Message = Annotated[Stage | Done | Profiled | Failed, Field(discriminator="kind")]
MESSAGE: TypeAdapter[Stage | Done | Profiled | Failed] = TypeAdapter(Message)
