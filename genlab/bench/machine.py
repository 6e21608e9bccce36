"""What is recorded of a machine: everything that could explain a difference later.

What a system does not tell is None or empty, never a guess. Nobody's host name or user name is among it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Whole = Annotated[int, Field(ge=0, lt=2**63)]


class Frozen(BaseModel):
    """A part of a file: unknown keys and numbers that JSON does not have are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Processor(Frozen):
    """The CPU."""

    model: str
    flags: list[str]
    logical: Whole = Field(description="cores that the system counts")
    physical: Whole | None
    usable: list[Whole] = Field(min_length=1, description="cores that this process may run on")
    governors: list[str] = Field(description="of frequency, each once; empty: the system tells none")
    least_mhz: float | None
    most_mhz: float | None
    boost: bool | None
    virtual: bool | None = Field(description="whether a hypervisor is beneath")


class Memory(Frozen):
    """The host's memory, in bytes."""

    total: Whole | None
    swap: Whole | None
    huge_pages: str | None = Field(description="transparent ones: always, madvise or never")


class Container(Frozen):
    """What a control group allows this process; None: no limit."""

    version: Whole | None = Field(description="of control groups; None: there are none")
    cores: float | None
    memory: Whole | None


class System(Frozen):
    """The operating system."""

    platform: str
    release: str
    machine: str
    libc: str | None
    nice: Annotated[int, Field(ge=-100, le=100)] | None = Field(description="of this process; 0 is usual")
    variables: dict[str, str] = Field(description="of the environment, that decide how torch computes")


class Software(Frozen):
    """Python, torch and the libraries beneath it, as a process that measured had them."""

    python: str
    implementation: str
    libraries: dict[str, str]
    torch_git: str | None
    torch_debug: bool
    torch_config: list[str] = Field(description="how torch was built, and with what: torch.__config__")
    threads: Whole
    interop_threads: Whole
    threading: list[str] = Field(description="torch's own account of its threads")
    runtime: dict[str, str] = Field(description="versions of the libraries that computed on the device")
    allocator_tuned: bool
    compiler: str | None = Field(description="that compiled runners use on the CPU")


class Accelerator(Frozen):
    """One accelerator, in what changes slowly."""

    device: str
    name: str
    memory: Whole | None
    driver: str | None
    capability: str | None
    settings: dict[str, str] = Field(description="largest clocks, power limit and the like, as the driver tells")


class Conditions(Frozen):
    """What a machine is busy with at one moment; counters count from its start."""

    clock: float = Field(description="seconds; only differences mean something")
    load: list[float] = Field(description="averages over 1, 5 and 15 minutes; empty: the system tells none")
    mhz: float | None = Field(description="mean over cores, now")
    memory_available: Whole | None
    busy_seconds: float | None = Field(description="of the usable cores together, everybody's; counter")
    own_seconds: float = Field(description="of this process and those it waited for; counter")
    stolen_seconds: float | None = Field(description="in which a hypervisor ran something else; counter")
    quota_throttled_seconds: float | None = Field(description="that the control group held it back; counter")
    heat_throttled: Whole | None = Field(description="times that a core was slowed for its heat; counter")
    accelerator: dict[str, str] = Field(
        {}, description="temperature, clocks, power, throttling: beside the windows"
    )


class Environment(Frozen):
    """Everything together."""

    system: System
    processor: Processor
    memory: Memory
    container: Container
    software: Software
    accelerators: list[Accelerator]
    before: Conditions
    after: Conditions
