"""In what recipes and runs differ: the library and ``genlab diff``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from genlab.cli import main
from genlab.difference import ABSENT, Resolved, differences, said, same, variations
from genlab.tree import Json
from tests.made_up import made_up

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent


def called(arguments: list[str], capsys: Captured, code: int = 0) -> str:
    """Run a command; return what it printed, or its error message."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    assert (stopped.value.code or 0) == code, err
    return out if code == 0 else err


def found(a: dict[str, Json], b: dict[str, Json]) -> list[tuple[str, object, object]]:
    return [(one.key, one.a, one.b) for one in differences(Resolved("a", a), Resolved("b", b))]


def test_only_what_differs_is_found_in_the_order_of_the_recipe() -> None:
    a: dict[str, Json] = {"latent": 2, "train": {"epochs": 3, "lr": 0.1}, "seed": 0}
    b: dict[str, Json] = {"seed": 1, "train": {"epochs": 4, "lr": 0.1}, "latent": 2}
    assert found(a, b) == [("train.epochs", 3, 4), ("seed", 0, 1)]
    assert found(a, dict(a)) == []


def test_the_options_of_another_part_are_absent() -> None:
    a: dict[str, Json] = {"encoder": {"use": "conv", "channels": [8], "hidden": 16}}
    b: dict[str, Json] = {"encoder": {"use": "mlp", "hidden": [16]}}
    assert found(a, b) == [
        ("encoder.use", "conv", "mlp"),
        ("encoder.channels", [8], ABSENT),
        ("encoder.hidden", 16, [16]),
    ]


def test_null_against_a_section_is_one_difference() -> None:
    section: Json = {"decay": 0.999}
    assert found({"ema": None}, {"ema": section}) == [("ema", None, section)]


def test_a_list_is_compared_as_a_whole() -> None:
    assert found({"h": [1, 2]}, {"h": [1, 3]}) == [("h", [1, 2], [1, 3])]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True), (1, True, False), (0, False, False), (None, False, False), ("1", 1, False),
        (float("nan"), float("nan"), True), ([1, {"a": 1}], [1.0, {"a": 1}], True), ([1], [True], False),
        ({"a": None}, {}, False), (ABSENT, None, False), (ABSENT, ABSENT, True),
    ],
)  # fmt: skip
def test_what_means_the_same(a: Json, b: Json, equal: bool) -> None:
    assert same(a, b) is equal
    assert same(b, a) is equal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("conv", "conv"), ("1", '"1"'), ("null", '"null"'), (None, "null"), (True, "true"), (1e-7, "1.0e-07"),
        ("True", '"True"'), ("~", '"~"'), ("0x10", '"0x10"'), ("a # b", '"a # b"'), ("a: b", '"a: b"'),
        ("a b", "a b"),
        ([32, 64], "[32, 64]"), ("", '""'), ("\x1b[31m", '"\\u001b[31m"'), ("größer", "größer"),
        (["\u202e"], '["\\u202e"]'), (["größer"], "[größer]"), (["a, b"], '["a, b"]'), (ABSENT, "absent"),
    ],
)  # fmt: skip
def test_values_are_said_so_that_a_text_is_not_taken_for_a_number(value: Json, text: str) -> None:
    assert said(value) == text


def test_more_than_two_recipes() -> None:
    (one,) = variations([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1}])
    assert (one.key, one.values) == ("b", (2, 3, ABSENT))


def test_a_section_has_the_origin_of_its_first_value() -> None:
    a = Resolved("a", {"ema": {"decay": 0.9}}, {"ema.decay": "x.yaml:3:1", "emanation": "x.yaml:9:1"})
    b = Resolved("b", {"ema": None}, {"ema": "default"})
    (one,) = differences(a, b)
    assert (one.origin_a, one.origin_b) == ("x.yaml:3:1", "default")


def test_two_recipes(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(bars.read_text().replace("latent: 2", "latent: 5").replace("[16]", "[32]"))
    out = called(["diff", str(bars), str(other)], capsys)
    rows = [line.split() for line in out.splitlines()[-3:]]
    assert rows == [
        ["latent", "2", "line", "3", "5", "line", "3"],
        ["encoder.hidden", "[16]", "line", "4", "[32]", "line", "4"],
        ["decoder.hidden", "[16]", "line", "5", "[32]", "line", "5"],
    ]
    assert called(["diff", str(bars), str(bars)], capsys) == "no difference\n"


def test_runs_and_a_recipe_as_json(trained: dict[str, Path], capsys: Captured) -> None:
    shown = json.loads(called(["diff", str(trained["plain"]), str(trained["latent"]), "--json"], capsys))
    values = {one["key"]: (one["a"]["value"], one["b"]["value"]) for one in shown["differences"]}
    assert values == {"latent": (2, 3), "seed": (0, 1)}
    assert shown["a"] == str(trained["plain"])


def test_an_origin_is_a_line_of_the_file_or_another_file_an_override_or_the_default(
    bars: Path, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("extends: bars.yaml\nname: other\nseed: 3\n")
    out = called(["diff", str(bars), str(other)], capsys)
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert rows["name"] == ["bars", "line", "1", "other", "line", "2"]
    assert rows["seed"] == ["0", "default", "3", "line", "3"]
    other.write_text("extends: bars.yaml\nlatent: 3\n")
    third = tmp_path / "third.yaml"
    third.write_text("extends: other.yaml\nlatent: 4\n")
    last = tmp_path / "last.yaml"
    last.write_text("extends: other.yaml\ntrain: {epochs: 9}\n")
    rows = {
        line.split()[0]: line.split()[1:]
        for line in called(["diff", str(third), str(last)], capsys).splitlines()
        if line
    }
    assert rows["latent"] == ["4", "line", "2", "3", "other.yaml:2"]
    assert rows["train.epochs"] == ["2", "bars.yaml:7", "9", "line", "2"]


def test_an_installed_recipe_by_its_name(capsys: Captured) -> None:
    assert called(["diff", "bars", str(ROOT / "recipes" / "bars.yaml")], capsys) == "no difference\n"


def test_a_recipe_against_a_run_of_it(bars: Path, trained: dict[str, Path], capsys: Captured) -> None:
    assert called(["diff", str(bars), str(trained["plain"])], capsys) == "no difference\n"
    assert "objective.beta" in called(["diff", str(bars), str(trained["beta"])], capsys)


def test_the_origins_of_a_run_are_shown(tmp_path: Path, capsys: Captured) -> None:
    a, b = made_up(tmp_path, "a"), made_up(tmp_path, "b", latent=8)
    (b / "origins.json").write_text(json.dumps({"latent": "override latent=8"}))
    out = called(["diff", str(a), str(b)], capsys)
    assert "override latent=8" in out
    (a / "origins.json").write_text("[damaged")  # it is not needed
    assert "override latent=8" in called(["diff", str(a), str(b)], capsys)


def test_a_run_of_a_plugin_that_is_not_installed(tmp_path: Path, capsys: Captured) -> None:
    a = made_up(tmp_path, "a", encoder={"use": "of_some_plugin", "depth": 3})
    b = made_up(tmp_path, "b")
    shown = json.loads(called(["diff", str(a), str(b), "--json"], capsys))["differences"]
    assert [(one["key"], one["a"], one["b"]) for one in shown] == [
        ("encoder.use", {"value": "of_some_plugin"}, {"value": "mlp"}),
        ("encoder.depth", {"value": 3}, {}),
        ("encoder.hidden", {}, {"value": [16]}),
    ]


def test_the_model_that_a_plugin_ships(capsys: Captured) -> None:
    recipe = str(ROOT / "recipes" / "mnist_cvae.yaml")
    keys = [
        one["key"]
        for one in json.loads(called(["diff", "plugin:mnist_cvae", recipe, "--json"], capsys))["differences"]
    ]
    assert "encoder.use" not in keys


LONG = {"encoder": {"use": "mlp", "hidden": [16] * 30}, "description": f"a {'very ' * 20}long description"}


def test_nothing_is_folded_where_no_terminal_is(tmp_path: Path, capsys: Captured) -> None:
    a, b = made_up(tmp_path, "a"), made_up(tmp_path, "b", latent=8, **LONG)
    (a / "origins.json").write_text(json.dumps({"latent": "/some/where/a_recipe_of_a_long_name.yaml:15"}))
    (b / "origins.json").write_text(json.dumps({"description": "another_recipe_of_a_long_name.yaml:1234"}))
    lines = called(["diff", str(a), str(b)], capsys).splitlines()
    rows = {line.split()[0]: re.split(r"  +", line.strip()) for line in lines[5:]}
    assert rows == {
        "description": ["description", '""', LONG["description"], "another_recipe_of_a_long_name.yaml:1234"],
        "latent": ["latent", "2", "a_recipe_of_a_long_name.yaml:15", "8"],
        "encoder.hidden": ["encoder.hidden", "[16]", str(LONG["encoder"]["hidden"])],
    }  # fmt: skip


def test_in_a_narrow_terminal_each_key_has_lines_of_its_own(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    a, b = made_up(tmp_path, "a"), made_up(tmp_path, "b", latent=8, **LONG)
    (a / "origins.json").write_text(json.dumps({"latent": "/some/where/a_recipe.yaml:15"}))
    monkeypatch.setenv("COLUMNS", "40")
    out = called(["diff", str(a), str(b)], capsys).partition("\n\n")[2]
    assert "latent\n  A  2  a_recipe.yaml:15\n  B  8\n" in out
    assert max(map(len, out.splitlines())) <= 40
    assert " ".join(out.split()).count("16, 16") == 15
    monkeypatch.setenv("COLUMNS", "300")
    assert "\nlatent " in called(["diff", str(a), str(b)], capsys)


def test_mistakes(bars: Path, trained: dict[str, Path], tmp_path: Path, capsys: Captured) -> None:
    assert "overrides are not taken here" in called(["diff", str(bars), str(bars), "latent=3"], capsys, 2)
    assert "exactly 2 recipes" in called(["diff", str(bars)], capsys, 2)
    assert "no such file" in called(["diff", str(bars), "nowhere.yaml"], capsys, 2)
    assert "'nothing_like_it'" in called(["diff", str(bars), "nothing_like_it"], capsys, 2)
    damaged = made_up(tmp_path, "damaged")
    (damaged / "resolved.yaml").write_text("{")
    message = called(["diff", str(damaged), str(bars)], capsys, 2)
    assert "resolved.yaml" in message
    assert "Traceback" not in message


def test_runs_are_compared_without_torch(trained: dict[str, Path]) -> None:
    code = (
        "import sys\nfrom genlab.difference import resolved, differences\n"
        f"differences(resolved({str(trained['plain'])!r}), resolved({str(trained['beta'])!r}))\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
