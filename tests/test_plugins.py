from __future__ import annotations

import json
import os
import re
import signal
import sys
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

import genlab
from genlab.catalogue import catalogue
from genlab.cli import main
from genlab.errors import PluginError, RecipeError
from genlab.glance import INTERFACES
from genlab.plugins import Plugins, installed, load
from genlab.registry import KINDS
from genlab.resolving import recipe_from
from genlab.selection import Selection
from genlab_mnist import MNIST
from tests.sites import COMMAND, PART, REGISTER, Site, forget

Captured = pytest.CaptureFixture[str]

RECIPE = {"name": "r", "data": "bars", "latent": 2, "encoder": "mlp", "decoder": "mlp", "likelihood": "bernoulli"}


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
    "registers a name twice": (
        REGISTER.format(name="made") + "    class Other(Made): pass\n    register('made', Other)",
        "encoder 'made' is registered by a-plugin twice, as Made and as Other; rename the part",
    ),
    "needs a newer genlab": (
        "GENLAB_API = '1.7'" + REGISTER.format(name="made"),
        "it was written for API 1.7 of genlab; genlab 0.1.0 has API 1.0: pip install --upgrade genlab",
    ),
    "needs another age of genlab": (
        "GENLAB_API = '2.0'" + REGISTER.format(name="made"),
        "has API 1.0: pip install --upgrade genlab",
    ),
    "needs an older genlab": (
        "GENLAB_API = '0.9'" + REGISTER.format(name="made"),
        "it was written for API 0.9 of genlab; genlab 0.1.0 has API 1.0: pip install --upgrade a-plugin",
    ),
    "declares no version": (
        "GENLAB_API = 'newest'" + REGISTER.format(name="made"),
        "GENLAB_API = 'newest' is no version; MAJOR.MINOR is expected, as in '1.0'",
    ),
    "declares a number": (
        "GENLAB_API = 1.0" + REGISTER.format(name="made"),
        "GENLAB_API = 1.0 is no text; a text is expected, as in '1.0'",
    ),
    "changes the default dtype": (
        "import torch\ntorch.set_default_dtype(torch.float64)\n" + REGISTER.format(name="made"),
        "it changed torch's default dtype to torch.float64, for everybody; give tensors a dtype instead",
    ),
    "changes the default device": (
        "import torch\ntorch.set_default_device('meta')\n" + REGISTER.format(name="made"),
        "it changed torch's default device to meta, for everybody",
    ),
    "wants determinism": (
        "import torch\ntorch.use_deterministic_algorithms(True)\n" + REGISTER.format(name="made"),
        "it changed whether torch uses deterministic algorithms alone to True, for everybody",
    ),
    "looks for anomalies": (
        "import torch\ntorch.autograd.set_detect_anomaly(True)\n" + REGISTER.format(name="made"),
        "it changed whether autograd looks for anomalies to True, for everybody",
    ),
    "is in a hurry": (
        "import torch\ntorch.set_float32_matmul_precision('medium')\n" + REGISTER.format(name="made"),
        "it changed torch's precision of float32 products to medium, for everybody",
    ),
    "goes elsewhere": (
        "import os\nos.chdir('/')\n" + REGISTER.format(name="made"),
        "it changed the working directory to /, for everybody",
    ),
    "chooses the folder of runs": (
        "import os\nos.environ['GENLAB_RUNS'] = '/theirs'\n" + REGISTER.format(name="made"),
        "it changed the variable GENLAB_RUNS to /theirs, for everybody; it is the user's",
    ),
    "takes a variable away": (
        "import os\nos.environ.pop('GENLAB_STATE')\n" + REGISTER.format(name="made"),
        "it changed the variable GENLAB_STATE to None, for everybody",
    ),
    "clears the path of imports": (
        REGISTER.format(name="made") + "\nimport sys\nsys.path.clear()\n",
        "entries out of sys.path, by which everybody imports; only add to it",
    ),
    "puts another path in its place": (
        REGISTER.format(name="made") + "\nimport sys\nsys.path = ['/theirs']\n",
        "entries out of sys.path, by which everybody imports; only add to it",
    ),
    "takes the finders of modules away": (
        REGISTER.format(name="made") + "\nimport sys\nsys.meta_path.clear()\n",
        "entries out of sys.meta_path, by which everybody imports; only add to it",
    ),
    "takes the hooks of the path away": (
        REGISTER.format(name="made") + "\nimport sys\nsys.path_hooks.clear()\n",
        "entries out of sys.path_hooks, by which everybody imports; only add to it",
    ),
    "takes everything away and fails": (
        "import sys\nsys.path.clear()\nsys.meta_path.clear()\nraise KeyError('all of it')",
        "KeyError: 'all of it'",
    ),
    "wants to go deeper": (
        "import sys\nsys.setrecursionlimit(54_321)\n" + REGISTER.format(name="made"),
        "it changed Python's recursion limit to 54321, for everybody",
    ),
    "hears no Ctrl-C": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + REGISTER.format(name="made"),
        "it changed what SIGINT does to SIG_IGN, for everybody; that is how a run is stopped",
    ),
    "takes SIGTERM for itself": (
        "import signal\ndef mine(*_): pass\nsignal.signal(signal.SIGTERM, mine)\n" + REGISTER.format(name="made"),
        "it changed what SIGTERM does to mine, for everybody",
    ),
    "calls itself without end": ("def f():\n    f()\nf()", "RecursionError"),
    "is no text": ("x = 1\0", "SyntaxError: source code string cannot contain null bytes"),
    "takes the outputs away": (
        "import sys\nsys.stdout = sys.stderr = None\nraise ImportError('no outputs')",
        "ImportError: no outputs",
    ),
    "sets everything and fails": (
        "import os, torch\ntorch.set_num_threads(3)\ntorch.set_default_dtype(torch.float64)\nos.chdir('/')\n"
        "raise KeyError('all of it')",
        "KeyError: 'all of it'",
    ),
    "turns gradients off and fails": (
        "import torch\ntorch.set_grad_enabled(False)\nraise KeyError('x')\n",
        "KeyError: 'x'",
    ),
    "misspells a hook": (
        PART + "@genlab.hookimpl\ndef genlab_regster(register):\n    register('made', Made)",
        "unknown hook 'genlab_regster'; did you mean 'genlab_register'? "
        "there are: genlab_register, genlab_recipes, genlab_models, genlab_commands",
    ),
    "asks for what no hook is given": (
        PART + "@genlab.hookimpl\ndef genlab_register(register, app):\n    register('made', Made)",
        "hook 'genlab_register' asks for app; it is given register",
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
    here, before = Path.cwd(), standing()
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
    assert (torch.get_default_dtype(), torch.get_default_device()) == (torch.float32, torch.device("cpu"))
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.is_anomaly_enabled()
    assert torch.get_float32_matmul_precision() == "highest"
    assert Path.cwd() == here
    assert standing() == before


def standing() -> tuple[object, ...]:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    variables = {name: value for name, value in os.environ.items() if name.startswith("GENLAB_")}
    finders = [list(by) for by in (sys.path, sys.meta_path, sys.path_hooks)]
    return variables, sys.getrecursionlimit(), handlers, finders


@pytest.mark.parametrize(("code", "cause"), BROKEN.values(), ids=BROKEN.keys())
def test_beside_a_broken_plugin_the_reference_recipe_is_sound_and_the_doctor_names_the_culprit(
    code: str, cause: str, site: Site, capsys: Captured
) -> None:
    site.add("a-plugin", code)
    code_of_validate, out, err = said(["validate", "mnist_cvae"], capsys)
    assert (code_of_validate, out.count("mnist_cvae"), err) == (0, 1, "")
    ended, out, err = said(["plugins", "doctor"], capsys)
    assert (ended, err) == (1, "")
    named = out.partition("\na-plugin, entry point a_plugin: ")[2]
    assert cause in named.partition("\n")[0]
    assert out.endswith("plugins loaded, 1 failed\n")


@pytest.mark.mnist
def test_the_reference_recipe_trains_beside_all_of_them_at_once(site: Site, capsys: Captured) -> None:
    try:
        MNIST().split("train")
    except genlab.DataError as error:
        pytest.skip(f"all of MNIST is needed and cannot be had: {str(error).splitlines()[0]}")
    for number, (code, _) in enumerate(BROKEN.values()):
        site.add(f"broken-{number:02}", code)
    capsys.readouterr()
    short = ["data.limit=320", "train.epochs=1", "train.max_steps=5"]
    ended, out, err = said(["run", "mnist_cvae", "--device", "cpu", "-q", *short], capsys)
    assert (ended, err) == (0, "")
    assert genlab.load(out.strip()).sample(2).shape == (2, 1, 28, 28)
    ended, out, _ = said(["plugins", "doctor"], capsys)
    assert ended == 1
    for number, (_, cause) in enumerate(BROKEN.values()):
        named = out.partition(f"\nbroken-{number:02}, entry point broken_{number:02}: ")[2]
        assert cause.replace("a-plugin", f"broken-{number:02}") in named.partition("\n")[0]
    assert out.endswith(f"plugins loaded, {len(BROKEN)} failed\n")


def test_both_doctors_name_a_recipe_that_a_plugin_ships_and_that_does_not_open(
    site: Site, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "theirs.yaml").write_text(
        "name: theirs\ndata: bars\nlatent: 2\nencoder: mpl\ndecoder: mlp\nlikelihood: bernoulli\n"
    )
    (folder / "sound.yaml").write_text("extends: bars\n")
    hook = f"import genlab\n@genlab.hookimpl\ndef genlab_recipes():\n    return {str(folder)!r}\n"
    site.add("a-plugin", hook)
    code, out, _ = said(["plugins", "doctor"], capsys)
    assert code == 0  # something that it needs may not be here
    wrong = "shipped by a-plugin, cannot be opened: theirs.yaml:4:1: encoder: unknown encoder 'mpl'; did you mean"
    assert f"note: recipe 'theirs', {wrong}" in out
    assert "sound" not in out
    assert wrong in said(["doctor"], capsys)[1]


RECIPES = "import genlab\n@genlab.hookimpl\ndef genlab_recipes():\n    return {!r}\n"


def test_a_plugins_recipe_of_genlabs_name_takes_nothings_place(
    site: Site, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "bars.yaml").write_text("extends: genlab/bars\nlatent: 3\n")
    (tmp_path / "mine.yaml").write_text("extends: bars\n")
    site.add("a-plugin", RECIPES.format(str(folder)))
    for recipe, latent in {"bars": 16, str(tmp_path / "mine.yaml"): 16, "a-plugin/bars": 3}.items():
        code, out, err = said(["show", recipe], capsys)
        assert (code, f"latent: {latent}" in out) == (0, True), (recipe, out, err)


def test_the_doctor_names_a_folder_that_is_not_there(site: Site, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / "shipped"
    site.add("a-plugin", RECIPES.format(str(folder)))
    note = f"note: a-plugin says that it ships recipes, and there is no folder {folder}\n"
    assert note in said(["plugins", "doctor"], capsys)[1]
    folder.mkdir()
    assert note not in said(["plugins", "doctor"], capsys)[1]


def test_a_relative_folder_would_be_whatever_the_user_has_there(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", RECIPES.format("recipes"))
    code, out, _ = said(["plugins", "doctor"], capsys)
    assert code == 1
    assert "genlab_recipes returned 'recipes', a relative path; begin it with Path(__file__).parent" in out


def test_an_entry_point_that_names_no_module_is_that_plugins_fault_alone(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", REGISTER.format(name="made"))
    info = site.folder / "a_plugin-1.2.dist-info"
    (info / "entry_points.txt").write_text("[genlab]\nmine = not a module!\n")
    forget()
    assert said(["validate", "bars"], capsys)[0] == 0
    assert said(["--help"], capsys)[0] == 0
    assert "a-plugin 1.2: only running it would tell\n" in said(["plugins", "list"], capsys)[1]
    code, out, _ = said(["plugins", "doctor"], capsys)
    assert code == 1
    assert "a-plugin, entry point mine: entry point 'mine = not a module!' names no module; package or" in out


def test_metadata_that_are_no_text_are_no_reason_to_stop(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", REGISTER.format(name="made"))
    (site.folder / "a_plugin-1.2.dist-info" / "METADATA").write_bytes(b"Name: \xff\nVersion: \xfe\n")
    forget()
    assert said(["validate", "bars", "encoder=made"], capsys)[0] == 0
    assert "a_plugin unknown: encoder:made\n" in said(["plugins", "list"], capsys)[1]


def test_threads_and_random_states_are_put_back_in_silence(site: Site) -> None:
    threads, drawn, numbers = torch.get_num_threads(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    site.add(
        "a-plugin",
        "import random, numpy, torch\nrandom.seed(1)\nnumpy.random.seed(1)\ntorch.manual_seed(1)\n"
        f"torch.set_num_threads({threads + 2})\n" + REGISTER.format(name="made"),
    )
    assert site.load().failures == ()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), drawn)
    assert np.array_equal(np.random.get_state()[1], numbers[1])  # noqa: NPY002


def test_filters_of_warnings_are_put_back_in_silence(site: Site) -> None:
    before = list(warnings.filters)
    site.add("a-plugin", "import warnings\nwarnings.simplefilter('ignore')\n" + REGISTER.format(name="made"))
    assert site.load().failures == ()
    assert warnings.filters == before
    with pytest.raises(UserWarning, match="seen"):
        warnings.warn("seen", stacklevel=1)


def test_a_variable_of_a_library_may_be_set(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_LIBRARY", raising=False)
    site.add("a-plugin", "import os\nos.environ['A_LIBRARY'] = 'on'\n" + REGISTER.format(name="made"))
    assert site.load().failures == ()
    assert os.environ.pop("A_LIBRARY") == "on"


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
def with_a_broken_plugin(site: Site) -> None:
    site.add("a-plugin", "raise ImportError('no libfoo')")


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.usefixtures("with_a_broken_plugin")
def test_the_doctor_shows_the_traceback_and_ends_with_1(capsys: Captured) -> None:
    code, out, _ = said(["plugins", "doctor"], capsys)
    assert code == 1
    assert "plugin API 1.0, Python 3" in out
    assert "a-plugin, entry point a_plugin: ImportError: no libfoo" in out
    assert "raise ImportError('no libfoo')" in out
    assert out.endswith("plugins loaded, 1 failed\n")


def test_the_doctor_can_count(capsys: Captured) -> None:
    assert said(["--no-plugins", "plugins", "doctor"], capsys)[1].endswith("\n1 plugin loaded, 0 failed\n")


@pytest.mark.usefixtures("with_a_broken_plugin")
def test_both_doctors_work_where_a_broken_plugin_is_an_error(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENLAB_STRICT_PLUGINS", "1")
    assert "GENLAB_STRICT_PLUGINS=1\n" in said(["plugins", "doctor"], capsys)[1]
    code, out, _ = said(["doctor"], capsys)
    assert code == 1
    assert "could not be loaded: ImportError: no libfoo" in out


@pytest.mark.usefixtures("with_a_broken_plugin")
def test_a_recipe_trains_beside_a_broken_plugin_unless_that_is_an_error(
    bars: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(["run", str(bars), "train.epochs=1", "-q"], capsys)[0] == 0
    monkeypatch.setenv("GENLAB_STRICT_PLUGINS", "1")
    code, _, err = said(["run", str(bars), "train.epochs=1", "-q"], capsys)
    assert code == 2
    assert err == (
        "error: 1 plugin could not be loaded, and GENLAB_STRICT_PLUGINS=1 makes that an error; see "
        "`genlab plugins doctor`\n  a-plugin, entry point a_plugin: ImportError: no libfoo\n"
    )
    monkeypatch.setenv("GENLAB_STRICT_PLUGINS", "yes")
    code, _, err = said(["show", str(bars)], capsys)
    assert (code, err.partition(":")[2][:28]) == (2, " GENLAB_STRICT_PLUGINS=yes: ")


def test_a_plugin_that_prints_much_spoils_no_output(site: Site, bars: Path, capsys: Captured) -> None:
    alone = said(["show", str(bars)], capsys)[1]
    site.add("a-plugin", "print('much ' * 200_000)\n" + REGISTER.format(name="made"))
    code, out, err = said(["show", str(bars)], capsys)
    assert (code, out, len(err)) == (0, alone, 1_000_001)


def test_what_a_plugin_prints_while_it_is_loaded_does_not_spoil_the_output(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", "print('here I am')" + REGISTER.format(name="made") + "    print('registered')")
    assert names(site.load()) == ["made", "mlp"]
    assert capsys.readouterr() == ("", "here I am\nregistered\n")


def test_nothing_can_be_registered_once_the_plugins_are_loaded(site: Site) -> None:
    site.add("a-plugin", REGISTER.format(name="made") + "    global late\n    late = register")
    plugins = site.load()
    import a_plugin  # type: ignore[import-not-found]

    with pytest.raises(PluginError, match="part 'more': registered too late"):
        a_plugin.late("more", a_plugin.Made)
    assert names(plugins) == ["made", "mlp"]


# -- which plugins are loaded ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "allowed", ["a-plugin", "a_plugin", "a-plugin,c-plugin", " a-plugin ,", "A.Plugin", "a__PLUGIN"]
)
def test_an_allow_list_names_distributions_or_entry_points(
    site: Site, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dist in ("a-plugin", "b-plugin", "c-plugin"):
        site.add(dist, REGISTER.format(name=dist[0]))
    monkeypatch.setenv("GENLAB_PLUGINS", allowed)
    plugins = installed()
    loaded = {name for name, _ in plugins.distributions}
    assert {"genlab", "a-plugin"} <= loaded
    assert ("c-plugin" in loaded) == ("c-plugin" in allowed)
    assert "b-plugin" not in loaded
    with pytest.raises(
        PluginError, match=r"unknown encoder 'b'; (?s:.*)plugin b-plugin is left out by GENLAB_PLUG"
    ):
        plugins.registry.get("encoder", "b")
    monkeypatch.setenv("GENLAB_PLUGINS", "")
    assert "b-plugin" in dict(installed().distributions)


@pytest.mark.parametrize("nothing", [",", " , ,"])
def test_an_allow_list_of_nothing_is_an_error(
    nothing: str, bars: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENLAB_PLUGINS", nothing)
    code, out, err = said(["show", str(bars)], capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: GENLAB_PLUGINS={nothing}: it names no plugin; one or more are expected")
    monkeypatch.setenv("GENLAB_PLUGINS", "")
    assert said(["show", str(bars)], capsys)[0] == 0


def test_an_allow_list_that_names_what_is_not_there_is_an_error(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", REGISTER.format(name="a"))
    with pytest.raises(PluginError) as caught:
        load(site.entry_points, Selection(allowed=("a-plugim",)))
    assert str(caught.value) == (
        "GENLAB_PLUGINS=a-plugim: there is no plugin 'a-plugim'; did you mean 'a-plugin'? installed: a-plugin"
    )


@pytest.mark.parametrize("where", [0, 1, 2])
def test_no_plugins_may_stand_anywhere_and_holds_for_one_command(
    site: Site, bars: Path, where: int, capsys: Captured
) -> None:
    site.add("a-plugin", "raise ImportError('never reached')")
    words = ["show", str(bars)]
    words.insert(where, "--no-plugins")
    assert said(words, capsys)[0] == 0
    assert said([*words, "encoder=tiny"], capsys)[0] == 2
    assert "a_plugin" not in sys.modules
    assert said(["show", str(bars), "encoder=tiny"], capsys)[0] == 0


# -- list and inspect ------------------------------------------------------------------------------------------


def test_the_list_says_what_each_adds_and_imports_none(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", "raise SystemExit('imported!')" + REGISTER.format(name="made"), summary="One encoder.")
    site.add("a-plugin", COMMAND.format(name="hello"), module="more")
    site.add("b-plugin", PART + "@genlab.hookimpl\ndef genlab_register(register):\n    each(register)\n")
    code, out, err = said(["plugins", "list"], capsys)
    assert (code, err) == (0, "")
    assert "\na-plugin 1.2: encoder:made, command:hello\n" in out
    assert "\nb-plugin 1.2: only running it would tell\n" in out
    assert out.startswith("genlab 0.1.0: data:bars, encoder:mlp,")
    rows = {row["distribution"]: row for row in json.loads(said(["plugins", "list", "--json"], capsys)[1])}
    assert rows["a-plugin"]["summary"] == "One encoder."
    assert rows["a-plugin"]["entry_points"] == ["a_plugin = a_plugin", "more = more"]
    out = said(["plugins", "list", "--no-plugins"], capsys)[1]
    assert "a-plugin 1.2 (left out by --no-plugins): encoder:made" in out


def test_the_list_agrees_with_what_is_registered_once_they_are_imported() -> None:
    listed = {f"{entry.distribution} {part}" for entry in catalogue() for part in entry.adds if ":" in part}
    plugins = load(metadata.entry_points(group="genlab"))
    parts = {f"{part.distribution} {part.kind}:{part.name}" for part in plugins.registry.parts()}
    assert parts == {part for part in listed if " command:" not in part}
    assert {interface.__name__: kind for kind, interface in KINDS.items()} == INTERFACES


def test_inspect_shows_options_with_defaults_and_meanings(site: Site, capsys: Captured) -> None:
    code, out, _ = said(["plugins", "inspect", "tiny"], capsys)
    assert code == 0
    assert out.startswith("genlab-tiny 0.1.0: The smallest useful genlab plugin: one encoder\n")
    assert "encoder tiny: One hidden layer" in out
    assert re.search(r"width +256 +an integer > 0 +of the hidden layer", out)
    for spelled in ("genlab_tiny", "GENLAB-TINY", "Tiny"):
        assert said(["plugins", "inspect", spelled], capsys) == (0, out, "")
    mnist = said(["plugins", "inspect", "genlab-mnist"], capsys)[1]
    assert "recipes       fashion_mnist_cvae, mnist_cvae" in mnist
    assert re.search(r"kernel +3 +an integer >= 3 +height and width of every kernel, odd", mnist)
    schema = json.loads(said(["plugins", "inspect", "tiny", "--schema"], capsys)[1])
    assert schema["encoder.tiny"]["properties"]["width"]["exclusiveMinimum"] == 0
    plain = json.loads(said(["plugins", "inspect", "tiny", "--json"], capsys)[1])
    assert plain["parts"][0]["options"][0]["default"] == 256


def test_inspect_of_what_is_broken_or_absent(site: Site, capsys: Captured) -> None:
    site.add("a-plugin", "raise ImportError('no libfoo')")
    code, out, _ = said(["plugins", "inspect", "a-plugin"], capsys)
    assert code == 0
    assert "could not be loaded: ImportError: no libfoo; see `genlab plugins doctor`" in out
    code, _, err = said(["plugins", "inspect", "genlab-tini"], capsys)
    assert code == 2
    assert err.startswith(
        "error: no plugin 'genlab-tini'; did you mean 'genlab-tiny'? installed: genlab, a-plugin"
    )


def test_a_plugin_may_add_to_the_path_of_imports(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    site.add("a-plugin", "import sys\nsys.path.insert(0, '/theirs')\n" + REGISTER.format(name="made"))
    assert names(site.load()) == ["made", "mlp"]
    assert sys.path[0] == "/theirs"


def test_a_plugin_that_seeds_changes_no_random_number(site: Site) -> None:
    site.add(
        "a-plugin", "import random, torch\ntorch.manual_seed(1)\nrandom.seed(1)\n" + REGISTER.format(name="made")
    )
    state = torch.get_rng_state()
    assert names(site.load()) == ["made", "mlp"]
    assert torch.equal(torch.get_rng_state(), state)
