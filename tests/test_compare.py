"""Runs side by side: which of their numbers may be compared, and ``genlab compare``."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genlab
from genlab.build import build_data, build_model, build_objective
from genlab.comparison import Comparison, Verdict, compare, labels, numbers
from genlab.digest import digest
from genlab.interfaces import Objective
from genlab.model import LatentModel
from genlab.opening import open_recipe
from genlab.plots.compare import COLOURED, Curve, overlaid
from genlab.plugins import installed
from genlab.resolving import overridden
from genlab.summary import parameter_count
from tests.made_up import ENVIRONMENT, alive, made_up
from tests.test_diff import called

Captured = pytest.CaptureFixture[str]


def of(*paths: Path) -> Comparison:
    return compare([digest(path) for path in paths])


def verdict(metric: str, comparison: Comparison) -> Verdict:
    return next(one for one in comparison.verdicts if one.metric == metric)


def comparable(tmp_path: Path, a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return which of loss, nll and kl may be compared between two made-up runs."""
    comparison = of(made_up(tmp_path, "a", **a), made_up(tmp_path, "b", **b))
    return [name for name in ("loss", "nll", "kl") if verdict(f"val/{name}", comparison).comparable]


ALL = ["loss", "nll", "kl"]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({}, {"seed": 1, "latent": 8, "encoder__hidden": [32]}, ALL),
        ({}, {"objective__beta": 4.0}, ["nll", "kl"]),
        ({}, {"objective__warmup_steps": 100, "objective__free_bits": 0.5}, ALL),
        ({}, {"likelihood__use": "gaussian"}, ["kl"]),
        ({}, {"likelihood": {"use": "bernoulli", "temperature": 2}}, ["kl"]),
        ({}, {"data__use": "mnist"}, []),
        ({}, {"data__size": 8}, []),
        ({}, {"data__root": "/elsewhere"}, ALL),
        ({}, {"count": 50}, []),
        ({}, {"averaged": True, "train__ema": {"decay": 0.99}}, ALL),
        ({}, {"train__precision": "bf16", "train__eval_batch_size": 100}, ALL),
        ({"sha256": "x"}, {"sha256": "x", "data__limit": 60}, ALL),  # only what is trained on differs
        ({"sha256": "x"}, {"sha256": "y"}, []),
        ({"sha256": "x"}, {"data__limit": 60}, []),  # one of them did not note on what it was measured
        ({}, {"objective": {"use": "iwae", "samples": 5}}, []),
        ({"objective": {"use": "iwae", "samples": 9}}, {"objective": {"use": "iwae", "samples": 5}}, []),
        ({"objective": {"use": "iwae", "samples": 5}}, {"objective": {"use": "iwae", "samples": 5}}, ALL),
    ],
)
def test_what_each_metric_takes_to_be_comparable(
    a: dict[str, Any], b: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    assert comparable(tmp_path, a, b) == expected


def test_an_elbo_in_evaluation_depends_on_beta_alone(bars: Path) -> None:
    """What the verdicts say of ``warmup_steps`` and ``free_bits`` is so."""
    registry = installed().registry
    recipe = open_recipe(bars, registry=registry).recipe
    data = build_data(recipe, registry)
    model: LatentModel = build_model(recipe, data.x_shape, registry).eval()
    x = data.prepare(data.split("val").x)

    def loss(**options: object) -> float:
        changed = overridden(recipe, {f"objective.{k}": v for k, v in options.items()}, registry=registry)
        objective: Objective = build_objective(changed, registry).eval()
        torch.manual_seed(0)
        with torch.no_grad():
            return float(objective(model, x).loss)

    assert loss(warmup_steps=1000, free_bits=3.0) == loss()
    assert loss(beta=4.0) != loss()


def test_the_reason_names_what_differs_and_in_which_runs(tmp_path: Path) -> None:
    paths = [made_up(tmp_path, str(i), objective__beta=beta) for i, beta in enumerate((1.0, 4.0, 1.0))]
    comparison = of(*paths)
    loss = verdict("val/loss", comparison)
    assert loss.groups == ((0, 2), (1,))
    assert loss.reasons == ("objective.beta: 1.0 in 1 and 3, 4.0 in 2 (not the same quantity)",)
    assert any("val/nll + val/kl" in remark for remark in comparison.remarks)


def test_another_part_is_one_reason_whatever_its_options(tmp_path: Path) -> None:
    a, b = made_up(tmp_path, "a"), made_up(tmp_path, "b", data={"use": "mnist", "validation": 0}, count=50)
    reasons = verdict("val/nll", of(a, b)).reasons
    assert [reason.partition(":")[0] for reason in reasons] == ["validation examples", "data.use"]


def test_the_best_is_the_best_of_those_that_may_be_compared(tmp_path: Path) -> None:
    paths = [
        made_up(tmp_path, "a", losses=(9.0,)),
        made_up(tmp_path, "b", losses=(8.0,)),
        made_up(tmp_path, "c", losses=(7.0,), objective__beta=0.1),
        made_up(tmp_path, "d", losses=(30.0,), objective__beta=4.0),
        made_up(tmp_path, "e", losses=(31.0,), objective__beta=4.0),
    ]
    assert of(*paths).best == (1, 3)  # c has the lowest number, but nothing to compare it with
    assert verdict("val/kl", of(*paths)).best == ()


def test_real_runs(trained: dict[str, Path]) -> None:
    comparison = of(*trained.values())
    assert [one.key for one in comparison.differences] == ["latent", "objective.beta", "seed"]
    assert verdict("val/loss", comparison).groups == ((0, 2), (1,))
    assert verdict("val/nll", comparison).comparable
    run = comparison.runs[0]
    assert len(run.validation_sha256) == 64
    assert run.validation_sha256 == comparison.runs[1].validation_sha256
    assert run.examples == 40
    assert run.parameters == parameter_count(genlab.load(str(run.path), "cpu"))
    assert run.active_units is not None
    assert 0 <= run.active_units <= 2
    assert run.epochs == run.planned == 2


def test_the_examples_are_known_by_their_hash(bars: Path, trained: dict[str, Path]) -> None:
    other = genlab.run(bars, {"data.seed": 1, "train.epochs": 1}, plots=False, device="cpu").directory
    comparison = of(trained["plain"], other)
    assert not verdict("val/nll", comparison).comparable
    assert "validation examples" in verdict("val/nll", comparison).reasons[0]


@pytest.mark.parametrize(
    ("which", "text"),
    [
        ((0,), "1"),
        ((0, 1), "1, 2"),
        ((0, 1, 2), "1 to 3"),
        ((0, 2, 3, 4, 8), "1, 3 to 5 and 9"),
        ((4, 6), "5 and 7"),
    ],
)
def test_runs_are_named_by_number(which: tuple[int, ...], text: str) -> None:
    assert numbers(which) == text


def test_labels_say_what_differs(tmp_path: Path) -> None:
    a, b = made_up(tmp_path, "a"), made_up(tmp_path, "b", latent=8, encoder__use="conv")
    assert labels(of(a, b)) == ["latent 2, mlp", "latent 8, conv"]
    again = made_up(tmp_path, "again")
    assert labels(of(a, again)) == ["a", "again"]
    assert labels(of(a, b, again)) == [
        "1: latent 2, mlp",
        "latent 8, conv",
        "3: latent 2, mlp",
    ]
    other = made_up(tmp_path, "c", name="another", latent=9)
    assert labels(of(a, other)) == ["made_up", "another"]


# -- the command ------------------------------------------------------------------------------------------


def test_the_table_fits_a_terminal_and_says_it_all(
    trained: dict[str, Path], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = called(["compare", *map(str, trained.values())], capsys)
    assert max(map(len, out.splitlines())) <= 80
    rows = {line.split()[0]: line for line in out.splitlines() if line[:1].isdigit() and "-" in line}
    for number, path in zip("123", trained.values(), strict=True):
        assert path.name in rows[number]
        assert f"{digest(path).best['val/loss']:.2f}" in rows[number]
    best = of(*trained.values()).best
    assert ["*" in row for row in rows.values()] == [index in best for index in range(3)]
    assert "the same in all: completed" in out
    assert "objective.beta  1.0  4.0  1.0" in out
    assert "val/loss  only among 1 and 3" in out
    assert "val/nll   yes" in out


def test_many_runs_still_fit(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    paths = [made_up(tmp_path, f"run-{i:02d}", seed=1000 + i, latent=2 + i % 2) for i in range(30)]
    out = called(["compare", *map(str, paths)], capsys)
    assert max(map(len, out.splitlines())) <= 80
    assert "  latent\n    2: 1, 3, 5" in out


def test_folders_names_and_repeats(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"  # where GENLAB_RUNS points
    old = made_up(runs, "old", started="2026-01-01T00:00:00+00:00")
    new = made_up(runs, "new", started="2026-02-01T00:00:00+00:00")
    sweep = runs / "sweeps" / "grid" / "20260101-000000-abcd"
    trial = made_up(sweep / "trials" / "000", "trial")
    (sweep / "sweep.json").write_text("{}")
    other = made_up(runs, "other", name="other")
    monkeypatch.chdir(tmp_path)

    def paths(*refs: str) -> list[Path]:
        return [Path(run["path"]) for run in json.loads(called(["compare", *refs, "--json"], capsys))["runs"]]

    assert set(paths("runs")) == {old, new, other, trial}
    assert paths("runs/made_up") == [new, old]
    assert paths("other", "made_up") == [other, new]
    assert paths("run:made_up", str(old)) == [new, old]
    assert paths("old", "runs/made_up/old", "new") == [old, new]
    assert paths(str(sweep), "old") == [trial, old]


def test_json_and_csv_have_everything_in_full(tmp_path: Path, capsys: Captured) -> None:
    a = made_up(tmp_path, "größe", losses=(12.0, 10.123456789))
    b = made_up(tmp_path, "b", latent=8, encoder={"use": "conv"})
    table = tmp_path / "table.csv"
    shown = json.loads(called(["compare", str(a), str(b), "--json", "--csv", str(table)], capsys))
    assert shown["runs"][0]["metrics"]["val/loss"] == 10.123456789
    assert shown["runs"][0]["best"] is True
    assert shown["differences"][2] == {"key": "encoder.hidden", "values": {"1": [16]}}
    assert (shown["metrics"][0]["metric"], shown["metrics"][0]["comparable"]) == ("val/loss", True)
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["val/loss"] for row in rows] == ["10.123456789", "10.5"]
    assert [row["recipe.latent"] for row in rows] == ["2", "8"]
    assert rows[0]["path"].endswith("größe")


def test_a_folder_whose_name_is_no_utf_8_has_a_row(tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / os.fsdecode(b"a\xff b")
    try:
        runs = [made_up(folder, "a"), made_up(folder, "b", latent=8)]
    except OSError:
        pytest.skip("this file system takes no such name")
    table = tmp_path / "table.csv"
    called(["compare", *map(str, runs), "--csv", str(table)], capsys)
    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    assert [row["path"] for row in rows] == [f"{tmp_path}/a\\udcff b/made_up/{name}" for name in "ab"]


@pytest.mark.parametrize("width", ["0", "1"])
def test_a_terminal_that_has_no_width_is_told_all(
    width: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    a, b = made_up(tmp_path, "a"), made_up(tmp_path, "b", latent=8)
    out = called(["compare", str(a), str(b)], capsys)
    assert "2 runs of made_up" in out
    assert "10.50" in out
    assert "what differs in the recipes" in out
    assert "latent" in called(["diff", str(a), str(b)], capsys)
    assert "val/loss" in called(["runs", "show", str(a)], capsys)


def test_runs_that_are_not_done_are_shown_with_what_they_have(tmp_path: Path, capsys: Captured) -> None:
    paths = [
        made_up(tmp_path, "a"),
        made_up(tmp_path, "running", losses=(11.0,), **alive()),
        made_up(tmp_path, "died", state="running"),
        made_up(tmp_path, "failed", state="failed", losses=(), model=False),
    ]
    out = called(["compare", *map(str, paths)], capsys)
    for said in ("2 is still running", "3 is a run whose process is gone", "4 is a failed run", "1/5", "3/5"):
        assert said in out
    assert verdict("val/loss", of(*paths)).groups == ((0, 1, 2),)


def test_damaged_runs_are_shown_with_what_can_be_read(tmp_path: Path, capsys: Captured) -> None:
    whole = made_up(tmp_path, "whole")
    broken = made_up(tmp_path, "broken")
    (broken / "status.json").write_text('{"status": "compl')
    (broken / "metrics.jsonl").write_text((broken / "metrics.jsonl").read_text() + '{"epoch": 4, "val/l')
    unreadable = made_up(tmp_path, "unreadable")
    (unreadable / "resolved.yaml").write_text("latent: {")
    hostile = made_up(tmp_path, "hostile")
    (hostile / "metrics.jsonl").write_text('[1]\n{"epoch": "x"}\n\n{"epoch": 1, "val/loss": NaN}\n')
    (hostile / "timing.jsonl").write_bytes(b"\xff\xfe\n")
    (hostile / "model" / "model.safetensors").write_bytes(b"\xff" * 20)
    (hostile / "env.json").write_text("null")
    out = called(["compare", *map(str, (whole, broken, unreadable, hostile))], capsys)
    assert "2 is damaged" in out
    assert "2: metrics.jsonl: line 4 is damaged and left out" in " ".join(out.split())
    assert digest(broken).best["val/loss"] == 10.5
    assert verdict("val/loss", of(whole, broken, unreadable)).groups == ((0, 1), (2,))


def test_runs_of_a_plugin_that_is_not_installed(tmp_path: Path, capsys: Captured) -> None:
    a, b = made_up(tmp_path, "a"), made_up(tmp_path, "b", encoder={"use": "of_some_plugin"})
    assert "of_some_plugin" in called(["compare", str(a), str(b)], capsys)


def test_what_a_run_says_cannot_move_the_cursor(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = made_up(tmp_path, "a", encoder={"use": "\x1b[2Jboo"})
    b = made_up(tmp_path, "b\x1b[31m", description="[red]bold\x1b[2J")
    status = json.loads((b / "status.json").read_text())
    status |= {"message": "\x1b[2J", "best": status["best"] | {"val/\x1b[2J": 1.0}}
    (b / "status.json").write_text(json.dumps(status))
    (b / "env.json").write_text(json.dumps(ENVIRONMENT | {"command": "\x1b[2J", "device": "\x1b[2J"}))
    for command in (["compare", str(a), str(b)], ["runs", "show", str(b)], ["runs", "list"]):
        assert "\x1b" not in called(command, capsys)
    assert "\x1b" not in called(["diff", str(a), str(b)], capsys, 2)
    c = made_up(tmp_path, "c", latent=3)
    (c / "origins.json").write_text(json.dumps({"latent": "override \x1b[2J"}))
    assert "\x1b" not in called(["diff", str(c), str(made_up(tmp_path, "d"))], capsys)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "\x1b[31mevil.yaml").write_text("name: x")
    status["name"] = "x\x1b[31m\n a line of its own\u202e"
    (b / "status.json").write_text(json.dumps(status))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENLAB_RUNS", str(b.parents[1]))
    listed = called(["ls"], capsys)
    assert "\x1b" not in listed
    assert "\u202e" not in listed
    assert "\n a line of its own" not in listed


def test_mistakes(trained: dict[str, Path], tmp_path: Path, capsys: Captured) -> None:
    plain = str(trained["plain"])
    assert "two or more are compared" in called(["compare", plain], capsys, 2)
    assert "two or more are compared" in called(["compare", plain, plain + "/"], capsys, 2)
    assert "no run 'nothing'" in called(["compare", plain, "nothing"], capsys, 2)
    (tmp_path / "empty").mkdir()
    assert "no run directory" in called(["compare", plain, str(tmp_path / "empty")], capsys, 2)
    assert "PNG" in called(["compare", plain, str(trained["beta"]), "-o", "x.pdf"], capsys, 2)
    bare = [str(made_up(tmp_path, name, losses=(), model=False)) for name in "ab"]
    message = called(["compare", *bare, "-o", str(tmp_path / "x.png")], capsys, 2)
    assert "none of these runs has recorded an evaluation" in message


def test_where_there_is_one_run_the_command_for_another_is_told(
    bars: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    genlab.run(bars, {"train.epochs": 1, "seed": 4}, plots=False, device="cpu")
    capsys.readouterr()
    message = called(["compare", "runs/bars"], capsys, 2)
    name, *words = shlex.split(message.partition("to train one more, with another seed: ")[2])
    assert (name, words[0], words[-1]) == ("genlab", "run", "seed=5")
    called([*words, "--device", "cpu"], capsys)
    (varied,) = json.loads(called(["compare", "runs/bars", "--json"], capsys))["differences"]
    assert varied["key"] == "seed"
    assert sorted(varied["values"].values()) == [4, 5]


def test_torch_is_not_needed(trained: dict[str, Path]) -> None:
    code = (
        "import sys\nfrom genlab.cli import main\n"
        f"try: main(['compare', {str(trained['plain'])!r}, {str(trained['beta'])!r}])\n"
        "except SystemExit: print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


# -- the figure -------------------------------------------------------------------------------------------


def curves(count: int) -> list[Curve]:
    return [
        Curve(
            f"seed {i}",
            [{"epoch": e, "val/loss": 10 + i - e, "train/loss": 9.0 + i} for e in (1, 2, 3)],
            3,
            i == 1,
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [2, 5, COLOURED])
def test_each_run_has_its_colour_and_its_name(count: int) -> None:
    figure = overlaid(curves(count), "x")
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [
        f"seed {i}{' (best)' * (i == 1)}" for i in range(count)
    ]
    colours = [line.get_color() for line in legend.get_lines()]
    assert len(set(colours)) == count
    axes = figure.axes[0]
    for i, colour in enumerate(colours):
        (solid,) = [
            line for line in axes.lines
            if line.get_color() == colour and line.get_linestyle() == "-" and len(line.get_xdata()) == 3
        ]  # fmt: skip
        np.testing.assert_array_equal(solid.get_ydata(), [9 + i, 8 + i, 7 + i])


def test_beyond_the_colours_the_best_stands_out(tmp_path: Path) -> None:
    figure = overlaid(curves(COLOURED + 2), "x")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seed 1 (best)", "11 other runs"]
    figure = overlaid(
        [Curve("a", [{"epoch": 1, "val/loss": float("nan")}])] * 12, "x", {"val/loss": "not comparable"}
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["12 runs"]
    assert figure.axes[0].get_title(loc="right") == "not comparable"


def test_the_command_draws_the_figure(trained: dict[str, Path], tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "compare.png"
    out = called(["compare", *map(str, trained.values()), "-o", str(path)], capsys)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert out.endswith(f"{path}\n")


def test_runs_that_do_not_reach_one_evaluation_or_go_wild_are_drawn() -> None:
    wild = [{"epoch": 1, "val/loss": float("inf")}, {"epoch": 2, "val/nll": 3.0}, {"val/loss": 2.0}]
    figure = overlaid([Curve("a$b", wild), Curve("_c", [{"epoch": 1}])], "$x", {})
    assert figure.axes[0].get_title(loc="left") == "loss"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [r"a\$b", "_c"]
    figure.savefig(io.BytesIO(), format="png")
