"""What a new plugin may be called: a distribution, a module and a part that nobody has yet."""

from __future__ import annotations

import json
import keyword
import re
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from genlab.errors import PluginError
from genlab.wording import shown

LONGEST = 30  # characters: the lines of the generated files then fit in 88
GROUP = "genlab"  # of entry points
PREFIX = "genlab_"
# What pip or pytest would take the module, or the folders beside it, for.
_TAKEN = {"conftest": "pytest", "recipes": "the folder of recipes", "setup": "pip", "tests": "the folder of tests"}
# Of what _NAME allows, what YAML (1.2, or 1.1 as many readers still have it) reads as something else than text.
_NO_TEXT = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def check_name(name: str) -> None:
    """Raise ``PluginError`` with a remedy unless a plugin can be called ``name`` on this machine."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise PluginError(
            f"plugin name {shown(name)}: lower-case letters and digits are allowed, - or _ between words, a "
            f"letter first, {LONGEST} characters at most{_similar(name)}"
        )
    module = module_of(name)
    if {name, part_of(name)} & set(_NO_TEXT):
        raise taken(name, f"recipes would have the word {part_of(name)!r}, which YAML may read as no text")
    if keyword.iskeyword(module):
        raise taken(name, "a word of Python's grammar, which cannot be imported")
    if module in sys.stdlib_module_names:
        raise taken(name, "Python has a module of that name itself")
    if module in _TAKEN:
        raise taken(name, f"{module}.py would be in the way of {_TAKEN[module]}")
    if module.startswith("test_") or module.endswith("_test"):
        raise taken(name, f"pytest would take {module}.py for tests")
    _check_not_installed(name, module)


def taken(name: str, reason: str, *, or_else: str = "") -> PluginError:
    """Return the error of a name that cannot be used, with another that might."""
    other = f"my-{name}" if name[:3] != "my-" else f"{name}-2"
    example = f", {other!r} for example" if len(other) <= LONGEST else ""
    return PluginError(f"plugin name {name!r}: {reason}; choose another{example}{or_else}")


def module_of(name: str) -> str:
    """Return the module of a plugin: ``my_flows`` for ``my-flows``."""
    return name.replace("-", "_")


def part_of(name: str) -> str:
    """Return what recipes call the part: ``flows`` for ``genlab-flows``."""
    module = module_of(name)
    part = module.removeprefix(PREFIX)
    return part if part[:1].isalpha() else module


def installed_as(name: str) -> metadata.Distribution | None:
    """Return the installed distribution of that name, however it is spelled."""
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _check_not_installed(name: str, module: str) -> None:
    found = installed_as(name)
    if found is not None:
        if _made_here_and_gone(found):
            return  # pip will put the new one in the place of the old
        own = found.metadata["Name"]
        plugin = own != GROUP and any(entry_point.group == GROUP for entry_point in found.entry_points)
        raise taken(
            name,
            f"{own} {found.version} is installed, and the plugin would take its place",
            or_else=f", or pip uninstall {own} first" if plugin else "",
        )
    spec = find_spec(module)
    if spec is not None and spec.origin is not None:  # without one it is but a folder
        raise taken(name, f"there is a module {module} already, {spec.origin}")


def _made_here_and_gone(found: metadata.Distribution) -> bool:
    """Whether a distribution was installed from a folder of this machine that is there no longer (PEP 610)."""
    try:
        origin = urlsplit(json.loads(found.read_text("direct_url.json") or "{}").get("url", ""))
    except ValueError:
        return False
    return origin.scheme == "file" and not Path(unquote(origin.path)).exists()


def _similar(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].rstrip("-")
    return f"; {words!r} would do" if words and words != name else ""
