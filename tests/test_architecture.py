"""The shape of the code: imports point one way, plugins use public names, the public surface is frozen."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import genlab

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "genlab").rglob("*.py"))
PLUGINS = [path for path in (ROOT / "plugins").rglob("*.py") if "tests" not in path.parts]

# From the ground up; a module may import from layers below its own, and from its own.
LAYERS = [
    {
        "api",
        "deprecation",
        "errors",
        "glance",
        "hooks",
        "importing",
        "selection",
        "single",
        "steady",
        "seeds",
        "source",
        "space",
        "tree",
        "files",
        "mistakes",
        "folders",
        "units",
        "vision",
        "wording",
        "naming",
        "writing",
        "interpolation",
        "distributions",
        "device",
        "precision",
        "runfiles",
    },
    {"entries"},
    {"interfaces", "docstrings", "catalogue"},
    {"contract"},
    {"model", "registry"},
    {"plugins", "summary"},
    {"exits"},
    {"inspection"},
    {"parts", "data", "plots"},
    {"evaluate"},
    {"train"},
    {"recipe", "owners", "environment", "lock"},
    {"extending", "overrides", "resolving", "opening"},
    {"build", "blame", "runs", "schema"},
    {"store", "prepare", "rehearsal", "shipped", "health", "drafts", "placing", "scaffold"},
    {"card", "assembly", "difference", "finding"},
    {"digest"},
    {"comparison", "housekeeping"},
    {"keeper", "report"},
    {"session"},
    {"experiment", "vocabulary"},
    {"sweep", "bench"},
    {"cli", "__main__"},
    {"testing"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def module_of(path: Path) -> str:
    return path.relative_to(ROOT / "genlab").with_suffix("").parts[0]


def imports(tree: ast.AST) -> set[str]:
    """Every genlab module that a file imports anywhere, type-checking blocks left out."""
    found: set[str] = set()
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            skipped |= {child for stmt in node.body for child in ast.walk(stmt)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("genlab"):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("genlab")}
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = module_of(path)
    if own == "__init__":
        return  # the public names, loaded lazily
    assert own in LEVEL, f"{own} has no layer"
    for imported in imports(ast.parse(path.read_text())):
        if imported == "genlab":
            continue
        other = imported.split(".")[1]
        assert LEVEL[other] <= LEVEL[own], f"{path.name} ({own}) imports {imported}, which lies above it"


def test_train_never_imports_recipe_and_the_core_never_imports_a_plugin() -> None:
    for path in CORE:
        found = imports(ast.parse(path.read_text()))
        assert not any(
            name.startswith(("genlab_flows", "genlab_mnist", "genlab_optuna", "genlab_tiny")) for name in found
        )
        if module_of(path) == "train":
            assert not found & {"genlab.recipe", "genlab.plugins", "genlab.registry"}


@pytest.mark.parametrize("path", PLUGINS, ids=lambda p: p.name)
def test_plugins_use_public_names_only(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert {name for name in imports(tree) if name.split(".")[0] == "genlab"} <= {"genlab"}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "genlab"
    }
    assert used <= set(genlab.__all__)


def test_the_public_surface_is_frozen() -> None:
    assert genlab.__all__ == [
        "API_VERSION", "Choices", "DataError", "DataSource", "Decoder", "Encoder", "Examples", "GenlabError",
        "LatentModel", "Likelihood", "Objective", "Prior", "Range", "Register", "Run", "Schedule", "Search",
        "Terms", "Tracker", "__version__", "diagonal_normal", "hookimpl", "import_torchvision", "load", "resume",
        "run",
    ]  # fmt: skip
    for name in genlab.__all__:
        assert getattr(genlab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Encodr'"):
        genlab.Encodr  # noqa: B018


def test_nothing_is_pickled() -> None:
    forbidden = re.compile(r"torch\.(load|save)\(|\bpickle\b|\beval\(|\bexec\(")
    for path in [*CORE, *PLUGINS]:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            code = line.partition("#")[0]
            if re.search(r"\.eval\(\)", code):
                continue
            assert not forbidden.search(code), f"{path}:{number}: {line}"


def test_devices_are_named_in_one_place() -> None:
    named = re.compile(r"[\"'](cuda|mps|xpu)[\"':]|torch\.(cuda|mps|xpu)\b")
    for path in [*CORE, *PLUGINS]:
        if path.name == "device.py":
            continue
        assert not named.search(path.read_text()), path


def test_readme_opens_with_the_makefiles_two_commands() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    first_block = re.search(r"(?:^    .+\n)+", readme, re.MULTILINE)
    assert first_block is not None
    assert re.findall(r"^    make (\w+)", first_block[0], re.MULTILINE) == ["mnist", "test"]
    for target in set(re.findall(r"(?:^    |`)make ([\w-]+)", readme, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"README names make {target}"


def test_the_table_of_modules_names_all_that_there_are() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = set()
    for row in rows:
        folder = Path()
        for name in re.findall(r"`([^`]+)`", row):
            folder = Path(name).parent if "/" in name else folder  # `genlab/runs.py`, `store.py`
            named.add(folder / Path(name).name)
    assert [name for name in named if not (ROOT / name).exists()] == []
    own = {path.relative_to(ROOT) for path in (ROOT / "genlab").iterdir() if not path.name.startswith(("_", "."))}
    assert own - named <= {Path("genlab/py.typed"), Path("genlab/recipes")}
