"""The file of a benchmark: its schema, and the only way it is read and written.

Everything that was measured stands in it raw, beside what is quoted of it, so that nobody has to believe a median.
``docs/bench-result.schema.json`` is the schema as others read it; a change that breaks readers raises ``SCHEMA``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError

from genlab.bench.machine import Conditions, Environment, Frozen, Whole
from genlab.errors import GenlabError
from genlab.files import read_regular, write_text
from genlab.wording import dotted, printable, shown

SCHEMA: Literal[1] = 1
MAX_RESULT = 100_000_000  # bytes

What = Literal["train", "sample", "encode", "eval", "load", "start", "quality"]
Ended = Literal["complete", "time limit", "interrupted"]
Positive = Annotated[float, Field(gt=1e-30, lt=1e30)]  # what is divided by, has a logarithm, and stands on an axis
Rate = Annotated[float, Field(ge=0, lt=1e30)]


class BenchError(GenlabError):
    """A benchmark that cannot be done, read or compared."""


class NoResultError(BenchError):
    """A file that is whole, and of something else."""


class Combination(Frozen):
    """What is measured, and how. None where there is nothing to choose: loading a model has no runner."""

    what: What = Field(
        description="train, sample, encode, eval: a call on one batch; load: reading a model bundle; "
        "start: from nothing to the first step; quality: training to a val/loss"
    )
    device: str = Field(description="as torch names it, for example cpu or cuda:0")
    precision: str | None = Field(None, description="what the networks compute in")
    runner: str | None = Field(None, description="how a training step is executed")
    batch_size: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(None, description="examples of a call")

    @property
    def label(self) -> str:
        """The combination in a few words: ``train cpu bf16 compile 32``."""
        parts = (self.what, self.device, self.precision, self.runner, self.batch_size)
        return " ".join(printable(str(part)) for part in parts if part is not None)


class Skipped(Frozen):
    """A combination that was asked for, or is usual, and was not measured."""

    combination: Combination
    reason: str


class RecipeFacts(Frozen):
    """The recipe that was measured."""

    name: str
    ref: str = Field(description="as it was named on the command line, overrides included")
    sha256: str = Field(description="of the resolved recipe as sorted JSON, name and description left out")
    resolved: dict[str, JsonValue] = Field(description="every default filled in")
    parameters: Whole | None = Field(None, description="of the model")


class Code(Frozen):
    """The code that was measured."""

    genlab: str = Field(description="version")
    commit: str | None = Field(None, description="of the repository that genlab runs from, if it does")
    dirty: bool | None = Field(None, description="whether it had changes that were not committed")


class Protocol(Frozen):
    """How it was measured."""

    seed: Whole = Field(description="of the order of the combinations in each round")
    processes: Whole = Field(description="of each combination, at least, the time limit permitting")
    most_processes: Whole
    bound: float = Field(
        description="half of an interval as a share of its median, below which it is narrow enough"
    )
    limit_seconds: float
    windows: Whole = Field(description="of each process that count")
    window_seconds: float = Field(
        description="what a window is to last; the device is waited for at its edges only"
    )
    warm_up_seconds: float = Field(description="at most, until windows are steady")
    threads: Whole | None = Field(None, description="that torch was told to use; None: its own choice")
    agreement_steps: Whole
    quality_target: float | None = None
    order: list[list[str]] = Field([], description="labels in the order in which they ran, a list a round")


class Cold(Frozen):
    """What a process costs before it is steady, in seconds."""

    imports: float = Field(description="from the start of the process until torch and genlab were imported")
    prepare: float = Field(description="plugins, data and model")
    runner: float | None = Field(None, description="compilation or capture; eager: none")
    cache: Literal["empty", "filled"] | None = Field(None, description="the compiler's cache before that")
    first_call: float = Field(description="of the very first call")

    @property
    def total(self) -> float:
        """Seconds from nothing to the end of the first call."""
        return self.imports + self.prepare + (self.runner or 0.0) + self.first_call


class Process(Frozen):
    """What one process measured. Seconds are of one call: a step, a batch sampled, a model loaded."""

    round: Whole
    started: str = Field(description="UTC, ISO 8601")
    cold: Cold
    warm_up: list[float] = Field(description="seconds a call of each window that warmed up")
    steady: bool = Field(description="whether windows had become steady when counting began")
    calls_per_window: Whole
    windows: list[Positive] = Field(description="seconds a call of each window that counts")
    threads: Whole = Field(description="that torch used")
    peak_host_bytes: Whole | None = Field(None, description="resident set at its largest, agreement left out")
    peak_device_bytes: Whole | None = Field(None, description="of the device's own allocator")
    before: Conditions
    after: Conditions
    reached: float | None = Field(None, description="quality: the val/loss at which the clock was stopped")
    epochs: float | None = Field(None, description="quality: epochs until then")


class Estimate(Frozen):
    """What is quoted of some processes."""

    median: Positive
    first_quartile: Positive
    third_quartile: Positive
    low: Positive = Field(description="of the interval of the median, over processes")
    high: Positive
    level: float = Field(description="what the interval covers; below six values not 0.95")
    processes: Whole
    half_width: float = Field(description="half of the interval as a share of the median")
    narrow: bool = Field(description="whether that is below the protocol's bound")


class Tolerance(Frozen):
    """What a precision promises; shares of the reference."""

    loss: float
    gradient: float
    val_loss: float


class Agreement(Frozen):
    """How a combination's numbers differ from those of float32, eager, on the CPU."""

    loss: float
    reference_loss: float
    loss_error: float = Field(description="|loss - reference| / |reference|, of one fixed batch")
    gradient_error: float = Field(description="norm of the gradients' difference over that of the reference")
    steps: Whole
    val_loss: float = Field(description="after so many steps, of the first validation examples")
    reference_val_loss: float
    val_loss_error: float
    tolerance: Tolerance
    disagrees: list[str] = Field(description="which of the three exceed it; empty: it agrees")


class Peaks(Frozen):
    """What a device was measured to reach in one precision."""

    device: str
    precision: str
    flops: Positive = Field(description="a second, of the product of two square matrices, the fastest of some")
    size: Whole = Field(description="rows of these matrices")
    bytes: Positive = Field(
        description="a second that an addition of vectors reads and writes, the fastest of some"
    )


class Roofline(Frozen):
    """What a call does, beside what the device could do (Williams et al. 2009)."""

    flops_per_call: Rate = Field(description="of products and convolutions")
    bytes_per_call: Rate = Field(description="that the operators of an eager call read and write")
    flops: Rate = Field(description="a second, reached")
    share_of_product: Rate = Field(description="of the peak of matrix products")
    share_of_roof: Rate = Field(description="of what its flops per byte allow")
    bound: Literal["memory", "products"]


class Cell(Frozen):
    """One combination, measured."""

    combination: Combination
    examples_per_call: Positive | None = Field(description="on average: an epoch may end in a smaller batch")
    agreement: Agreement | None = None
    seconds: Estimate | None = Field(None, description="of a call; None: no process was done")
    images_per_second: Estimate | None = None
    cold_seconds: float | None = Field(None, description="median from nothing to the end of the first call")
    build_seconds: float | None = Field(None, description="compilation or capture with an empty cache")
    peak_host_bytes: Whole | None = Field(None, description="median")
    peak_device_bytes: Whole | None = Field(None, description="median")
    roofline: Roofline | None = None
    warnings: list[str] = Field([], description="of this combination")
    failures: list[str] = Field([], description="of processes that did not get to the end")
    processes: list[Process] = Field([], description="in order of time")

    @property
    def disagrees(self) -> bool:
        """Whether it computes something else than float32, eager, on the CPU."""
        return self.agreement is not None and bool(self.agreement.disagrees)


class Cost(Frozen):
    """One line of a profile: an operator's own time."""

    name: str
    calls: Whole
    seconds: Rate
    share: Rate = Field(description="of all operators' own time")


class Profile(Frozen):
    """Where the time of one combination goes."""

    combination: Combination
    steps: Whole = Field(ge=1)
    costs: list[Cost] = Field(description="the largest")
    trace: str = Field(description="the file beside this one that chrome://tracing and Perfetto open")


class Result(Frozen):
    """A whole benchmark."""

    schema_version: Literal[1] = SCHEMA
    created: str = Field(description="UTC, ISO 8601")
    finished: str
    ended: Ended
    command: str
    recipe: RecipeFacts
    code: Code
    plugins: dict[str, str] = Field(description="distributions and their versions")
    environment: Environment
    protocol: Protocol
    cells: list[Cell]
    skipped: list[Skipped] = Field([])
    peaks: list[Peaks] = Field([])
    profiles: list[Profile] = Field([])
    warnings: list[str] = Field([], description="of the machine while it measured")

    def cell(self, combination: Combination) -> Cell | None:
        """Return the cell of a combination, if there is one."""
        return next((cell for cell in self.cells if cell.combination == combination), None)


def read_result(path: Path) -> Result:
    """Read a result; raise ``BenchError`` naming the file if it is none, damaged or of a newer schema."""
    try:
        text = read_regular(path, MAX_RESULT)
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        found = json.loads(text)
        version = found.get("schema_version") if isinstance(found, dict) else None
    except (ValueError, RecursionError):
        raise BenchError(f"{path}: not JSON, or cut short; `genlab bench` writes such files") from None
    if not isinstance(version, int):
        raise NoResultError(f"{path}: no result of `genlab bench`, which would have a schema_version")
    if version != SCHEMA:
        raise BenchError(f"{path}: schema_version {shown(version)}; this genlab reads {SCHEMA}")
    try:
        return Result.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = dotted(first["loc"])
        raise BenchError(f"{path}: damaged: {where}: {first['msg'].lower()}") from None


def write_result(path: Path, result: Result) -> None:
    """Write a result, whole or not at all. Raises ``RunError`` if it cannot be written."""
    write_text(path, result.model_dump_json(indent=1) + "\n")


def published_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, as ``docs/bench-result.schema.json`` has it."""
    schema = Result.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
