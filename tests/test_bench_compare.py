"""Results compared and shown: which differences are called real, what else differs, what is written."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from genlab.bench.comparing import compare
from genlab.bench.plots import draw_bars, draw_roofline, draw_scaling
from genlab.bench.result import BenchError, Code, Result, write_result
from genlab.bench.sittings import read_side, together
from genlab.bench.summary import Gathered, warnings_of
from genlab.bench.texts import as_markdown, time_said
from genlab.cli import main
from genlab.cli.bench_tables import show_cells
from tests.made_benchmarks import BF16, FP32, STEADY, conditions, gathered, made, process

Captured = pytest.CaptureFixture[str]
SLOWER = [1.2 * value for value in STEADY]


def said(arguments: list[str], capsys: Captured) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Results as files: the same twice, one whose fp32 is slower, one of another recipe."""
    results = {
        "main": made(),
        "again": made(),
        "slow": made([gathered(FP32, SLOWER), gathered(BF16, [v / 2 for v in STEADY], 1e-3)], cores=4),
        "other": made(latent=8),
        "wrong": made([gathered(FP32, STEADY), gathered(BF16, [v / 2 for v in STEADY], 0.5)]),
    }
    for name, result in results.items():
        write_result(tmp_path / f"{name}.json", result)
    return {name: tmp_path / f"{name}.json" for name in results}


def test_the_same_twice_shows_no_significant_difference(files: dict[str, Path], capsys: Captured) -> None:
    code, out, _ = said(["bench", "compare", str(files["main"]), str(files["again"])], capsys)
    assert code == 0
    assert out.startswith("no significant difference")
    assert "what else differs" not in out


def test_what_is_slower_is_named_and_fails_where_asked(files: dict[str, Path], capsys: Captured) -> None:
    both = ["bench", "compare", str(files["main"]), str(files["slow"])]
    code, out, err = said(both, capsys)
    assert (code, err) == (0, "")
    assert out.startswith("1 of 2 combinations slower")
    assert "1.200 (" in out
    assert "environment.processor.logical: 2 | 4" in out
    code, _, err = said([*both, "--fail-if-slower", "1.05"], capsys)
    assert code == 1
    assert err == "slower than allowed: train cpu fp32 eager 32, slow.json: 1.200 > 1.05\n"
    assert said([*both, "--fail-if-slower", "1.25"], capsys)[0] == 0
    turned = ["bench", "compare", str(files["slow"]), str(files["main"]), "--fail-if-slower", "1.05"]
    assert said(turned, capsys)[0] == 0  # faster is no failure


def test_noise_alone_fails_no_build(tmp_path: Path, capsys: Captured) -> None:
    noisy = [0.01, 0.013, 0.009, 0.012, 0.008, 0.011, 0.01]
    write_result(tmp_path / "a.json", made([gathered(FP32, noisy)]))
    write_result(tmp_path / "b.json", made([gathered(FP32, [1.1 * value for value in reversed(noisy)])]))
    arguments = ["bench", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert said([*arguments, "--fail-if-slower", "1.05"], capsys)[0] == 0


def test_different_recipes_are_refused_unless_told(files: dict[str, Path], capsys: Captured) -> None:
    both = ["bench", "compare", str(files["main"]), str(files["other"])]
    code, out, err = said(both, capsys)
    assert (code, out) == (2, "")
    assert "different recipes" in err
    assert "--anyway" in err
    assert "latent: 2 | 8" in err
    code, out, _ = said([*both, "--anyway"], capsys)
    assert code == 0
    assert "the recipes differ" in out


def test_what_disagrees_is_marked_before_its_speed(files: dict[str, Path], capsys: Captured) -> None:
    _, out, _ = said(["bench", "compare", str(files["main"]), str(files["wrong"])], capsys)
    line = next(line for line in out.splitlines() if "bf16" in line)
    assert 0 < line.index("DISAGREES: gradient") < line.index("1.000")


def test_every_form_says_the_same(files: dict[str, Path], tmp_path: Path, capsys: Captured) -> None:
    outputs = [tmp_path / f"out.{kind}" for kind in ("md", "csv", "json", "png")]
    options = [word for path in outputs for word in ("-o", str(path))]
    code, out, _ = said(["bench", "compare", str(files["main"]), str(files["slow"]), "--json", *options], capsys)
    assert code == 0
    told = json.loads(out)
    assert told == json.loads(outputs[2].read_text())
    assert [row["verdict"] for row in told["rows"]] == ["slower", "no significant difference"]
    rows = list(csv.DictReader(outputs[1].read_text().splitlines()))
    assert [float(row["ratio"]) for row in rows] == [row["ratio"] for row in told["rows"]]
    markdown = outputs[0].read_text()
    assert markdown.startswith("**1 of 2 combinations slower**")
    assert all(line.count("|") == 6 for line in markdown.splitlines() if "train cpu" in line)
    assert outputs[3].read_bytes().startswith(b"\x89PNG")


def test_combinations_that_not_all_have_are_named() -> None:
    comparison = compare([[made()], [made([gathered(FP32, STEADY)])]], ["a", "b"])
    assert comparison.alone == ["train cpu bf16 eager 32: only in a"]
    with pytest.raises(BenchError, match="no combination is in a and in another"):
        compare([[made([gathered(BF16, STEADY)])], [made([gathered(FP32, STEADY)])]], ["a", "b"])
    with pytest.raises(BenchError, match="two or more"):
        compare([[made()]], ["a"])


def test_code_and_environment_stand_side_by_side() -> None:
    other = made(code=Code(genlab="0.1.0", commit="1" * 40, dirty=True))
    found = {each.name: each.values for each in compare([[made()], [other]], ["a", "b"]).differences}
    assert found.keys() == {"code.commit", "code.dirty"}
    assert found["code.dirty"] == ("false", "true")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "compare", "none.json", "x.json"], "none.json: cannot be read"),
        (["bench", "compare", "a.json", "-o", "x.txt"], "x.txt: one of .md, .csv, .json, .png is expected"),
        (["bench", "report", "/nowhere-at-all"], "/nowhere-at-all: cannot be read (No such file or directory)"),
    ],
)
def test_mistakes_are_one_message_and_code_2(arguments: list[str], message: str, capsys: Captured) -> None:
    code, out, err = said(arguments, capsys)
    assert (code, out) == (2, "")
    assert message in err


def test_comparing_needs_no_torch(files: dict[str, Path]) -> None:
    code = (
        "import sys\nfrom genlab.cli import main\n"
        f"try: main(['bench', 'compare', {str(files['main'])!r}, {str(files['slow'])!r}])\n"
        "except SystemExit: pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


def test_the_page_shows_everything_and_runs_nothing(
    files: dict[str, Path], tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "note.json").write_text('{"a": 1}')
    code, out, _ = said(["bench", "report", str(tmp_path)], capsys)
    assert (code, out) == (0, f"{tmp_path / 'report.html'}\n")
    text = (tmp_path / "report.html").read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings == [
        "Speed", "Compared", "Roofline", "Agreement", "Profiles", "Environments", "Not measured",
        "How it was measured",
    ]  # fmt: skip
    assert "<script" not in text
    assert "http" not in re.sub(r"http-equiv", "", text)
    for word in ("disagrees", "slower", "Some CPU", "Some GPU", "350 W", "aten::mm", "note.json: no result"):
        assert word in text, word
    assert text.index("disagrees</span>") < text.index("Compared</h2>")


def test_speed_against_batch_size_needs_two_sizes() -> None:
    assert draw_scaling([made()], ["a"]) is None
    sizes = [FP32.model_copy(update={"batch_size": size}) for size in (32, 128)]
    figure = draw_scaling([made([gathered(one, STEADY) for one in sizes])] * 2, ["a", "b"])
    assert figure is not None
    assert {figure.axes[0].get_xscale(), figure.axes[0].get_yscale()} == {"log"}
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["a: cpu fp32 eager", "b: cpu fp32 eager"]


def test_bars_have_the_height_of_their_medians_and_lines_of_their_intervals() -> None:
    result = made()
    axes = draw_bars([result], ["a"]).axes[0]
    speeds = [cell.images_per_second for cell in result.cells]
    assert [patch.get_width() for patch in axes.patches] == [speed.median for speed in speeds if speed]
    lines = [tuple(line.get_xdata()) for line in axes.lines]
    assert lines == [(speed.low, speed.high) for speed in speeds if speed]


def test_a_point_below_the_roof_says_its_share() -> None:
    result = made()
    roofline = result.cells[0].roofline
    assert roofline is not None
    assert roofline.flops == pytest.approx(1e9 / 0.01)
    assert roofline.share_of_product == pytest.approx(1.0)  # 1e11 of 1e11
    assert roofline.bound == "products"
    bf16 = result.cells[1].roofline
    assert bf16 is not None
    assert (bf16.bound, bf16.share_of_roof) == (
        "memory",
        pytest.approx(2e11 / 2e11),
    )  # 10 flops a byte, 2e10 bytes
    figure = draw_roofline(result, "cpu")
    assert figure is not None
    assert draw_roofline(result, "cuda:0") is None


def cells(result: Result) -> list[str]:
    return [warning for cell in result.cells for warning in cell.warnings]


def test_what_a_reader_should_be_warned_of_is_said() -> None:
    assert made().warnings == []
    assert cells(made()) == []
    noisy = cells(made([gathered(FP32, [0.01, 0.02, 0.012, 0.018, 0.011, 0.019, 0.013])]))
    assert any(warning.startswith("noisy:") for warning in noisy)
    assert any(warning.startswith("the interval is ±") for warning in noisy)
    drifting = cells(made([gathered(FP32, [0.01, 0.01, 0.01, 0.0115, 0.012, 0.012, 0.012])]))
    assert any(warning.startswith("drifting:") for warning in drifting)
    assert cells(made([gathered(FP32, [0.01])])) == ["one process only: no interval"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {"busy_seconds": 14.0}, "others used 0.8 cores"),
        ({}, {"stolen_seconds": 1.0}, "a hypervisor took 10% of the cores' time"),
        ({}, {"quota_throttled_seconds": 0.1}, "1 of 1 processes were held back by the container's quota"),
        ({}, {"heat_throttled": 2}, "throttled: 1 of 1 processes"),
        ({}, {"accelerator": {"throttled_by_heat": "Active"}}, "throttled: 1 of 1 processes"),
    ],
)
def test_a_machine_that_was_disturbed_says_so(
    before: dict[str, object], after: dict[str, object], said: str
) -> None:
    found = gathered(FP32, [0.01])
    found.processes = [process(0, 0.01, before=conditions(5, **before), after=conditions(10, **after))]
    cell = found.cell(0.05, [])
    assert any(said in warning for warning in warnings_of(conditions(), [cell], 2)), warnings_of(
        conditions(), [cell], 2
    )


def test_a_loaded_machine_says_so() -> None:
    assert warnings_of(conditions(load=[3.0, 1.0, 1.0]), [], 2) == [
        "the machine was busy: load 3.0 on 2 cores before the start"
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(8.6e-7, "0.86 µs"), (2.5e-4, "250 µs"), (0.00864, "8.64 ms"), (12.34, "12.3 s"), (150, "150 s")],
)
def test_times_are_said_as_people_do(seconds: float, said: str) -> None:
    assert time_said(seconds) == said


def test_what_others_took_of_the_cores_may_explain_a_difference() -> None:
    def sitting(factor: float, busy: float) -> Result:
        found = gathered(FP32, [factor * value for value in STEADY])
        found.processes = [
            process.model_copy(
                update={"after": conditions(process.after.clock, busy_seconds=process.after.clock + 5 * busy)}
            )
            for process in found.processes
        ]
        return made([found])

    def verdict(a: Result, b: Result) -> str:
        return compare([[a], [b]], ["a", "b"]).rows[0].ratio.verdict

    assert verdict(sitting(1, 0), sitting(1.5, 0)) == "slower"
    assert verdict(sitting(1, 1.0), sitting(1.5, 1.0)) == "slower"  # both alike
    assert verdict(sitting(1, 0), sitting(1.5, 1.0)) == "no significant difference"  # one of two cores was taken


# -- several sittings -----------------------------------------------------------------------------------------


def sittings(folder: Path, levels: Sequence[float], factor: float = 1.0) -> Path:
    """A folder of results, each with a level of its own."""
    folder.mkdir()
    for number, level in enumerate(levels):
        found = made([gathered(FP32, [factor * level * value for value in STEADY])])
        when = f"2026-11-22T1{number}:00:00+00:00"
        write_result(folder / f"{9 - number}.json", found.model_copy(update={"created": when}))
    return folder


LEVELS = (1.0, 1.03, 0.98, 1.02, 0.99)


def test_folders_of_sittings_are_compared_by_sittings(tmp_path: Path, capsys: Captured) -> None:
    before, after = sittings(tmp_path / "before", LEVELS), sittings(tmp_path / "after", LEVELS[::-1], 1.07)
    (before / "profile.trace.json").write_text("{}")
    two = [str(before / "9.json"), str(before / "8.json")]
    said(["bench", "compare", *two, "-o", str(before / "a comparison.json")], capsys)  # is no sitting
    code, out, _ = said(["bench", "compare", str(before), str(after)], capsys)
    assert code == 0
    assert out.startswith("1 of 1 combinations slower  (first: before, 5 sittings)")
    alone = [str(folder / "9.json") for folder in (before, after)]
    assert said(["bench", "compare", *alone], capsys)[1].startswith("no significant difference")
    sides = [read_side(before), read_side(after)]
    assert [result.created[11:13] for result in sides[0]] == ["10", "11", "12", "13", "14"]
    comparison = compare(sides, ["before", "after"])
    first = comparison.results[0].cells[0].seconds
    assert first is not None
    assert (first.median, first.processes) == (pytest.approx(0.01), 5)
    assert compare([sides[0], sides[0]], ["a", "b"]).verdict == "no significant difference"
    assert compare([sides[0], sides[1][:4]], ["a", "b"]).verdict == "too few measurements to tell"


def test_a_folder_must_be_of_one_recipe(tmp_path: Path, capsys: Captured) -> None:
    folder = sittings(tmp_path / "mixed", LEVELS[:1])
    write_result(folder / "other.json", made(latent=8))
    code, _, err = said(["bench", "compare", str(folder), str(folder)], capsys)
    assert code == 2
    assert "9.json and other.json are of different recipes" in err
    (tmp_path / "empty").mkdir()
    code, _, err = said(["bench", "compare", str(tmp_path / "empty"), str(folder)], capsys)
    assert (code, "no results of `genlab bench` in this folder" in err) == (2, True)


def test_trainings_that_did_not_reach_their_loss_leave_no_verdict() -> None:
    quality = FP32.model_copy(update={"what": "quality"})
    quick = gathered(quality, [10.0, 10.1, 9.9, 10.0, 10.05])
    missed = process(5, 10.0).model_copy(update={"windows": []})
    some = Gathered(quality, [*quick.processes, missed, missed])
    slow = gathered(quality, [30.0, 30.1, 29.9, 30.0, 30.05])
    assert compare([[made([quick])], [made([slow])]], ["a", "b"]).rows[0].ratio.verdict == "slower"
    found = compare([[made([slow])], [made([some])]], ["a", "b"])
    assert found.rows[0].ratio.verdict == "not all reached it"
    assert found.verdict == "not all trainings reached it"


def test_names_are_no_markup_in_markdown() -> None:
    text = as_markdown(compare([[made()], [made()]], ["<b>a|b</b>", "c"]))
    assert "&lt;b&gt;a\\|b&lt;/b&gt;" in text
    assert "<b>" not in text


def test_what_cannot_be_judged_is_no_pass(tmp_path: Path, capsys: Captured) -> None:
    results = {
        "main": made(),
        "few": made([gathered(FP32, STEADY[:4]), gathered(BF16, [v / 2 for v in STEADY], 1e-3)]),
        "one": made([gathered(FP32, STEADY)]),
        "wrong": made([gathered(FP32, STEADY), gathered(BF16, [v / 4 for v in STEADY], 0.5)]),
    }
    for name, result in results.items():
        write_result(tmp_path / f"{name}.json", result)
    said_of = {
        "few": "cannot be judged: train cpu fp32 eager 32, few.json: too few measurements\n",
        "one": "cannot be judged: train cpu bf16 eager 32: only in main.json\n",
        "wrong": "cannot be judged: train cpu bf16 eager 32, wrong.json: disagrees\n",
    }
    for name, expected in said_of.items():
        both = ["bench", "compare", str(tmp_path / "main.json"), str(tmp_path / f"{name}.json")]
        code, _, err = said([*both, "--fail-if-slower", "2"], capsys)
        assert (code, err) == (1, expected)
        assert said(both, capsys)[0] == 0
    turned = ["bench", "compare", str(tmp_path / "wrong.json"), str(tmp_path / "main.json")]
    assert "first DISAGREES: gradient" in said(turned, capsys)[1]


def test_a_sitting_that_disagreed_and_one_that_alone_has_a_combination_are_not_lost() -> None:
    wrong = made([gathered(FP32, STEADY, 0.5), gathered(BF16, STEADY, 1e-3)])
    (fp32, bf16) = together([wrong, made([gathered(FP32, STEADY)])]).cells
    assert fp32.disagrees
    assert bf16.combination == BF16


def test_a_narrow_terminal_tells_batch_sizes_apart(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    large = FP32.model_copy(update={"batch_size": 4096})
    show_cells(made([gathered(FP32, STEADY), gathered(large, STEADY)]))
    assert "4096" in capsys.readouterr().out
