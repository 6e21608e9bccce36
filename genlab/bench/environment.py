"""Looking at the machine that a benchmark is measured on. Nothing here needs torch."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from genlab.bench.groups import quota_throttled
from genlab.bench.machine import Conditions, Memory, Processor, System
from genlab.bench.systemfiles import content, number, word

VARIABLES = re.compile(
    r"(OMP|MKL|KMP|GOMP|OPENBLAS|VECLIB|NUMEXPR|ONEDNN|DNNL|ATEN|TORCH|TORCHINDUCTOR|PYTORCH|CUDA|CUBLAS|NCCL|MALLOC"
    r"|GENLAB_MALLOC)(_\w+)?|NVIDIA_TF32_OVERRIDE|GLIBC_TUNABLES|LD_PRELOAD"
)
LIBRARIES = ("torch", "torchvision", "triton", "numpy", "pydantic", "pluggy", "safetensors", "genlab")
CPUS = Path("/sys/devices/system/cpu")


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
            name: "(a path)" if os.sep in value else value  # paths name people
            for name, value in sorted(os.environ.items())
            if VARIABLES.fullmatch(name)
        },
    )


def processor() -> Processor:
    """Describe the CPU."""
    fields = _cpuinfo()
    flags = sorted((fields.get("flags") or fields.get("Features") or "").split())
    cores = {
        (word(core / "topology/physical_package_id"), word(core / "topology/core_id"))
        for core in CPUS.glob("cpu[0-9]*")
    }
    known = {core for core in cores if None not in core}
    policies = sorted(CPUS.glob("cpufreq/policy*"))
    governors = {word(policy / "scaling_governor") for policy in policies}
    least = [khz for policy in policies if (khz := number(policy / "cpuinfo_min_freq")) is not None]
    most = [khz for policy in policies if (khz := number(policy / "cpuinfo_max_freq")) is not None]
    boost = number(CPUS / "cpufreq/boost")
    turbo_off = number(CPUS / "intel_pstate/no_turbo")
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
    chosen = re.search(r"\[(\w+)\]", word(Path("/sys/kernel/mm/transparent_hugepage/enabled")) or "")
    return Memory(
        total=found.get("MemTotal") or _whole(_sysctl("hw.memsize")),
        swap=found.get("SwapTotal"),
        huge_pages=chosen[1] if chosen else None,
    )


def conditions(accelerator: dict[str, str] | None = None) -> Conditions:
    """Return what the machine is busy with now; ``accelerator``: what its driver tells."""
    speeds = [float(value) for value in re.findall(r"^cpu MHz\s*: ([\d.]+)", content(Path("/proc/cpuinfo")), re.M)]
    busy, stolen = _cpu_seconds()
    times = os.times()
    heat = [number(core / "thermal_throttle/core_throttle_count") for core in CPUS.glob("cpu[0-9]*")]
    known = [int(count) for count in heat if count is not None]
    return Conditions(
        clock=time.monotonic(),
        load=[round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        mhz=sum(speeds) / len(speeds) if speeds else None,
        memory_available=_meminfo().get("MemAvailable"),
        busy_seconds=busy,
        own_seconds=times.user + times.system + times.children_user + times.children_system,
        stolen_seconds=stolen,
        quota_throttled_seconds=quota_throttled(),
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
    first = content(Path("/proc/cpuinfo")).partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _meminfo() -> dict[str, int]:
    found = re.findall(r"^(\w+):\s+(\d+) kB", content(Path("/proc/meminfo")), re.MULTILINE)
    return {name: int(value) * 1024 for name, value in found}


def _cpu_seconds() -> tuple[float | None, float | None]:
    """Seconds of the usable cores in which anybody ran, and those that a hypervisor took."""
    usable = usable_cores()
    cores = re.findall(r"^cpu(\d+) ([\d ]+)$", content(Path("/proc/stat")), re.MULTILINE)
    counted = [[int(value) for value in values.split()] for core, values in cores if int(core) in usable]
    if not counted or any(len(values) < 8 for values in counted):
        return None, None
    user, nice, kernel, _, _, hard, soft, stolen = [sum(each) for each in zip(*counted, strict=True)][:8]
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + kernel + hard + soft) / tick, stolen / tick


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
