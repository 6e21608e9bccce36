"""A fresh environment that has what ``pip install genlab`` brings, and an index of what else may be asked for.

Both are made of what is installed here, so that nothing is fetched: the environment sees the packages that genlab
requires and no others, and pip finds wheels of the rest, packed again from their files.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
import venv
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BRINGS = ("genlab", "pip")
MORE = ("genlab[testing]", "hatchling", "editables")  # the last two build packages, in environments of their own


def fresh(folder: Path) -> dict[str, str]:
    """Make an environment in a folder, with ``genlab`` and ``pip``; return the variables of who works in it."""
    env, seen, wheels = folder / "venv", folder / "site", folder / "wheels"
    venv.create(env, with_pip=False, symlinks=os.name != "nt")
    programs = env / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    seen.mkdir()
    wheels.mkdir()
    for name in required(*BRINGS):
        found = metadata.distribution(name)
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            if not (seen / top).exists():
                (seen / top).symlink_to(Path(str(found.locate_file(top))))
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    own = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    (Path(own) / "outer.pth").write_text(f"import site; site.addsitedir({str(seen)!r})\n")
    for name in BRINGS:
        script = programs / name
        script.write_text(
            f"#!{python}\nimport runpy, sys\nsys.path.pop(0)\nrunpy.run_module({name!r}, None, '__main__')\n"
        )
        script.chmod(0o755)
    for name in (required(MORE[0]) - required("genlab")) | required(*MORE[1:]):
        pack(metadata.distribution(name), wheels)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GENLAB_", "PIP_", "PYTEST_"))}
    return kept | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(env),
        "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GENLAB_STATE": str(folder / "state"), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }  # fmt: skip


def pack(found: metadata.Distribution, folder: Path) -> None:
    """Write the wheel that a distribution was installed from, as far as its files tell."""
    record = found.read_text("RECORD") or ""
    made_here = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
    rows = [
        row
        for row in csv.reader(record.splitlines())
        if not row[0].startswith("..") and "__pycache__" not in row[0] and Path(row[0]).name not in made_here
    ]
    info = next(path.parts[0] for path in found.files or () if path.parts[0].endswith(".dist-info"))
    tag = next(line for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: "))[5:]
    with zipfile.ZipFile(folder / f"{info.removesuffix('.dist-info')}-{tag}.whl", "w") as wheel:
        for path, *_ in rows:
            wheel.write(str(found.locate_file(path)), path)
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([*rows, [f"{info}/RECORD", "", ""]])
        wheel.writestr(f"{info}/RECORD", written.getvalue())


@cache
def required(*wanted: str) -> frozenset[str]:
    """Return the names of the distributions that pip installs for requirements."""
    found: dict[tuple[str, str], None] = {}
    todo = [Requirement(text) for text in wanted]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in found:
                continue
            found[name, extra] = None
            needs = map(Requirement, metadata.requires(name) or ())
            todo += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return frozenset(name for name, _ in found)
