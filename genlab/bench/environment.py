"""What a benchmark was measured on: everything that could explain a difference later. Nothing here needs torch.

What a system does not tell is None or empty, never a guess. Nobody's host name, user name or path is collected.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

VARIABLES = re.compile(
    r"(OMP|MKL|KMP|GOMP|OPENBLAS|NUMEXPR|TORCH|TORCHINDUCTOR|PYTORCH|CUDA|CUBLAS|NCCL|MALLOC|GENLAB_MALLOC)(_\w+)?"
)
UNTOLD = ("TORCHINDUCTOR_CACHE_DIR", "TORCH_HOME")  # folders
LIBRARIES = ("torch", "torchvision", "triton", "numpy", "pydantic", "pluggy", "safetensors", "genlab")
CPUS = Path("/sys/devices/system/cpu")
CGROUP = Path("/sys/fs/cgroup")


class Facts(BaseModel):
    """Facts that are written as they were found."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Processor(Facts):
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


class Memory(Facts):
    """The host's memory, in bytes."""

    total: int | None
    swap: int | None
    huge_pages: str | None = Field(description="transparent ones: always, madvise or never")


class Container(Facts):
    """What a control group allows this process; None: no limit."""

    version: int | None = Field(description="of control groups; None: there are none")
    cores: float | None
    memory: int | None


class System(Facts):
    """The operating system."""

    platform: str
    release: str
    machine: str
    libc: str | None
    nice: int | None = Field(description="of this process; 0 is usual")
    variables: dict[str, str] = Field(description="of the environment, that decide how torch computes")


class Software(Facts):
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


class Accelerator(Facts):
    """One accelerator. What only changes slowly; clocks as they stood at the start of the benchmark."""

    device: str
    name: str
    memory: int | None
    driver: str | None
    capability: str | None
    settings: dict[str, str] = Field(description="clocks, power limit and the like, as the driver tells")


class Conditions(Facts):
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


class Environment(Facts):
    """Everything together."""

    system: System
    processor: Processor
    memory: Memory
    container: Container
    software: Software
    accelerators: list[Accelerator]
    before: Conditions
    after: Conditions


def system() -> System:
    """Describe the operating system and what of the environment matters."""
    name, version = platform.libc_ver()
    return System(
        platform=f"{platform.system()} {platform.machine()}",
        release=platform.release(),
        machine=platform.machine(),
        libc=f"{name} {version}".strip() or None,
        nice=os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else None,
        variables={
            name: value
            for name, value in sorted(os.environ.items())
            if VARIABLES.fullmatch(name) and name not in UNTOLD
        },
    )


def processor() -> Processor:
    """Describe the CPU."""
    fields = _cpuinfo()
    flags = sorted((fields.get("flags") or fields.get("Features") or "").split())
    cores = {
        (_text(core / "topology/physical_package_id"), _text(core / "topology/core_id"))
        for core in CPUS.glob("cpu[0-9]*")
    }
    known = {core for core in cores if None not in core}
    policies = sorted(CPUS.glob("cpufreq/policy*"))
    governors = {_text(policy / "scaling_governor") for policy in policies}
    least = [khz for policy in policies if (khz := _number(policy / "cpuinfo_min_freq")) is not None]
    most = [khz for policy in policies if (khz := _number(policy / "cpuinfo_max_freq")) is not None]
    boost = _number(CPUS / "cpufreq/boost")
    turbo_off = _number(CPUS / "intel_pstate/no_turbo")
    return Processor(
        model=fields.get("model name") or _sysctl("machdep.cpu.brand_string") or platform.processor() or "unknown",
        flags=flags or sorted((_sysctl("machdep.cpu.features") or "").lower().split()),
        logical=os.cpu_count() or 1,
        physical=len(known) or _whole(_sysctl("hw.physicalcpu")),
        usable=usable_cores(),
        governors=sorted(filter(None, governors)),
        least_mhz=min(least) / 1e3 if least else None,
        most_mhz=max(most) / 1e3 if most else None,
        boost=bool(boost) if boost is not None else (not turbo_off if turbo_off is not None else None),
        virtual="hypervisor" in flags if flags and "fpu" in flags else None,
    )


def usable_cores() -> list[int]:
    """Return the cores that this process may run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return list(range(os.cpu_count() or 1))


def memory() -> Memory:
    """Describe the host's memory."""
    found = _meminfo()
    chosen = re.search(r"\[(\w+)\]", _text(Path("/sys/kernel/mm/transparent_hugepage/enabled")) or "")
    return Memory(
        total=found.get("MemTotal") or _whole(_sysctl("hw.memsize")),
        swap=found.get("SwapTotal"),
        huge_pages=chosen[1] if chosen else None,
    )


def container() -> Container:
    """Describe the limits of this process's control groups, those of the folders above it included."""
    groups = _groups()
    if not groups:
        return Container(version=None, cores=None, memory=None)
    version = 2 if (CGROUP / "cgroup.controllers").exists() else 1
    cores, bytes_ = [], []
    for folder in _folders(groups.get("cpu", groups.get("")), "cpu", version):
        if version == 2:
            quota, _, period = (_text(folder / "cpu.max") or "").partition(" ")
        else:
            quota, period = _text(folder / "cpu.cfs_quota_us") or "", _text(folder / "cpu.cfs_period_us") or ""
        if quota.isdigit() and period.isdigit():
            cores.append(int(quota) / int(period))
    for folder in _folders(groups.get("memory", groups.get("")), "memory", version):
        limit = _number(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        if limit is not None and limit < 2**62:
            bytes_.append(int(limit))
    return Container(version=version, cores=min(cores, default=None), memory=min(bytes_, default=None))


def conditions(accelerator: dict[str, str] | None = None) -> Conditions:
    """Return what the machine is busy with now; ``accelerator``: what its driver tells."""
    speeds = [float(value) for value in re.findall(r"^cpu MHz\s*: ([\d.]+)", _read(Path("/proc/cpuinfo")), re.M)]
    busy, stolen = _cpu_seconds()
    times = os.times()
    heat = [_number(core / "thermal_throttle/core_throttle_count") for core in CPUS.glob("cpu[0-9]*")]
    known = [int(count) for count in heat if count is not None]
    return Conditions(
        clock=time.monotonic(),
        load=[round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        mhz=sum(speeds) / len(speeds) if speeds else None,
        memory_available=_meminfo().get("MemAvailable"),
        busy_seconds=busy,
        own_seconds=times.user + times.system + times.children_user + times.children_system,
        stolen_seconds=stolen,
        quota_throttled_seconds=_quota_throttled(),
        heat_throttled=sum(known) if known else None,
        accelerator=accelerator or {},
    )


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that matter, of those that are installed."""
    found = {}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def compiler_version() -> str | None:
    """Return the first line of what the C++ compiler says of itself; None if there is none."""
    said = _said([os.environ.get("CXX", "g++"), "--version"])
    return said.partition("\n")[0].strip() or None if said else None


def peak_host_bytes() -> int | None:
    """Return the largest resident set that this process has had."""
    try:
        import resource
    except ImportError:  # not on this system
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo."""
    first = _read(Path("/proc/cpuinfo")).partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _meminfo() -> dict[str, int]:
    found = re.findall(r"^(\w+):\s+(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    return {name: int(value) * 1024 for name, value in found}


def _cpu_seconds() -> tuple[float | None, float | None]:
    """Seconds of all cores in which anybody ran, and those that a hypervisor took."""
    counted = _read(Path("/proc/stat")).partition("\n")[0].split()[1:]
    if len(counted) < 8:
        return None, None
    user, nice, kernel, _idle, _waiting, hard, soft, stolen = (int(value) for value in counted[:8])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + kernel + hard + soft) / tick, stolen / tick


def _groups() -> dict[str, str]:
    """This process's control groups: controller -> path; version 2 has one, under the empty name."""
    found: dict[str, str] = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _folders(path: str | None, controller: str, version: int) -> Iterable[Path]:
    """The folder of a control group, and those above it, whose limits hold too."""
    if path is None:
        return
    root = CGROUP if version == 2 else CGROUP / controller
    inner = root / path.lstrip("/")
    inner = inner if inner.is_dir() else root  # within a container the path is the host's
    while inner.is_relative_to(root):
        yield inner
        inner = inner.parent


def _quota_throttled() -> float | None:
    groups = _groups()
    version = 2 if (CGROUP / "cgroup.controllers").exists() else 1
    for folder in _folders(groups.get("cpu", groups.get("")), "cpu", version):
        fields = dict(re.findall(r"^(\w+) (\d+)$", _read(folder / "cpu.stat"), re.MULTILINE))
        if "throttled_usec" in fields:
            return int(fields["throttled_usec"]) / 1e6
        if "throttled_time" in fields:
            return int(fields["throttled_time"]) / 1e9
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _text(path: Path) -> str | None:
    return _read(path).strip() or None


def _number(path: Path) -> float | None:
    try:
        return float(_read(path))
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _sysctl(name: str) -> str | None:
    return _said(["sysctl", "-n", name]) if sys.platform == "darwin" else None


def _said(command: list[str]) -> str | None:
    """What a program prints; None if it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
