"""``genlab new plugin``: what it writes works as it is, for every kind, and a name that would not is refused."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from genlab import files
from genlab.cli import main
from genlab.errors import PluginError, RunError
from genlab.naming import LONGEST
from genlab.opening import open_recipe
from genlab.plugins import Plugins, load
from genlab.registry import KINDS as PARTS
from genlab.rehearsal import rehearse
from genlab.scaffold import KINDS, NewPlugin, class_name, new_plugin
from tests.fresh import fresh

ROOT = Path(__file__).parent.parent
Captured = pytest.CaptureFixture[str]
each_kind = pytest.mark.parametrize("kind", KINDS)


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_there_is_a_template_for_every_kind_of_part(capsys: Captured) -> None:
    assert set(KINDS) == {*PARTS, "command"}
    help_text = said(["new", "plugin", "--help"], capsys)[1]
    for kind in KINDS:
        assert kind in help_text


@each_kind
def test_these_files_are_written(kind: str, tmp_path: Path) -> None:
    made = new_plugin("my-demo", kind, tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {
        "my-demo/.github/workflows/ci.yml", "my-demo/.gitignore", "my-demo/README.md", "my-demo/my_demo.py",
        "my-demo/pyproject.toml", "my-demo/recipes/my-demo.yaml", "my-demo/tests/test_my_demo.py",
    }  # fmt: skip
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "ci.yml":
            assert "$" not in path.read_text(), path  # every placeholder was filled
    assert "python-version: ${{ matrix.python }}" in (made.folder / ".github/workflows/ci.yml").read_text()
    assert [made.module, made.recipe, made.tests] == [
        tmp_path / "my-demo" / name for name in ("my_demo.py", "recipes/my-demo.yaml", "tests/test_my_demo.py")
    ]


@each_kind
def test_the_part_is_some_fifteen_statements(kind: str, tmp_path: Path) -> None:
    tree = ast.parse(new_plugin("demo", kind, tmp_path).module.read_text())
    own = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Assign) and "genlab_" not in ast.unparse(node)
    ]
    statements = [
        node
        for part in own
        for node in ast.walk(part)
        if isinstance(node, ast.stmt) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    assert 5 <= len(statements) <= 25


def test_ruff_has_nothing_to_say_whatever_the_name(tmp_path: Path) -> None:
    for kind in KINDS:
        for name in ("x", "my-demo", "a" * LONGEST, f"{'a' * (LONGEST - 2)}-b"):
            (tmp_path / kind).mkdir(exist_ok=True)
            new_plugin(name, kind, tmp_path / kind)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([*ruff, *command, "--no-cache", tmp_path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_mypy_has_nothing_to_say_however_strict(tmp_path: Path) -> None:
    made = [new_plugin(f"demo-{kind}", kind, tmp_path).module for kind in KINDS]
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--config-file="]
    done = subprocess.run([*mypy, *made], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the modules that a test imports."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("demo"):
            del sys.modules[name]


def loaded(made: NewPlugin, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """Load a plugin beside genlab's own parts, as if it were installed."""
    monkeypatch.syspath_prepend(str(made.folder))
    builtin = [e for e in metadata.entry_points(group="genlab") if e.value == "genlab.parts"]
    return load([*builtin, metadata.EntryPoint(made.module.stem, made.module.stem, "genlab")])


@each_kind
@pytest.mark.usefixtures("imports")
def test_it_loads_and_its_recipe_takes_a_step(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new_plugin(f"demo-{kind}", kind, tmp_path)
    plugins = loaded(made, monkeypatch)
    assert plugins.failures == ()
    assert (made.name.replace("-", "_"), made.recipe.parent) in plugins.recipe_folders
    opened = open_recipe(made.recipe, registry=plugins.registry)
    assert opened.recipe.name == made.name
    if kind != "command":
        part = plugins.registry.get(kind, made.part)
        assert part.summary
        assert part.cls.__name__ == class_name(made.part, kind)
    if kind not in ("search", "command"):
        assert made.part in str(opened.recipe.written()[f"{kind}s" if kind == "tracker" else kind])
    assert rehearse(opened, plugins.registry).warnings == ()


@pytest.mark.parametrize(
    ("part", "kind", "name"),
    [
        ("demo", "encoder", "DemoEncoder"),
        ("my_flows", "prior", "MyFlowsPrior"),
        ("my_encoder", "encoder", "MyEncoder"),
        ("encoder", "encoder", "Encoder"),
        ("x2_b", "data", "X2BData"),
    ],
)
def test_the_class_is_named_after_part_and_kind(part: str, kind: str, name: str) -> None:
    assert class_name(part, kind) == name


def test_a_name_that_begins_with_genlab_is_not_repeated_in_recipes(tmp_path: Path) -> None:
    made = new_plugin("genlab-demo", "prior", tmp_path)
    assert (made.part, made.module.name, made.recipe.name) == ("demo", "genlab_demo.py", "genlab-demo.yaml")
    assert "prior: {use: demo, " in made.recipe.read_text()
    assert new_plugin("genlab-2d", "prior", tmp_path).part == "genlab_2d"  # a part's name begins with a letter


NAMES = {
    "Demo": "lower-case letters and digits are allowed, .*; 'demo' would do",
    "My Encoder!": "'my-encoder' would do",
    "../up": "'up' would do",
    "a.b": "'a-b' would do",
    "9lives": "'lives' would do",
    "demo\n": "'demo' would do",
    "": "a letter first",
    "-": "a letter first",
    "é": "a letter first",
    "my--demo": "'my-demo' would do",
    "a" * (LONGEST + 1): f"{LONGEST} characters at most",
    "class": "a word of Python's grammar, .*; choose another, 'my-class' for example",
    "null": "recipes would have the word 'null', which YAML may read as no text; choose another, 'my-null' for",
    "genlab-true": "recipes would have the word 'true', which YAML may read as no text; .* 'my-genlab-true' for",
    "false": "which YAML may read as no text",
    "yes": "which YAML may read as no text",
    "no": "which YAML may read as no text",
    "on": "which YAML may read as no text",
    "off": "which YAML may read as no text",
    "1e3": "a letter first",
    "~": "a letter first",
    "random": "Python has a module of that name itself; choose another, 'my-random'",
    "numpy": r"numpy \S+ is installed, and the plugin would take its place; .* 'my-numpy' for example$",
    "genlab": r"genlab \S+ is installed, .* 'my-genlab' for example$",
    "yaml": "there is a module yaml already, ",
    "tests": "tests.py would be in the way of the folder of tests",
    "recipes": "recipes.py would be in the way of the folder of recipes",
    "conftest": "conftest.py would be in the way of pytest",
    "test-demo": "pytest would take test_demo.py for tests",
    "mlp": "genlab has an encoder 'mlp' already; choose another, 'my-mlp' for example",
    "genlab-mlp": "genlab has an encoder 'mlp' already",
    "bars": "genlab has a recipe 'bars' already",
}


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_that_would_not_do_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=f"(?s)^plugin name .*{NAMES[name]}"):
        new_plugin(name, "encoder", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_kind_may_have_the_name(tmp_path: Path) -> None:
    assert new_plugin("sgd", "prior", tmp_path).part == "sgd"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--kind", "encodr"], "unknown kind 'encodr'; did you mean 'encoder'? there are: encoder, deco"),
        (["demo", "--kind", "Prior"], "unknown kind 'Prior'; did you mean 'prior'?"),
        (["demo", "--kind", ""], "unknown kind ''; there are: "),
        (["demo"], "missing option '--kind'"),
        (["--kind", "prior"], "missing argument 'NAME'"),
        (["run", "--kind", "command"], "plugin name 'run': there is a command 'genlab run' already; choose anot"),
        (
            ["demo", "--kind", "prior", "--dir", "nowhere"],
            "nowhere/demo: there is no folder nowhere; make it",
        ),
        (["demo", "--kind", "prior", "--dir", __file__], f"{__file__}/demo: {__file__} is no folder"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    arguments: list[str], message: str, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(["new", "plugin", *arguments], capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_can_be_typed(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(["new", "plugin", "demo", "--kind", "decoder"], capsys)
    assert (code, err) == (0, "")
    assert "demo/demo.py " in out
    assert "pip install -e ./demo\n" in out
    assert "pytest demo\n" in out
    assert "genlab run demo/recipes/demo.yaml\n" in out

    (tmp_path / "a b").mkdir()
    out = said(["new", "plugin", "demo", "--kind", "decoder", "--dir", "a b"], capsys)[1]
    assert "pip install -e ./'a b/demo'\n" in out
    assert (tmp_path / "a b" / "demo" / "demo.py").is_file()


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_nothing_is_overwritten(there: str, capsys: Captured, tmp_path: Path) -> None:
    target = tmp_path / "demo"
    if there == "folder":
        target.mkdir()
        (target / "demo.py").write_text("mine")
    elif there == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    code, _, err = said(["new", "plugin", "demo", "--kind", "prior", "--dir", str(tmp_path)], capsys)
    assert code == 2
    assert "already; choose another name or --dir, or move it away" in err
    assert list(tmp_path.iterdir()) == [target]
    if there != "link":
        assert (target / "demo.py" if there == "folder" else target).read_text() == "mine"


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    fsync = os.fsync

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        new_plugin("demo", "prior", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full", [False, True])
def test_what_appears_meanwhile_is_left_alone(full: bool, tmp_path: Path) -> None:
    target = tmp_path / "demo"
    filling = files.new_folder(target)
    (filling.__enter__() / "ours").touch()
    target.mkdir()
    theirs = [target / "theirs"] if full else []
    for path in theirs:
        path.touch()
    with pytest.raises(RunError) as caught:
        filling.__exit__(None, None, None)
    said = f"{target}: there is such a folder now, made meanwhile by somebody else; choose another name"
    assert str(caught.value) == said
    assert list(tmp_path.iterdir()) == [target]
    assert list(target.iterdir()) == theirs


@pytest.mark.usefixtures("imports")
def test_the_name_of_an_own_plugin_that_was_thrown_away_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, old = tmp_path / "site", tmp_path / "old" / "demo"
    info = site / "demo-0.1.0.dist-info"
    info.mkdir(parents=True)
    old.mkdir(parents=True)
    (site / "demo.py").touch()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[genlab]\ndemo = demo\n")
    (info / "direct_url.json").write_text(f'{{"url": "{old.as_uri()}", "dir_info": {{}}}}')
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(PluginError, match=r"demo 0.1.0 is installed, .*, or pip uninstall demo first$"):
        new_plugin("demo", "prior", tmp_path)
    old.rmdir()
    assert new_plugin("demo", "command", tmp_path, commands=["demo"]).folder == tmp_path / "demo"


def test_the_templates_are_in_the_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "genlab/templates").rglob("*") if path.is_file()}
    assert len(templates) == 5 + 4 * len(KINDS)
    assert templates <= packed


@pytest.mark.slow
@each_kind
def test_it_is_installed_passes_its_tests_and_trains(kind: str, tmp_path: Path) -> None:
    """In an environment that has genlab and what that requires; nothing is fetched."""
    environment = fresh(tmp_path)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    run("genlab", "new", "plugin", "demo", "--kind", kind)
    run("pip", "install", "--quiet", "./demo")
    run("pytest", "demo")
    run("python", "-c", "import jsonschema")  # without which one of genlab's checks is skipped
    # By its name, as the wheel brought it; the plugin's own tests train the file.
    out = run("genlab", "run", "demo", "train.epochs=1", "--quiet")
    assert (tmp_path / out.strip() / "report.html").is_file()
    if kind == "command":
        assert "nats per example" in run("genlab", "demo", "demo", "-n", "20")
    if kind == "search":
        sweep = ("latent=2..4", "--search", "demo", "--trials", "2", "train.epochs=1", "--quiet")
        out = run("genlab", "sweep", "demo", *sweep)
        assert (tmp_path / out.strip() / "summary.csv").is_file()
