from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from textwrap import dedent

import pytest

from genlab.cli import main
from genlab.errors import PluginError, RecipeError
from genlab.plugins import Plugins, installed, load
from genlab.resolving import recipe_from

PART = """
import genlab

class Made(genlab.Encoder):
    '''An encoder.'''
    def __init__(self, x_shape, latent, *, width: int = 1):
        super().__init__()
    def forward(self, x):
        raise NotImplementedError
"""

REGISTER = (
    PART
    + """
@genlab.hookimpl
def genlab_register(register):
    register("{name}", Made)
"""
)

RECIPE = {"name": "r", "data": "bars", "latent": 2, "encoder": "mlp", "decoder": "mlp", "likelihood": "bernoulli"}


class Site:
    """Distributions that look installed: each a module, an entry point and metadata of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entry_points: list[metadata.EntryPoint] = []

    def add(self, dist: str, code: str, *, module: str | None = None, version: str = "1.2") -> None:
        module = module or dist.replace("-", "_")
        (self.folder / f"{module}.py").write_text(dedent(code))
        info = self.folder / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        entry_point = metadata.EntryPoint(module, module, "genlab")
        vars(entry_point).update(dist=metadata.PathDistribution(info))
        self.entry_points.append(entry_point)

    def load(self) -> Plugins:
        builtin = [e for e in metadata.entry_points(group="genlab") if e.value == "genlab.parts"]
        return load([*self.entry_points, *builtin])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield Site(folder)
    for name in [
        name for name, m in sys.modules.items() if str(getattr(m, "__file__", "")).startswith(str(folder))
    ]:
        del sys.modules[name]


def names(plugins: Plugins, kind: str = "encoder") -> list[str]:
    return [part.name for part in plugins.registry.parts(kind)]


def test_the_built_in_parts_come_in_by_an_entry_point() -> None:
    plugins = load(e for e in metadata.entry_points(group="genlab") if e.value == "genlab.parts")
    assert names(plugins) == ["mlp"]
    assert [name for name, _ in plugins.distributions] == ["genlab"]
    assert load([]).registry.parts() == []


def test_a_plugin_brings_parts_recipes_and_models(site: Site) -> None:
    site.add(
        "good-plugin",
        REGISTER.format(name="made")
        + """
from pathlib import Path
@genlab.hookimpl
def genlab_recipes():
    return Path("/recipes")
@genlab.hookimpl
def genlab_models():
    return "/models"
""",
    )
    plugins = site.load()
    assert names(plugins) == ["made", "mlp"]
    assert plugins.registry.get("encoder", "made").distribution == "good-plugin"
    assert plugins.recipe_folders[1:] == (("good-plugin", Path("/recipes")),)  # genlab's own come first
    assert plugins.model_folders == (("good-plugin", Path("/models")),)
    assert dict(plugins.distributions)["good-plugin"] == "1.2"
    assert plugins.failures == ()


BROKEN = {
    "raises at import": ("raise ImportError('no libfoo')", "ImportError: no libfoo"),
    "needs a module that is absent": ("import not_there_at_all", "No module named 'not_there_at_all'"),
    "is not Python": ("def f(:", "SyntaxError"),
    "calls sys.exit": ("import sys; sys.exit('bye')", "it called sys.exit('bye')"),
    "raises an exception of its own": (
        "class Panic(BaseException):\n    pass\nraise Panic('deep down')",
        "Panic: deep down",
    ),
    "raises an exception that cannot be shown": (
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nraise Odd",
        "Odd",
    ),
    "raises after registering": (
        REGISTER.format(name="made") + "    raise RuntimeError('half done')",
        "RuntimeError: half done",
    ),
    "exits after registering": (REGISTER.format(name="made") + "    raise SystemExit(3)", "sys.exit(3)"),
    "registers what is no part": (
        REGISTER.format(name="made") + "    register('other', int)",
        "part 'other' is class int; a subclass of one of",
    ),
    "registers an abstract class": (
        REGISTER.format(name="made") + "    register('other', genlab.Encoder)",
        "Encoder does not implement forward",
    ),
    "registers an option without annotation": (
        REGISTER.replace("width: int = 1", "width=1").format(name="made"),
        "option 'width' has no annotation",
    ),
    "registers **options": (REGISTER.replace("*, width: int = 1", "**o").format(name="made"), "takes **o"),
    "takes a built-in name": (
        REGISTER.format(name="made") + "    register('mlp', Made)",
        "encoder 'mlp' is registered by both genlab and a-plugin",
    ),
    "misspells a hook": (
        PART + "@genlab.hookimpl\ndef genlab_regster(register):\n    register('made', Made)",
        "unknown hook 'genlab_regster'",
    ),
    "asks for what no hook is given": (
        PART + "@genlab.hookimpl\ndef genlab_register(register, app):\n    register('made', Made)",
        "app",
    ),
    "implements no hook": (PART, "implements no hook; decorate a function named genlab_register"),
    "forgets the decorator": (
        PART + "def genlab_register(register):\n    register('made', Made)",
        "implements no hook; decorate a function named genlab_register",
    ),
    "returns no folder": (
        REGISTER.format(name="made") + "\n@genlab.hookimpl\ndef genlab_models():\n    return 3\n",
        "TypeError",
    ),
}


@pytest.mark.parametrize(("code", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_plugin_leaves_nothing_behind_and_everything_else_works(
    code: str, cause: str, site: Site
) -> None:
    site.add("a-plugin", code)
    site.add("z-plugin", REGISTER.format(name="good"))
    plugins = site.load()
    assert names(plugins) == ["good", "mlp"]
    assert [name for name, _ in plugins.distributions] == ["genlab", "z-plugin"]
    (failure,) = plugins.failures
    assert failure.distribution == "a-plugin"
    assert failure.entry_point == "a_plugin"
    assert cause in failure.cause
    assert "\n" not in failure.cause
    assert "Traceback (most recent call last)" in failure.traceback
    assert recipe_from({**RECIPE, "encoder": "good"}, "r", registry=plugins.registry).encoder.use == "good"


def test_a_recipe_that_needs_a_broken_plugin_fails_with_its_cause(site: Site) -> None:
    site.add("a-plugin", "raise ImportError('no libfoo')")
    registry = site.load().registry
    with pytest.raises(RecipeError) as caught:
        recipe_from({**RECIPE, "encoder": "made"}, "r.yaml", registry=registry)
    assert str(caught.value) == (
        "r.yaml: encoder: unknown encoder 'made'; installed: mlp\n"
        "  (plugin a-plugin could not be loaded: ImportError: no libfoo; see `genlab plugins doctor`)"
    )


def test_an_interrupt_while_a_plugin_loads_is_not_swallowed(site: Site) -> None:
    site.add("a-plugin", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        site.load()


def test_of_two_plugins_with_one_name_the_first_works_and_the_error_names_both(site: Site) -> None:
    site.add("b-plugin", REGISTER.format(name="made"))
    site.add("a-plugin", REGISTER.format(name="made"))
    plugins = site.load()
    assert plugins.registry.get("encoder", "made").distribution == "a-plugin"
    (failure,) = plugins.failures
    assert failure.distribution == "b-plugin"
    assert "'made' is registered by both a-plugin and b-plugin; uninstall one of them" in failure.cause


def test_entry_points_of_one_distribution_are_isolated_from_each_other(site: Site) -> None:
    site.add("a-plugin", "raise ValueError('one')", module="first")
    site.add("a-plugin", REGISTER.format(name="made"), module="second")
    site.add("a-plugin", "raise ValueError('three')", module="third")
    plugins = site.load()
    assert names(plugins) == ["made", "mlp"]
    assert [failure.entry_point for failure in plugins.failures] == ["first", "third"]
    with pytest.raises(PluginError, match=r"(?s)ValueError: one.*ValueError: three"):
        plugins.registry.get("encoder", "nope")


def test_a_distribution_without_a_name_or_none_at_all_can_still_be_loaded(site: Site) -> None:
    site.add("a-plugin", REGISTER.format(name="made"))
    site.add("b-plugin", REGISTER.format(name="other"))
    (site.folder / "a_plugin-1.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    vars(site.entry_points[1])["dist"] = None
    plugins = site.load()
    assert names(plugins) == ["made", "mlp", "other"]
    assert plugins.registry.get("encoder", "made").distribution == "a_plugin"
    assert dict(plugins.distributions)["b_plugin"] == "unknown"


def test_installed_plugins_are_loaded_once() -> None:
    assert installed() is installed()


@pytest.fixture
def with_a_broken_plugin(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("a-plugin", "raise ImportError('no libfoo')")
    plugins = site.load()
    monkeypatch.setattr("genlab.plugins.installed", lambda: plugins)


@pytest.mark.usefixtures("with_a_broken_plugin")
def test_the_doctor_shows_the_traceback_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "doctor"])
    assert ended.value.code == 1
    out = capsys.readouterr().out
    assert "a-plugin, entry point a_plugin: ImportError: no libfoo" in out
    assert "raise ImportError('no libfoo')" in out
    assert "1 plugins loaded, 1 failed" in out


@pytest.mark.usefixtures("with_a_broken_plugin")
def test_the_list_names_a_broken_plugin_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "list"])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "encoder:mlp" in said.out
    assert "a-plugin: could not be loaded: ImportError: no libfoo" in said.err
