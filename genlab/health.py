"""What a bug report should say about this machine, and what is wrong with it.

Nothing is fetched and nothing is changed. Each part of the examination stands on its own: a torch that cannot
be imported is one finding, not the end of the others.
"""

from __future__ import annotations

import difflib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import genlab
from genlab import folders
from genlab.api import API_VERSION
from genlab.entries import damaged
from genlab.errors import GenlabError

Level = Literal["ok", "warning", "problem"]

LOW = 2 * 2**30  # bytes of free disk space that a few runs and a data set take
SHOWN = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")  # variables of others that decide what genlab does


@dataclass(frozen=True)
class Finding:
    """One line of the examination: what was looked at, what was found, and what to do if that is not well."""

    about: str
    found: str
    level: Level = "ok"
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at the installation, the devices, the plugins, the data sets, the folders and the terminal."""
    findings: list[Finding] = []
    importable = next(damaged(), None) is None
    for about, look in _EXAMINATIONS.items():
        if not importable and about in _WITH_TORCH:  # which dies of a second attempt to import it
            findings.append(Finding(about, "not looked at: mend the metadata first", "warning"))
            continue
        try:
            findings += look()
        except GenlabError as error:
            findings.append(Finding(about, " ".join(str(error).split()), "problem"))
        except Exception as error:  # whatever a broken library may raise
            said = " ".join(f"{type(error).__name__}: {error}".split())
            findings.append(Finding(about, said, "problem", "install genlab anew in a fresh environment"))
    return findings


def _system() -> Iterator[Finding]:
    yield Finding("genlab", f"{genlab.__version__} in {Path(genlab.__file__).parent}")
    yield Finding("plugin API", API_VERSION)
    yield Finding("Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding("platform", platform.platform())


def _libraries() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    try:
        written = metadata.requires("genlab") or []
    except metadata.PackageNotFoundError:
        yield Finding(
            "requirements", "genlab is not installed, so they are not known", "warning", "pip install genlab"
        )
        return
    for requirement in map(Requirement, written):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        remedy = f"pip install '{requirement}'"
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Finding(requirement.name, "not installed", "problem", remedy)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            yield Finding(requirement.name, version)
        else:
            yield Finding(requirement.name, f"{version}; {requirement.specifier} is needed", "problem", remedy)


def _metadata() -> Iterator[Finding]:
    for found in damaged():
        yield Finding("metadata", f"{found.folder}: entry_points.txt: {found.reason}", "problem", found.remedy)


def _devices() -> Iterator[Finding]:
    from genlab.device import available

    devices = available()
    for device in devices:
        memory = f", {device.memory / 2**30:.1f} GiB" if device.memory else ""
        yield Finding(f"device {device.on}", f"{device.label}{memory}; {', '.join(device.can.precisions)}")
    yield Finding("--device auto", f"takes {devices[0].on}")


def _threads() -> Iterator[Finding]:
    import torch

    threads, cpus = torch.get_num_threads(), os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cpus
    found = f"torch uses {threads}; {cpus} CPUs, {usable} of them for this process"
    if threads > usable:
        yield Finding(
            "threads", found, "warning", f"set OMP_NUM_THREADS={usable}: more threads only get in each other's way"
        )
    else:
        yield Finding("threads", found)


def _plugins() -> Iterator[Finding]:
    from genlab.inspection import clashes
    from genlab.plugins import examined

    plugins = examined()
    for distribution, version in plugins.distributions:
        count = sum(part.distribution == distribution for part in plugins.registry.parts())
        yield Finding(f"plugin {distribution}", f"{version}, {count} part{'s' if count != 1 else ''}")
    for failure in plugins.failures:
        yield Finding(
            f"plugin {failure.distribution}",
            f"could not be loaded: {failure.cause}",
            "problem",
            f"`genlab plugins doctor` shows where; pip install --upgrade or uninstall {failure.distribution}",
        )
    for left_out in plugins.left_out:
        yield Finding(f"plugin {left_out.distribution}", f"left out by {left_out.reason}")
    for clash in clashes(plugins.registry):
        yield Finding(f"{clash.kind} {clash.name}", str(clash), "ok" if clash.hidden else "warning")


def _shipped() -> Iterator[Finding]:
    from genlab.plugins import examined
    from genlab.shipped import closed, shipped_clashes

    plugins = examined()
    for one in closed(plugins):
        remedy = f"report it to {one.distribution}, unless a plugin that it needs is missing"
        yield Finding(f"{one.kind} {one.name}", one.said, "warning", remedy)
    for clash in shipped_clashes(plugins):
        yield Finding(f"{clash.kind} {clash.name}", str(clash), "ok" if clash.hidden else "warning")


def _data() -> Iterator[Finding]:
    from genlab.errors import DataError
    from genlab.interfaces import DataSource
    from genlab.plugins import examined

    registry = examined().registry
    for part in registry.parts("data"):
        about = f"data {registry.use_of(part)}"
        needed = [name for name in part.option_names if name not in part.defaults]
        if needed:
            yield Finding(about, f"not looked at: it needs the option {', '.join(needed)}")
            continue
        try:
            source: DataSource = part.cls(**part.parse({}))
            if type(source).verify is DataSource.verify:  # which may fetch
                yield Finding(about, source.origin)
            else:
                yield Finding(about, source.verify())
        except DataError as error:
            said, _, remedy = str(error).partition("\n")
            if error.absent:
                yield Finding(about, f"not here; `genlab data fetch {registry.use_of(part)}` brings it")
            else:
                yield Finding(about, said, "problem", " ".join(remedy.split()))
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            yield Finding(about, f"cannot be looked at: {said}", "warning", f"report it to {part.distribution}")


def _folders() -> Iterator[Finding]:
    places = (
        ("runs", folders.runs_root(), "GENLAB_RUNS"),
        ("state", folders.state_root(), "GENLAB_STATE"),
        ("data", folders.data_root(), "GENLAB_DATA"),
    )
    for what, folder, variable in places:
        yield _folder(f"folder of {what}", folder.expanduser().absolute(), variable)


def _folder(about: str, folder: Path, variable: str) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    new = "" if there == folder else ", to be made"
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        remedy = f"make it writable, or choose another with {variable}"
        return Finding(about, f"{folder}{new}: cannot be written ({error.strerror or error})", "problem", remedy)
    found = f"{folder}{new}, {free / 2**30:.1f} GiB free"
    if free < LOW:
        return Finding(about, found, "warning", f"free some space, or choose another folder with {variable}")
    return Finding(about, found)


def _terminal() -> Iterator[Finding]:
    encoding = (getattr(sys.stdout, "encoding", None) or "none").lower()
    if encoding.replace("-", "") == "utf8":
        yield Finding("terminal", encoding)
    else:
        yield Finding("terminal", f"{encoding}; some characters show as ?", "warning", "set PYTHONUTF8=1")


def _variables() -> Iterator[Finding]:
    for name, value in sorted(os.environ.items()):
        if name in folders.VARIABLES or name in SHOWN:
            yield Finding(name, value or "empty")
        elif name.startswith("GENLAB_"):
            near = difflib.get_close_matches(name, folders.VARIABLES, n=1)
            known = f"did you mean {near[0]}?" if near else f"there are {', '.join(folders.VARIABLES)}"
            yield Finding(name, value or "empty", "warning", f"genlab reads no such variable; {known}")


_EXAMINATIONS: dict[str, Callable[[], Iterator[Finding]]] = {
    "genlab": _system,
    "requirements": _libraries,
    "metadata": _metadata,
    "devices": _devices,
    "threads": _threads,
    "plugins": _plugins,
    "recipes and models": _shipped,
    "data": _data,
    "folders": _folders,
    "terminal": _terminal,
    "environment": _variables,
}
_WITH_TORCH = ("devices", "threads", "plugins", "recipes and models", "data")
