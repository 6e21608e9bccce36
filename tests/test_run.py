"""A recipe from start to end: what a run leaves behind, and how it is found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import genlab
from genlab.runs import known_runs
from genlab.store import find

FILES = {
    "recipe.yaml", "resolved.yaml", "env.json", "status.json", "metrics.jsonl", "log.txt",
    "model/config.json", "model/model.safetensors", "model/metrics.json", "model/README.md",
}  # fmt: skip


def read(path: Path) -> dict[str, object]:
    return dict(json.loads(path.read_text()))


def test_a_run_leaves_everything_that_is_promised(bars: Path, tmp_path: Path) -> None:
    run = genlab.run(bars, {"train.epochs": 3})
    assert run.directory.parent == tmp_path / "runs" / "bars"
    files = {str(path.relative_to(run.directory)) for path in run.directory.rglob("*") if path.is_file()}
    assert files >= FILES
    assert {name for name in files if name.startswith("plots/")} >= {"plots/losses.png", "plots/samples.png"}
    assert {name for name in files if "/." in f"/{name}"} == {".lock"}  # no temporary file stays

    assert (run.directory / "recipe.yaml").read_text() == bars.read_text()
    assert "epochs: 3" in (run.directory / "resolved.yaml").read_text()
    rows = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 7), (2, 14), (3, 21)]
    assert {"train/loss", "train/nll", "train/kl", "val/loss", "val/nll", "val/kl"} <= rows[0].keys()
    status = read(run.directory / "status.json")
    assert (status["status"], status["message"]) == ("completed", "all epochs done")
    environment = read(run.directory / "env.json")
    assert environment["genlab"] == genlab.__version__
    assert environment["libraries"]["torch"] == version("torch")  # type: ignore[index]
    card = (run.directory / "model" / "README.md").read_text()
    assert "bars" in card
    assert f"{run.metrics['val/loss']:.2f}" in card


def test_the_kept_model_is_the_best_one(bars: Path) -> None:
    """A large step size makes later epochs worse: what is kept is the epoch with the lowest val/loss."""
    run = genlab.run(bars, {"train.epochs": 6, "optimizer": {"use": "adam", "lr": 0.3}}, plots=False)
    losses = [record.metrics["val/loss"] for record in run.records]
    assert run.metrics["val/loss"] == min(losses)
    assert run.epoch == losses.index(min(losses)) + 1
    kept = read(run.directory / "model" / "metrics.json")
    assert kept["metrics"]["val/loss"] == min(losses)  # type: ignore[index]


def test_the_returned_model_has_the_metrics_that_are_claimed(bars: Path) -> None:
    from genlab.build import build_data, build_objective
    from genlab.data import Batches
    from genlab.device import resolve
    from genlab.evaluate import evaluate
    from genlab.plugins import installed

    run = genlab.run(bars, plots=False, device="cpu")
    registry, cpu = installed().registry, resolve("cpu")
    data = build_data(run.recipe, registry)
    batches = Batches(data.split("val").x, data.prepare, run.recipe.train.eval_batch_size, device=cpu)
    found = evaluate(run.model, build_objective(run.recipe, registry), batches, cpu, seed=run.recipe.seed)
    assert found["loss"] == pytest.approx(run.metrics["val/loss"], rel=1e-6)
    assert not run.model.training


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(bars: Path) -> None:
    def weights(seed: int) -> bytes:
        run = genlab.run(bars, {"seed": seed}, plots=False, device="cpu")
        return (run.directory / "model" / "model.safetensors").read_bytes()

    assert weights(0) == weights(0)
    assert weights(0) != weights(1)


def test_a_run_does_not_touch_the_callers_random_state(bars: Path) -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    genlab.run(bars, {"train.epochs": 1}, plots=False)
    assert torch.equal(before, torch.get_rng_state())


def test_real_digits_are_learned(small_mnist: str) -> None:
    """500 digits, 6 epochs: from about 540 nats (every pixel at one half) to well under 300."""
    recipe = Path(__file__).parent.parent / "recipes" / "mnist_cvae.yaml"
    # Without the warm-up, which is longer than these 96 steps.
    changes = {"data": {"use": small_mnist}, "train.epochs": 6, "schedule": "constant"}
    run = genlab.run(recipe, changes, plots=False)
    losses = [record.metrics["train/loss"] for record in run.records]
    assert losses == sorted(losses, reverse=True)
    assert run.metrics["val/loss"] < 300
    x = run.model.sample(16, seed=0)
    assert x.shape == (16, 1, 28, 28)
    assert x.min() >= 0
    assert x.max() <= 1


# -- load -------------------------------------------------------------------------------------------------


def test_load_finds_the_newest_completed_run_of_a_name_from_any_directory(
    bars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = genlab.run(bars, {"train.epochs": 1}, runs=tmp_path / "here", plots=False)
    second = genlab.run(bars, {"train.epochs": 2}, runs=tmp_path / "there", plots=False)
    monkeypatch.chdir("/")
    capsys.readouterr()
    model = genlab.load("bars")
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert str(second.directory) in err
    assert model.metrics == second.metrics
    assert model.recipe == second.recipe
    for ref in (f"run:{first.directory}", str(first.directory), str(first.directory / "model")):
        assert genlab.load(ref).metrics == first.metrics


def test_load_skips_runs_that_did_not_complete(bars: Path) -> None:
    good = genlab.run(bars, {"train.epochs": 1}, plots=False)
    newer = genlab.run(bars, {"train.epochs": 1}, plots=False)
    status = newer.directory / "status.json"
    status.write_text(status.read_text().replace('"completed"', '"interrupted"'))
    assert find("bars").folder == good.directory / "model"


def test_a_plugins_model_is_found_by_its_name_and_comes_after_a_run(bars: Path) -> None:
    shipped = find("mnist_cvae")
    assert "shipped by genlab-mnist" in shipped.what
    assert find("plugin:mnist_cvae") == find("plugin:genlab-mnist/mnist_cvae") == shipped
    text = bars.read_text().replace("name: bars", "name: mnist_cvae")
    bars.write_text(text)
    run = genlab.run(bars, {"train.epochs": 1}, plots=False)
    assert find("mnist_cvae").folder == run.directory / "model"
    assert find("plugin:mnist_cvae") == shipped


def test_the_shipped_model_generates_digits_and_is_as_good_as_it_says() -> None:
    model = genlab.load("plugin:mnist_cvae")
    assert model.sample(16, seed=0).shape == (16, 1, 28, 28)
    assert model.metrics is not None
    assert model.metrics["val/loss"] < 152.0
    import numpy as np

    with np.load(Path(__file__).parent / "data" / "mnist_small.npz") as data:
        x = torch.from_numpy(data["test_x"])[:, None].float() / 255
    from genlab.parts.objectives import ELBO

    with torch.no_grad():
        torch.manual_seed(0)
        loss = float(ELBO()(model, x.to(model.device)).loss)
    # 200 of the 10,000 digits: their mean lies within some nats of the whole set's.
    assert abs(loss - model.metrics["val/loss"]) < 10


def test_the_published_bundle_stays_within_its_size() -> None:
    folder = find("plugin:mnist_cvae").folder
    assert sum(path.stat().st_size for path in folder.iterdir()) < 700_000
    assert (folder / "README.md").read_text().startswith("# mnist_cvae")


# -- interrupts -------------------------------------------------------------------------------------------


def start(bars: Path, tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "genlab", "run", str(bars), "--json", *(more or ("train.epochs=100000",))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_the_best_model_and_says_where(
    bars: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = start(bars, tmp_path)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert first["epoch"] == 1
    asked = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - asked < 30  # a second or two on an idle machine; the training left is minutes
    assert process.returncode == code, err
    assert "Traceback" not in err
    ((run, status),) = known_runs("bars")
    assert status.status == "interrupted"
    assert str(run.path) in err
    assert genlab.load(str(run.path)).metrics == status.best


def test_a_killed_run_leaves_whole_files(bars: Path, tmp_path: Path) -> None:
    process = start(bars, tmp_path)
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    ((run, status),) = known_runs("bars")
    assert status.status == "died"  # nobody was left to write it: the process is gone
    assert len((run.path / "metrics.jsonl").read_text().splitlines()) >= 3
    assert genlab.load(str(run.path)).sample(2).shape == (2, 1, 4, 4)


def test_a_reader_who_leaves_does_not_end_the_training(bars: Path, tmp_path: Path) -> None:
    process = start(bars, tmp_path, "train.epochs=5")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert process.wait(timeout=60) == 0, stderr.read()
    ((run, status),) = known_runs("bars")
    assert status.status == "completed"
    assert len((run.path / "metrics.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_text_that_the_terminal_cannot_show_fails_nothing(bars: Path, tmp_path: Path, locale: str) -> None:
    bars.write_text(bars.read_text("utf-8") + "description: a \u03b2-VAE\n", "utf-8")
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": locale, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "genlab", "run", str(bars), "train.epochs=1"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=os.environ | plain)
    assert done.returncode == 0, done.stderr
    ((run, _),) = known_runs("bars")
    assert "\u03b2" in (run.path / "recipe.yaml").read_text("utf-8")


def test_parts_nested_in_parts_can_be_kept_and_loaded(bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genlab.interfaces import Encoder
    from genlab.plugins import installed

    class Wrap(Encoder):
        def __init__(self, x_shape: tuple[int, ...], latent: int, *, base: Encoder) -> None:
            super().__init__()
            self.base = base

        def forward(self, x: torch.Tensor) -> torch.distributions.Distribution:
            return self.base(x)

    Wrap.__init__.__annotations__["base"] = Encoder
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    registry.register("wrap", Wrap, "tests")
    nested = {"use": "wrap", "base": {"use": "wrap", "base": {"use": "mlp", "hidden": [7]}}}
    run = genlab.run(bars, {"encoder": nested, "train.epochs": 1}, plots=False)
    assert genlab.load(run.directory).encoder.base.base.net[1][0].out_features == 7  # type: ignore[union-attr, index]
