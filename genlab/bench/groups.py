"""Control groups: what a container may use, and whether it was held back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from genlab.bench.machine import Container
from genlab.bench.systemfiles import content, number, word

CGROUP = Path("/sys/fs/cgroup")


def container() -> Container:
    """Describe the limits of this process's control groups, those of the folders above it included."""
    groups = _groups()
    if not groups:
        return Container(version=None, cores=None, memory=None)
    version = _version()
    cores, bytes_ = [], []
    for folder in _folders(groups.get("cpu", groups.get("")), "cpu", version):
        if version == 2:
            quota, _, period = (word(folder / "cpu.max") or "").partition(" ")
        else:
            quota, period = word(folder / "cpu.cfs_quota_us") or "", word(folder / "cpu.cfs_period_us") or ""
        if quota.isdigit() and period.isdigit():
            cores.append(int(quota) / int(period))
    for folder in _folders(groups.get("memory", groups.get("")), "memory", version):
        limit = number(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        if limit is not None and limit < 2**62:
            bytes_.append(int(limit))
    return Container(version=version, cores=min(cores, default=None), memory=min(bytes_, default=None))


def quota_throttled() -> float | None:
    """Return for how many seconds quotas have held back this process's group and those above it.

    None: no group tells.
    """
    groups, found = _groups(), []
    for folder in _folders(groups.get("cpu", groups.get("")), "cpu", _version()):
        fields = dict(re.findall(r"^(\w+) (\d+)$", content(folder / "cpu.stat"), re.MULTILINE))
        if "throttled_usec" in fields:
            found.append(int(fields["throttled_usec"]) / 1e6)
        elif "throttled_time" in fields:
            found.append(int(fields["throttled_time"]) / 1e9)
    return sum(found) if found else None


def _version() -> int:
    return 2 if (CGROUP / "cgroup.controllers").exists() else 1


def _groups() -> dict[str, str]:
    """This process's control groups: controller -> path; version 2 has one, under the empty name."""
    found: dict[str, str] = {}
    for line in content(Path("/proc/self/cgroup")).splitlines():
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
