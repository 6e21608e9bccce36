"""The page of a sweep: its rows, its failures, and links that lead to the pages of its runs."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path
from urllib.parse import unquote

import pytest

import genlab
from genlab.cli import main
from genlab.report import PAGE, write_report
from genlab.sweep.page import write_sweep_report
from tests.conftest import BARS
from tests.test_report import HOSTILE, Page

LOSSES = {(2, 0): 41.0, (2, 1): 42.0, (8, 0): 39.0, (8, 1): 40.5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "bars.yaml").write_text(BARS)
    with pytest.MonkeyPatch.context() as own:
        own.setenv("GENLAB_STATE", str(folder / "state"))
        options = {"train.epochs": 1}
        run = genlab.run(folder / "bars.yaml", options, runs=folder / "runs", plots=False, device="cpu")
    write_report(run.directory)
    return run.directory


def sweep_of(folder: Path, run: Path, key: str = "latent", values: dict[str, object] | None = None) -> Path:
    """A sweep over one key and two seeds, its runs copies of one with losses of their own."""
    folder.mkdir(parents=True)
    value_of = values or {}
    spec = {
        "name": "bars", "command": "genlab sweep bars.yaml latent=2,8", "recipe": "bars.yaml", "overrides": {},
        "space": {key: {"values": [value_of.get(str(latent), latent) for latent in (2, 8)]}}, "seeds": [0, 1],
        "search": {"use": "grid", "options": {}}, "trials": 2, "metric": "val/loss", "jobs": 1, "device": "cpu",
    }  # fmt: skip
    (folder / "sweep.json").write_text(json.dumps(spec))
    (folder / "recipe.yaml").write_text(BARS)
    for number, ((latent, seed), loss) in enumerate(LOSSES.items()):
        trial = folder / "trials" / f"{number:03d}"
        copy = trial / "bars" / f"20260101-00000{number}-abcd"
        shutil.copytree(run, copy)
        chosen = {key: value_of.get(str(latent), latent)}
        about = {"number": number, "combination": number // 2, "values": chosen, "seed": seed, "recipe": {}}
        (trial / "trial.json").write_text(json.dumps(about))
        edit(copy / "status.json", best={"val/loss": loss})
    return folder


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def sweep(trained: Path, tmp_path: Path) -> Path:
    return sweep_of(tmp_path / "sweeps" / "bars" / "one", trained)


def targets(page: Page) -> list[str]:
    return [unquote(target) for target in page.attributes("href") if not target.startswith("#")]


def test_the_page_has_each_combination_with_its_spread_the_best_marked(sweep: Path) -> None:
    text = write_sweep_report(sweep).read_text("utf-8")
    said = Page(text).sections
    spreads = [
        f"{statistics.fmean(pair):.3f} ± {statistics.stdev(pair):.3f}" for pair in ([39.0, 40.5], [41.0, 42.0])
    ]
    assert said["results"].index(f"8{spreads[0]}") < said["results"].index(f"2{spreads[1]}")
    marked = text.partition('<tr class="marked">')[2].partition("</tr>")[0]
    assert spreads[0] in marked
    assert text.count('class="marked"') == 1
    assert "latent2, 8" in said["recipe"]
    assert "genlab sweep bars.yaml latent=2,8" in said["make-it-again"]
    assert "completed" in Page(text).text


def test_the_page_has_curves_origins_and_what_the_runs_were_done_with(sweep: Path) -> None:
    origins = {
        "latent": "bars.yaml:4",
        "seed": "default",
        "encoder.use": "bars.yaml:5",
        "encoder.hidden": "default",
    }
    (sweep / "origins.json").write_text(json.dumps(origins))
    (sweep / "recipe.yaml").write_text("latent: 2\nencoder: {use: mlp, hidden: [8]}\nseed: 0\n")
    text = write_sweep_report(sweep).read_text("utf-8")
    said = Page(text).sections
    assert "latent: 2swept: 2, 8" in said["recipe"]
    assert "seed: 0swept: 0, 1" in said["recipe"]
    assert "use: mlpbars.yaml:5" in said["recipe"]
    assert "hidden: [8]default" in said["recipe"]
    charts = text.partition('id="curves"')[2].partition("</section>")[0]
    assert charts.count("<figure") == 3  # loss, nll and kl
    assert charts.count('class="other"') == 3 * (len(LOSSES) - 1)
    assert charts.count('class="val"') == 3  # the best run
    assert "Of all 4 runs." in said["environment"]
    edit(next(sweep.glob("trials/002/bars/*/env.json")), python="3.1")
    said = Page(write_sweep_report(sweep).read_text("utf-8")).sections
    assert "Of 3 of 4 runs; the other was done with something else" in said["environment"]
    assert "3.1.0" not in said["environment"]
    (sweep / "recipe.yaml").write_text("[")
    assert "It cannot be read" in Page(write_sweep_report(sweep).read_text("utf-8")).sections["recipe"]


def test_every_link_leads_to_the_page_of_a_run_wherever_the_page_stands(sweep: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "pages"
    elsewhere.mkdir()
    for path in (write_sweep_report(sweep), write_sweep_report(sweep, elsewhere / "a sweep.html")):
        found = targets(Page(path.read_text("utf-8")))
        assert len(found) == 2 * len(LOSSES)  # in the table of combinations, and in that of runs
        assert all((path.parent / target).is_file() and target.endswith(PAGE) for target in found)
    (lone,) = (sweep / "trials" / "003").glob(f"bars/*/{PAGE}")
    lone.unlink()
    found = targets(Page(write_sweep_report(sweep).read_text("utf-8")))
    assert sum((sweep / target).samefile(lone.parent) for target in found) == 2  # its folder, then


def test_a_failure_is_shown_with_its_cause_and_how_to_go_on(sweep: Path) -> None:
    (status,) = (sweep / "trials" / "003").glob("bars/*/status.json")
    edit(status, status="failed", message="no such luck")
    page = Page(write_sweep_report(sweep).read_text("utf-8"))
    assert "3 of 4 runs are completed, 1 failed." in page.text
    assert f"genlab resume {sweep}" in page.text
    assert "003latent=8 1no such luck" in page.sections["failures"]


def test_losses_that_measure_different_things_are_said_to(trained: Path, tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "sweep", trained, key="objective.beta")
    for path in sweep.glob("trials/00[01]/bars/*/resolved.yaml"):
        path.write_text(path.read_text().replace("beta: 1.0", "beta: 4.0"))
    text = Page(write_sweep_report(sweep).read_text("utf-8")).sections["results"]
    assert "val/loss does not measure the same in all of these runs: objective.beta: 4.0 in 1, 2" in text
    edit(sweep / "sweep.json", metric="val/nll")
    for path in sweep.glob("trials/*/bars/*/status.json"):
        edit(path, best={"val/loss": 1.0, "val/nll": 1.0})
    text = Page(write_sweep_report(sweep).read_text("utf-8")).sections["results"]
    assert "does not measure the same" not in text  # as compare says


@pytest.mark.parametrize("text", HOSTILE[:7] + HOSTILE[8:], ids=lambda text: ascii(text)[:24])
def test_what_users_wrote_is_text_and_no_more(trained: Path, tmp_path: Path, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    sweep = sweep_of(tmp_path / "sweep", trained, values={"2": text})
    edit(sweep / "sweep.json", name=text, command=text, overrides={text: text})
    (status,) = (sweep / "trials" / "000").glob("bars/*/status.json")
    edit(status, status="failed", message=text)
    page = Page(write_sweep_report(sweep).read_text("utf-8"))
    assert not {"script", "img", "link", "iframe"} & {name for name, _ in page.tags}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert all((sweep / target).exists() for target in targets(page))
    if text.isprintable():
        for where in ("results", "failures", "recipe", "make-it-again"):
            assert text in page.sections[where], where


def test_report_writes_the_page_of_a_sweep(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(sweep)])
    assert stopped.value.code in (0, None)
    assert capsys.readouterr().out == f"{sweep / PAGE}\n"
    Page((sweep / PAGE).read_text("utf-8"))


def test_a_sweep_of_seeds_alone_has_a_page(trained: Path, tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "sweep", trained)
    edit(sweep / "sweep.json", space={}, trials=1)
    for number in (2, 3):
        shutil.rmtree(sweep / "trials" / f"{number:03d}")
    for number in (0, 1):
        edit(sweep / "trials" / f"{number:03d}" / "trial.json", values={})
    page = Page(write_sweep_report(sweep).read_text("utf-8"))
    assert "the recipe41.500 ± 0.707" in page.sections["results"]
