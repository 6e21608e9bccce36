"""What the commands print and write when all is well."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

import genlab
from genlab.cli import main
from genlab.device import resolve
from genlab.runs import known_runs

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def ok(arguments: list[str], capsys: Captured) -> str:
    """Run a command that must succeed; return what it printed."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    assert stopped.value.code in (0, None), err
    return out


def test_run_without_a_terminal_prints_a_header_a_line_per_epoch_and_what_to_try(
    bars: Path, capsys: Captured
) -> None:
    out = ok(["run", str(bars)], capsys)
    for shown in ("recipe  bars", "device  cpu", "precision  fp32", "data  bars: 200 to train, 40 to validate"):
        assert shown in out
    assert "encoder.net.1.0" in out
    assert [line[:9] for line in out.splitlines() if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    ((run, status),) = known_runs()
    assert f"best val/loss {status.best['val/loss']:.3f} after epoch" in out
    assert "model/model.safetensors" in out
    assert "genlab sample bars -n 16" in out
    assert run.path.name in out


def test_what_files_and_folders_are_called_cannot_move_the_cursor(
    bars: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENLAB_RUNS", str(tmp_path / "\x1b[2Jruns"))
    out = ok(["run", str(bars), "train.epochs=1"], capsys)
    assert f"run  '{tmp_path}/\\x1b[2Jruns/bars/" in out
    assert "\x1b" not in out
    made = bars.with_name("\x1b[2Jcopy.yaml")
    assert "\x1b[2J" not in ok(["cp", str(bars), str(made)], capsys).partition("\ntrain it:")[0]


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_prints_one_object_per_epoch_and_nothing_else(bars: Path, capsys: Captured) -> None:
    rows = [json.loads(line) for line in ok(["run", str(bars), "--json"], capsys).splitlines()]
    ((run, _),) = known_runs()
    metrics, timing = (lines(run.path / name) for name in ("metrics.jsonl", "timing.jsonl"))
    assert rows == [m | t for m, t in zip(metrics, timing, strict=True)]
    assert not {"seconds", "images_per_second"} & metrics[0].keys()  # nothing in them depends on the clock
    assert [row["epoch"] for row in rows] == [1, 2]


def test_json_wins_over_quiet(bars: Path, capsys: Captured) -> None:
    assert json.loads(ok(["run", str(bars), "train.epochs=1", "--json", "-q"], capsys))["epoch"] == 1
    assert json.loads(ok(["resume", "bars", "train.epochs=2", "-q", "--json"], capsys))["epoch"] == 2


def test_quiet_prints_the_run_directory_alone(bars: Path, capsys: Captured) -> None:
    out = ok(["run", str(bars), "-q"], capsys)
    ((run, _),) = known_runs()
    assert out == f"{run.path}\n"


def test_overrides_may_stand_anywhere(bars: Path, capsys: Captured) -> None:
    out = ok(["run", "train.epochs=1", "--json", str(bars), "seed=3"], capsys)
    assert len(out.splitlines()) == 1
    ((run, _),) = known_runs()
    assert "seed: 3" in (run.path / "resolved.yaml").read_text()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_shows_its_layers_without_reading_data(
    recipe: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENLAB_DATA", "/nonexistent")
    out = ok(["show", str(recipe)], capsys)
    assert f"name: {recipe.stem}" in out
    assert "total" in out


def test_show_resolves_the_reference_recipe_to_its_published_size(capsys: Captured) -> None:
    out = ok(["show", str(ROOT / "recipes" / "mnist_cvae.yaml")], capsys)
    assert "134,165" in out
    assert "eps: 1.0e-07" in out


def test_what_show_prints_is_a_recipe_again(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    out = ok(["show", str(bars), "latent=5"], capsys)
    again = tmp_path / "again.yaml"
    again.write_text(out.partition("\n\n")[0] + "\n")
    assert ok(["show", str(again)], capsys) == out


def test_show_refuses_a_model_too_large_for_the_machine_with_its_place(bars: Path, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["show", str(bars), "decoder.hidden=[3000000, 3000000]"])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {bars}:5:1: the model would have 9,000,060,000,356 parameters")


def test_sample_writes_a_picture(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    genlab.run(bars, plots=False)
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for path in (first, second):
        ok(["sample", "bars", "-n", "9", "-o", str(path), "--seed", "1"], capsys)
    assert first.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert first.read_bytes() == second.read_bytes()


def test_eval_prints_exact_test_metrics(bars: Path, capsys: Captured) -> None:
    genlab.run(bars, plots=False)
    capsys.readouterr()
    found = json.loads(ok(["eval", "bars", "--json"], capsys))
    assert found["examples"] == 40
    assert found["test/loss"] == pytest.approx(found["test/nll"] + found["test/kl"], rel=1e-5)
    text = ok(["eval", "bars"], capsys)
    assert f"{found['test/loss']:.3f} nats" in text
    assert "exact means over 40 examples" in text


def test_plot_draws_again_what_the_run_drew(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    run = genlab.run(bars)
    out = tmp_path / "again.png"
    for kind in ("losses", "samples"):
        ok(["plot", kind, "bars", "-o", str(out)], capsys)
        assert out.read_bytes() == (run.directory / "plots" / f"{kind}.png").read_bytes()
    ok(["plot", "all", "bars", "-o", str(tmp_path / "all")], capsys)
    assert {p.name for p in (tmp_path / "all").iterdir()} == {p.name for p in (run.directory / "plots").iterdir()}


def test_ls_lists_recipes_models_parts_and_runs(
    bars: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = genlab.run(bars, {"train.epochs": 1}, plots=False)
    capsys.readouterr()
    monkeypatch.chdir(ROOT)
    out = ok(["ls"], capsys)
    for name in ("mnist_cvae", "standard_normal", "genlab-mnist", run.directory.name, "completed"):
        assert name in out
    parts = ok(["ls", "parts"], capsys)
    assert "runs" not in parts
    assert "Images of `size` x `size` pixels" in parts
    assert ok(["ls", "runs"], capsys) == ok(["runs", "list"], capsys)
    monkeypatch.setenv("GENLAB_STATE", "elsewhere")
    monkeypatch.setenv("GENLAB_RUNS", "elsewhere")
    assert ok(["ls", "runs"], capsys) == "no runs\n"


def test_ls_prints_json(bars: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    run = genlab.run(bars, {"train.epochs": 1}, plots=False)
    (run.directory / "model" / "metrics.json").write_text("{")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "wrong.yaml").write_text("name: wrong")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    found = json.loads(ok(["ls", "--json"], capsys))
    assert list(found) == ["recipes", "models", "parts", "runs"]
    assert json.loads(ok(["ls", "parts", "--json"], capsys)) == {"parts": found["parts"]}
    assert ("prior", "standard_normal") in [(part["kind"], part["name"]) for part in found["parts"]]
    rows = {row["name"]: row for row in (*found["recipes"], *found["models"])}
    assert "wrong.yaml" in rows["recipes/wrong.yaml"]["problem"]
    assert rows["mnist_cvae"]["val/loss"] == pytest.approx(149.33, abs=0.01)
    assert "metrics.json: damaged" in rows["bars"]["problem"]
    assert found["runs"] == json.loads(ok(["runs", "list", "--json"], capsys))
    listed = ok(["ls"], capsys)
    assert "wrong.yaml" in listed
    assert "metrics.json: damaged" in listed


def test_one_thread_is_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, said in ((1, "1 thread)"), (2, "2 threads)")):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        assert resolve("cpu").label.endswith(f", {said}")


def test_devices_prints_json(capsys: Captured) -> None:
    devices = json.loads(ok(["devices", "--json"], capsys))
    assert devices[-1]["device"] == "cpu"
    assert "fp32" in devices[-1]["precisions"]
    assert [device["auto"] for device in devices] == [True, *(False for _ in devices[1:])]
    assert f"--device auto takes {devices[0]['device']}" in ok(["devices"], capsys)


def test_show_prints_json(bars: Path, capsys: Captured) -> None:
    shown = json.loads(ok(["show", str(bars), "latent=3", "--json"], capsys))
    assert list(shown) == ["recipe"]
    assert shown["recipe"]["latent"] == 3
    assert shown["recipe"]["train"]["precision"] == "fp32"
    origins = json.loads(ok(["show", str(bars), "latent=3", "--json", "--origins"], capsys))["origins"]
    assert origins["latent"] == "override 'latent=3'"
    assert origins["train.epochs"] == f"{bars}:7"
    assert origins["train.precision"] == "default"


def test_show_takes_a_run(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    run = genlab.run(bars, {"train.epochs": 1, "latent": 3}, plots=False)
    bars.unlink()  # it is not needed
    capsys.readouterr()
    stored = (run.directory / "resolved.yaml").read_text()
    for ref in (str(run.directory), "run:bars", f"run:{run.directory}"):
        assert ok(["show", ref], capsys) == stored
    shown = ok(["show", "run:bars", "--origins"], capsys)
    assert re.search(r"^latent: 3 +# override latent=3$", shown, re.MULTILINE)
    assert re.search(rf"^  use: mlp +# {bars}:4$", shown, re.MULTILINE)
    assert json.loads(ok(["show", "run:bars", "--json", "--origins"], capsys)) == {
        "recipe": YAML(typ="safe").load(stored),
        "origins": json.loads((run.directory / "origins.json").read_text()),
    }
    with pytest.raises(SystemExit) as ended:
        main(["show", "run:bars", "latent=5"])
    assert ended.value.code == 2
    assert "latent=5: run:bars is a run or model, and stays what it was made by" in capsys.readouterr().err


def test_what_is_neither_recipe_nor_run_is_told_with_those_that_are(bars: Path, capsys: Captured) -> None:
    genlab.run(bars, {"train.epochs": 1}, plots=False)
    capsys.readouterr()
    for command in (["show", "mnits_cvae"], ["diff", str(bars), "mnits_cvae"]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
        err = capsys.readouterr().err
        assert "no installed recipe of that name; did you mean 'mnist_cvae'?" in err
        assert "runs: bars; shipped: mnist_cvae" in err
    with pytest.raises(SystemExit):
        main(["show", "run:mnits_cvae"])
    assert "recipe" not in capsys.readouterr().err


def test_data_verify_and_fetch_work_on_a_source_without_files(capsys: Captured) -> None:
    assert "made here" in ok(["data", "verify", "bars"], capsys)
    assert "made here" in ok(["data", "fetch", "bars"], capsys)
    found = json.loads(ok(["data", "verify", "bars", "--json"], capsys))
    assert (found["name"], found["ok"], found["error"]) == ("bars", True, None)
    assert "made here" in found["origin"]


def test_data_may_lie_in_another_folder(tmp_path: Path, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "verify", "mnist", "--root", str(tmp_path)])
    assert ended.value.code == 2
    assert str(tmp_path / "MNIST" / "raw") in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["data", "verify", "mnist", "--root", str(tmp_path), "--json"])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)["ok"] is False
    assert str(tmp_path / "MNIST" / "raw") in json.loads(out)["error"]
    with pytest.raises(SystemExit) as ended:
        main(["data", "verify", "bars", "--root", str(tmp_path)])
    assert ended.value.code == 2
    assert "reads no files; --root does not apply" in capsys.readouterr().err


needs_full = pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")


@needs_full
@pytest.mark.parametrize("arguments", [["--help"], ["ls", "parts"], ["devices"], ["--version"]])
def test_output_to_a_full_disk_is_a_message(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "genlab", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "error: standard output cannot be written (No space left on device)\n"
    assert done.returncode == 2


@needs_full
@pytest.mark.parametrize("to", ["full", "closed"])
def test_a_training_goes_on_when_its_output_cannot_be_written(to: str, bars: Path, tmp_path: Path) -> None:
    redirection = ">/dev/full" if to == "full" else ">&-"
    command = f'"{sys.executable}" -m genlab run "{bars}" train.epochs=1 {redirection}'
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    [status] = (tmp_path / "runs").glob("bars/*/status.json")
    assert '"status": "completed"' in status.read_text()
    assert done.returncode == 0


@needs_full
def test_a_device_is_not_replaced_by_a_file(capsys: Captured) -> None:
    for output, said in (("/dev/full", "'/dev/full': not a file"), ("", "not a file")):
        with pytest.raises(SystemExit) as ended:
            main(["schema", "-o", output])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()


def test_plugins_list_names_what_each_brings(capsys: Captured) -> None:
    out = ok(["plugins", "list"], capsys)
    assert "genlab-tiny 0.1.0: encoder:tiny" in out
    assert "0 failed" in ok(["plugins", "doctor"], capsys)


def test_a_third_party_encoder_trains(bars: Path) -> None:
    run = genlab.run(bars, {"encoder": {"use": "tiny", "width": 8}, "train.epochs": 1}, plots=False)
    assert type(run.model.encoder).__name__ == "TinyEncoder"


def test_version(capsys: Captured) -> None:
    assert ok(["--version"], capsys) == f"{genlab.__version__}\n"


def test_help_loads_no_torch() -> None:
    code = "import sys, genlab.cli; print([m for m in ('torch', 'torchvision', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_genlab_loads_no_torch() -> None:
    code = "import sys, genlab; dir(genlab); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_devices_lists_what_there_is_and_what_auto_takes(capsys: Captured) -> None:
    from genlab.device import resolve

    out = ok(["devices"], capsys)
    assert out.splitlines()[0].split() == ["device", "memory", "precisions", "runners", "name"]
    assert "fp32, bf16, fp16" in out
    assert f"--device auto takes {resolve('auto').on}" in out


def test_the_precision_flag_wins_over_the_recipe(bars: Path, capsys: Captured) -> None:
    ok(["run", str(bars), "train.precision=fp16", "--precision", "bf16", "-q"], capsys)
    ((run, _),) = known_runs()
    assert "precision: bf16" in (run.path / "resolved.yaml").read_text()
