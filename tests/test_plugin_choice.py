"""Names that several plugins bring: everywhere a recipe is read, written, checked, stored or completed."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

import genlab
from genlab import vocabulary
from genlab.cli import main
from genlab.drafts import Answers, draft
from genlab.errors import ModelError, PluginError, RecipeError
from genlab.opening import open_recipe, open_text
from genlab.plugins import installed
from genlab.runs import RunDirectory
from genlab.schema import recipe_schema
from genlab.store import find, read_config
from tests.sites import COMMAND, PART, REGISTER, Site

Captured = pytest.CaptureFixture[str]
ONE = {"train.epochs": 1, "data.examples": 60}


@pytest.fixture
def two(site: Site) -> Site:
    """Two plugins that bring an encoder of the same name, and one of them one with genlab's."""
    site.add("a-plugin", REGISTER.format(name="made"))
    site.add("b-plugin", REGISTER.format(name="made") + "    register('mlp', Made)")
    return site


@pytest.mark.usefixtures("two")
def test_the_bare_name_is_an_error_with_its_place_that_says_how_to_choose(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: r\ndata: bars\nlatent: 2\nencoder: {use: made}\ndecoder: mlp\nlikelihood: bernoulli\n")
    with pytest.raises(RecipeError) as caught:
        open_recipe(path)
    assert str(caught.value).startswith(
        f"{path}:4:11: encoder: encoder 'made' is brought by 2 plugins: a-plugin, b-plugin; "
        "write use: a-plugin:made or use: b-plugin:made"
    )


@pytest.mark.usefixtures("two")
def test_a_recipe_may_say_which_and_it_stays_said(bars: Path) -> None:
    opened = open_recipe(bars, {"encoder": {"use": "b-plugin:made", "width": 3}})
    assert opened.recipe.encoder.use == "b-plugin:made"
    assert opened.recipe.written()["encoder"] == {"use": "b-plugin:made", "width": 3}
    assert "encoder.use" in opened.origins()
    again = open_text(opened.recipe.to_yaml(), bars).recipe
    assert again == opened.recipe


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("spelled", ["b_plugin", "B-Plugin", "b.plugin"])
def test_a_distribution_may_be_spelled_as_pip_takes_it_and_is_written_as_its_own(spelled: str, bars: Path) -> None:
    recipe = open_recipe(bars, {"encoder": f"{spelled}:made"}).recipe
    assert recipe.encoder.use == "b-plugin:made"


@pytest.mark.usefixtures("two")
def test_genlabs_own_part_is_the_one_without_a_distribution(bars: Path) -> None:
    assert open_recipe(bars, {"encoder": "mlp"}).recipe.encoder.options.keys() == {"hidden"}
    assert open_recipe(bars, {"encoder": "genlab:mlp"}).recipe.encoder.use == "mlp"  # one way to write it
    assert open_recipe(bars, {"encoder": "b-plugin:mlp"}).recipe.encoder.options.keys() == {"width"}


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("encoder", "good"),
    [
        ("a-plugin:made", True),
        ({"use": "b-plugin:made", "width": 2}, True),
        ("b-plugin:mlp", True),
        ("genlab:mlp", True),
        ({"use": "genlab-tiny:tiny", "width": 2}, True),
        ("made", False),
        ({"use": "made"}, False),
        ({"use": "b-plugin:made", "hidden": [2]}, False),
        ({"use": "genlab-tiny:tiny", "widht": 2}, False),
        ("c-plugin:made", False),
        ("genlab-tiny:tiny\n", False),
    ],
)
def test_the_schema_and_the_recipe_agree(encoder: object, good: bool, bars: Path) -> None:
    registry = installed().registry
    written = {"name": "r", "data": "bars", "latent": 2, "decoder": "mlp", "likelihood": "bernoulli"}
    validator = Draft7Validator(recipe_schema(registry))
    assert validator.is_valid({**written, "encoder": encoder}) is good
    try:
        open_recipe(bars, {"encoder": encoder})
    except RecipeError:
        assert not good
    else:
        assert good


@pytest.mark.usefixtures("two")
def test_drafts_lists_and_completion_offer_names_that_work(capsys: Captured) -> None:
    text = draft(Answers(encoder="a-plugin:made"), installed().registry)
    assert "use: a-plugin:made" in text
    assert "b-plugin:made" in text
    assert {"mlp", "a-plugin:made", "b-plugin:made", "b-plugin:mlp"} <= vocabulary._collect().parts[
        "encoder"
    ].keys()
    with pytest.raises(SystemExit):
        main(["ls", "parts"])
    out = capsys.readouterr().out
    assert "encoder     a-plugin:made" in out


@pytest.mark.usefixtures("two")
def test_the_doctor_notes_them_and_is_content(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "doctor"])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert (
        "note: encoder 'made' is brought by a-plugin, b-plugin; a recipe writes a-plugin:made or b-plugin:" in out
    )
    assert "note: encoder 'mlp' is genlab's own; write b-plugin:mlp for that of b-plugin" in out


def test_what_was_trained_stays_what_it_is_when_the_name_is_taken_again(site: Site, bars: Path) -> None:
    site.add("a-plugin", REGISTER.format(name="made"))
    run = genlab.run(bars, {"encoder": "made", **ONE}, plots=False)
    assert run.recipe.encoder.use == "made"
    site.add("b-plugin", REGISTER.format(name="made"))
    model = genlab.load(run.directory)
    assert model.recipe is not None
    assert model.recipe.encoder.use == "a-plugin:made"
    resumed = genlab.resume(run.directory, {"train.epochs": 2}, plots=False)
    assert resumed.epoch in (1, 2)
    assert RunDirectory(run.directory).recipe().encoder.use == "a-plugin:made"
    (owner,) = [o for o in read_config(resumed.directory / "model").parts if o.kind == "encoder"]
    assert (owner.use, owner.distribution, owner.version) == ("a-plugin:made", "a-plugin", "1.2")
    assert owner.options == ("width",)


def test_nested_parts_may_be_chosen_too(two: Site, bars: Path) -> None:
    nests = PART.replace("*, width: int = 1", "*, base: genlab.Encoder = 'a-plugin:made'").replace(
        "return genlab", "self.base = base\n        return genlab"
    )
    two.add(
        "c-plugin",
        nests.replace("super().__init__()", "super().__init__(); self.base = base")
        + """
@genlab.hookimpl
def genlab_register(register):
    register("outer", Made)
""",
    )
    chosen = {"encoder": {"use": "outer", "base": {"use": "b-plugin:made", "width": 5}}}
    recipe = open_recipe(bars, chosen).recipe
    assert recipe.encoder.options["base"] == {"use": "b-plugin:made", "width": 5}
    assert open_recipe(bars, {"encoder": "outer"}).recipe.encoder.options["base"] == {
        "use": "a-plugin:made", "width": 1,
    }  # fmt: skip
    with pytest.raises(RecipeError, match=r"encoder\.base: encoder 'made' is brought by 2 plugins"):
        open_recipe(bars, {"encoder": {"use": "outer", "base": "made"}})


def notes(capsys: Captured) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "doctor"])
    assert not ended.value.code
    return capsys.readouterr().out


def test_the_doctor_notes_recipes_and_commands_of_one_name(site: Site, tmp_path: Path, capsys: Captured) -> None:
    for dist, command in {"a-plugin": "hello", "b-plugin": "hello", "c-plugin": "ls"}.items():
        (tmp_path / dist).mkdir()
        for name in ("theirs", "bars") if dist == "a-plugin" else ("theirs",):
            (tmp_path / dist / f"{name}.yaml").write_text("extends: genlab/bars\n")
        hook = f"@genlab.hookimpl\ndef genlab_recipes():\n    return {str(tmp_path / dist)!r}\n"
        site.add(dist, COMMAND.format(name=command) + hook)
    out = notes(capsys)
    assert "note: recipe 'theirs' is brought by a-plugin, b-plugin, c-plugin; write a-plugin/theirs or b-pl" in out
    assert "note: recipe 'bars' is genlab's own; write a-plugin/bars for that of a-plugin\n" in out
    assert "note: command 'hello' is brought by a-plugin, b-plugin; write genlab a-plugin:hello or genlab b" in out
    assert "note: command 'ls' is genlab's own; write genlab c-plugin:ls for that of c-plugin\n" in out
    assert "cannot be opened" not in out
    with pytest.raises(SystemExit):
        main(["doctor"])
    out = capsys.readouterr().out
    for what in ("recipe theirs", "command hello", "recipe bars", "command ls"):
        assert what in out


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda bundle: (bundle / "config.json").unlink(), "config.json: missing; a bundle holds config.json"),
        (lambda bundle: (bundle / "model.safetensors").write_bytes(b"x"), "model.safetensors: truncated or alter"),
        (lambda bundle: (bundle / "metrics.json").write_text("{"), "metrics.json: damaged"),
        (lambda bundle: None, ""),
    ],
    ids=["no config", "truncated", "damaged", "sound"],
)
def test_both_doctors_name_a_model_that_a_plugin_ships_and_that_does_not_open(
    spoil: Callable[[Path], object], cause: str, site: Site, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    run = genlab.run(bars, ONE, plots=False)
    bundle = tmp_path / "models" / "digits"
    shutil.copytree(run.directory / "model", bundle)
    spoil(bundle)
    hook = f"import genlab\n@genlab.hookimpl\ndef genlab_models():\n    return {str(bundle.parent)!r}\n"
    site.add("a-plugin", hook)
    out = notes(capsys)
    note = f"note: model 'digits', shipped by a-plugin, cannot be opened: {cause}"
    assert (note in out) == bool(cause)
    assert ("digits" in out) == bool(cause)
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert ("shipped by a-plugin, cannot be opened" in capsys.readouterr().out) == bool(cause)


def test_what_a_plugins_recipe_extends_is_its_own_plugins(site: Site, tmp_path: Path) -> None:
    for latent, dist in enumerate(("a-plugin", "b-plugin"), 3):
        (tmp_path / dist).mkdir()
        (tmp_path / dist / "base.yaml").write_text(f"extends: genlab/bars\nlatent: {latent}\n")
        (tmp_path / dist / f"{dist[0]}.yaml").write_text("extends: base\n")
        hook = f"import genlab\n@genlab.hookimpl\ndef genlab_recipes():\n    return {str(tmp_path / dist)!r}\n"
        site.add(dist, hook)
    mine = tmp_path / "mine.yaml"
    for latent, name in enumerate(("a", "b"), 3):
        assert open_recipe(name).recipe.latent == latent
        mine.write_text(f"extends: {name}\n")
        assert open_recipe(mine).recipe.latent == latent
    mine.write_text("extends: base\n")
    for ref in (mine, "base"):
        with pytest.raises(RecipeError, match=r"several installed recipes .* say a-plugin/base or b-plugin/base"):
            open_recipe(ref)


def test_two_plugins_that_ship_a_model_of_one_name(
    site: Site, bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    run = genlab.run(bars, ONE, plots=False)
    for dist in ("a-plugin", "b-plugin"):
        (tmp_path / dist / "shared").mkdir(parents=True)
        for path in (run.directory / "model").iterdir():
            (tmp_path / dist / "shared" / path.name).write_bytes(path.read_bytes())
        hook = f"import genlab\n@genlab.hookimpl\ndef genlab_models():\n    return {str(tmp_path / dist)!r}\n"
        site.add(dist, hook)
    assert "note: model 'shared' is brought by a-plugin, b-plugin; write a-plugin/shared or b-plugin/s" in notes(
        capsys
    )
    with pytest.raises(ModelError, match=r"several plugins ship .* say a-plugin/shared or b-plugin/shared"):
        find("shared")
    assert find("b-plugin/shared").folder == tmp_path / "b-plugin" / "shared"


# -- other versions --------------------------------------------------------------------------------------------


@pytest.fixture
def trained(site: Site, bars: Path) -> Path:
    """A bundle made with version 1.2 of a plugin, which is then uninstalled."""
    site.add("a-plugin", REGISTER.format(name="made"))
    run = genlab.run(bars, {"encoder": "made", **ONE}, plots=False)
    uninstall(site)
    return run.directory / "model"


def uninstall(site: Site) -> None:
    import shutil
    import sys

    from tests.sites import forget

    for info in site.folder.glob("a_plugin-*.dist-info"):
        shutil.rmtree(info)
    (site.folder / "a_plugin.py").unlink()
    sys.modules.pop("a_plugin", None)
    site.entry_points.clear()
    forget()


def again(site: Site, code: str, version: str, dist: str = "a-plugin") -> None:
    site.add(dist, code, version=version)


def test_a_model_whose_plugin_is_gone_says_how_to_get_it_back(trained: Path) -> None:
    message = "made with encoder 'made' of a-plugin 1.2, which is not installed: pip install a-plugin"
    with pytest.raises(PluginError, match=message):
        genlab.load(trained)
    with pytest.raises(PluginError, match=message):
        genlab.resume(trained.parent, {"train.epochs": 2})


def test_a_model_whose_plugin_is_left_out_says_so(
    trained: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    again(site, REGISTER.format(name="made"), "1.2")
    monkeypatch.setenv("GENLAB_PLUGINS", "genlab-tiny")
    with pytest.raises(PluginError, match=r"of a-plugin 1\.2, which is left out by GENLAB_PLUGINS=genlab-tiny"):
        genlab.load(trained)


def warned(trained: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING, logger="genlab"):
        genlab.load(trained)
    return [record.getMessage() for record in caplog.records]


def test_the_same_version_is_loaded_in_silence(
    trained: Path, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    again(site, REGISTER.format(name="made"), "1.2")
    assert warned(trained, caplog) == []


@pytest.mark.parametrize("version", ["1.3", "1.1"])
def test_another_version_is_a_warning(
    version: str, trained: Path, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    again(site, REGISTER.format(name="made"), version)
    assert warned(trained, caplog) == [
        f"warning: {trained}: encoder 'made' of a-plugin 1.2 then, {version} now, with the same options"
    ]


def test_options_that_came_are_named(trained: Path, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    again(site, REGISTER.format(name="made").replace("= 1", "= 1, depth: int = 2, wide: bool = False"), "1.3")
    assert warned(trained, caplog) == [
        f"warning: {trained}: encoder 'made' of a-plugin 1.2 then, 1.3 now: new options: depth, wide"
    ]


def test_options_that_went_are_an_error_with_the_version_to_install(trained: Path, site: Site) -> None:
    again(site, REGISTER.format(name="made").replace("width", "breadth"), "2.0")
    for made, again_ in ((trained, genlab.load), (trained.parent, genlab.resume)):
        with pytest.raises(RecipeError) as caught:
            again_(made)
        assert "encoder.width: unknown option; allowed: breadth\n" in str(caught.value)
        assert str(caught.value).endswith(
            f"\n{made}: encoder 'made' of a-plugin 1.2 then, 2.0 now: new options: breadth; options that went: "
            "width; pip install a-plugin==1.2"
        )


def test_a_part_that_its_plugin_no_longer_has_is_an_error_with_the_version_to_install(
    trained: Path, site: Site
) -> None:
    again(site, REGISTER.format(name="other"), "2.0")
    for made, again_ in ((trained, genlab.load), (trained.parent, genlab.resume)):
        with pytest.raises(PluginError) as caught:
            again_(made)
        assert str(caught.value) == (
            f"{made}: made with encoder 'made' of a-plugin 1.2, which a-plugin 2.0 does not bring: "
            "pip install a-plugin==1.2"
        )


def test_a_part_that_moved_to_another_distribution_is_taken_with_a_warning(
    trained: Path, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    again(site, REGISTER.format(name="made"), "5.0", "b-plugin")
    assert warned(trained, caplog) == [
        f"warning: {trained}: encoder 'made' of a-plugin 1.2 then, which is not here (pip install a-plugin); "
        "that of b-plugin 5.0 now"
    ]


def test_bundles_that_were_written_before_options_were_recorded(
    trained: Path, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    config = json.loads((trained / "config.json").read_text())
    for owner in config["parts"]:
        del owner["options"], owner["file"]
    (trained / "config.json").write_text(json.dumps(config))
    again(site, REGISTER.format(name="made"), "1.2")
    assert warned(trained, caplog) == []
