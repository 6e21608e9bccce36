"""What is recorded of a machine: everything that could explain a difference later.

What a system does not tell is None or empty, never a guess. Nobody's host name or user name is among it.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """A part of a file: unknown keys and numbers that JSON does not have are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Processor(Frozen):
    """The CPU."""

    model: str
    flags: list[str]
    logical: int = Field(description="cores that the system counts")
    physical: int | None
    usable: list[int] = Field(min_length=1, description="cores that this process may run on")
    governors: list[str] = Field(description="of frequency, each once; empty: the system tells none")
    least_mhz: float | None
    most_mhz: float | None
    boost: bool | None
    virtual: bool | None = Field(description="whether a hypervisor is beneath")


class Memory(Frozen):
    """The host's memory, in bytes."""

    total: int | None
    swap: int | None
    huge_pages: str | None = Field(description="transparent ones: always, madvise or never")


class Container(Frozen):
    """What a control group allows this process; None: no limit."""

    version: int | None = Field(description="of control groups; None: there are none")
    cores: float | None
    memory: int | None


class System(Frozen):
    """The operating system."""

    platform: str
    release: str
    machine: str
    libc: str | None
    nice: int | None = Field(description="of this process; 0 is usual")
    variables: dict[str, str] = Field(description="of the environment, that decide how torch computes")


class Software(Frozen):
    """Python, torch and the libraries beneath it, as a process that measured had them."""

    python: str
    implementation: str
    libraries: dict[str, str]
    torch_git: str | None
    torch_debug: bool
    torch_config: list[str] = Field(description="how torch was built, and with what: torch.__config__")
    threads: int
    interop_threads: int
    threading: list[str] = Field(description="torch's own account of its threads")
    runtime: dict[str, str] = Field(description="versions of the libraries that computed on the device")
    allocator_tuned: bool
    compiler: str | None = Field(description="that compiled runners use on the CPU")


class Accelerator(Frozen):
    """One accelerator. What only changes slowly; clocks as they stood at the start of the benchmark."""

    device: str
    name: str
    memory: int | None
    driver: str | None
    capability: str | None
    settings: dict[str, str] = Field(description="clocks, power limit and the like, as the driver tells")


class Conditions(Frozen):
    """What a machine is busy with at one moment; counters count from its start."""

    clock: float = Field(description="seconds; only differences mean something")
    load: list[float] = Field(description="averages over 1, 5 and 15 minutes; empty: the system tells none")
    mhz: float | None = Field(description="mean over cores, now")
    memory_available: int | None
    busy_seconds: float | None = Field(description="of all cores together, everybody's; counter")
    own_seconds: float = Field(description="of this process and those it waited for; counter")
    stolen_seconds: float | None = Field(description="in which a hypervisor ran something else; counter")
    quota_throttled_seconds: float | None = Field(description="that the control group held it back; counter")
    heat_throttled: int | None = Field(description="times that a core was slowed for its heat; counter")
    accelerator: dict[str, str] = Field({}, description="temperature, clocks, power and throttling, now")


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
