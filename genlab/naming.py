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
PREFIX = "genlab_"
# What pip or pytest would take the module, or the folders beside it, for.
_TAKEN = {"conftest": "pytest", "recipes": "the folder of recipes", "setup": "pip", "tests": "the folder of tests"}
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def check_name(name: str) -> None:
    """Raise ``PluginError`` with a remedy unless a plugin can be called ``name`` on this machine."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise PluginError(
            f"plugin name {shown(name)}: lower-case letters and digits, in words with - or _ between them, a letter "
            f"first, {LONGEST} characters at most{_similar(name)}"
        )
    module = module_of(name)
    if keyword.iskeyword(module):
        raise PluginError(f"plugin name {name!r}: a word of Python's grammar, which cannot be imported{_other(name)}")
    if module in sys.stdlib_module_names:
        raise PluginError(f"plugin name {name!r}: Python has a module of that name itself{_other(name)}")
    if module in _TAKEN:
        raise PluginError(f"plugin name {name!r}: {module}.py would be in the way of {_TAKEN[module]}{_other(name)}")
    if module.startswith("test_") or module.endswith("_test"):
        raise PluginError(f"plugin name {name!r}: pytest would take {module}.py for tests{_other(name)}")
    _check_not_installed(name, module)


def module_of(name: str) -> str:
    """Return the module of a plugin: ``my_flows`` for ``my-flows``."""
    return name.replace("-", "_")


def part_of(name: str) -> str:
    """Return what recipes call the part: ``flows`` for ``genlab-flows``."""
    return module_of(name).removeprefix(PREFIX)


def _check_not_installed(name: str, module: str) -> None:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        found = None
    if found is not None:
        if _made_here_and_gone(found):
            return  # pip will put the new one in the place of the old
        raise PluginError(
            f"plugin name {name!r}: {found.metadata['Name']} {found.version} is installed, and installing the plugin "
            f"would remove it{_other(name)}, or first: pip uninstall {name}"
        )
    spec = find_spec(module)
    if spec is not None and spec.origin is not None:  # without one it is but a folder
        raise PluginError(
            f"plugin name {name!r}: there is a module {module} already, in {spec.origin}{_other(name)}"
        )


def _made_here_and_gone(found: metadata.Distribution) -> bool:
    """Whether a distribution was installed from a folder of this machine that is there no longer (PEP 610)."""
    try:
        origin = urlsplit(json.loads(found.read_text("direct_url.json") or "{}").get("url", ""))
    except ValueError:
        return False
    return origin.scheme == "file" and not Path(unquote(origin.path)).exists()


def _similar(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].rstrip("-")
    return f"; {words!r} is one" if words and words != name else ""


def _other(name: str) -> str:
    other = f"genlab-{name}"
    return f"; choose another, {other!r} for example" if len(other) <= LONGEST else "; choose another"
