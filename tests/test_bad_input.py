"""Every mistake of a user: one message that names the place and the remedy, exit code 2, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import genlab
from genlab import LatentModel, Objective, Terms
from genlab.cli import main
from genlab.parts.objectives import ELBO
from genlab.plugins import installed
from genlab.runs import known_runs

Captured = pytest.CaptureFixture[str]


def refused(arguments: list[str], capsys: Captured, code: int = 2) -> str:
    """Run a command that must fail; return its one message."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    assert stopped.value.code == code, err
    assert "Traceback" not in out + err
    return err


# -- recipes (more of them in test_bad_recipes.py) --------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "show"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "x.yaml: no such file"),
        ("", "x.yaml:1:1: the recipe is empty"),
        ("name: [", "x.yaml:1:8: not YAML"),
        ("name: a\nencodr: mlp\n", "x.yaml:2:1: encodr: unknown option; did you mean 'encoder'?"),
        ("name: a\nencoder: {use: mpl}\n", "x.yaml:2:11: encoder: unknown encoder 'mpl'; did you mean 'mlp'?"),
        ("name: a\nencoder: {use: mlp, hiden: [3]}\n", "x.yaml:2:21: encoder.hiden: unknown option; did you mean"),
        ("name: a\nlatent: two\n", "x.yaml:2:1: latent: 'two' given; expected: an integer > 0"),
        ("name: a\nlatent: 0\n", "x.yaml:2:1: latent: 0 given; expected: an integer > 0"),
    ],
)
def test_broken_recipes(
    command: str, text: str | None, message: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("x.yaml").write_text(text)
    assert message in refused([command, "x.yaml"], capsys)
    assert known_runs() == []


def test_an_override_is_named_as_the_place(bars: Path, capsys: Captured) -> None:
    err = refused(["run", str(bars), "train.epochs=many"], capsys)
    assert "override 'train.epochs=many': train.epochs: 'many' given; expected: an integer > 0 (default 20)" in err


@pytest.mark.parametrize("arguments", [["run"], ["run", "a.yaml", "b.yaml"], ["run", "train.epochs=3"], ["rum"]])
def test_a_command_line_that_says_too_little_or_too_much(arguments: list[str], capsys: Captured) -> None:
    assert refused(arguments, capsys)


def test_a_device_that_is_not_there(bars: Path, capsys: Captured) -> None:
    assert "unknown device 'gpu'; available: auto, cpu" in refused(["run", str(bars), "--device", "gpu"], capsys)
    assert known_runs() == []


def test_a_monitor_that_no_metric_answers_to(bars: Path, capsys: Captured) -> None:
    err = refused(["run", str(bars), "train.early_stopping={monitor: val/lss}"], capsys)
    assert "train.early_stopping.monitor: unknown metric 'val/lss'; did you mean 'val/loss'?" in err
    assert "train/kl" in err
    assert known_runs() == []


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.limit=0", "data.limit: 0 given"),
        ("data.limit=60001", "data.limit: 60001 given"),
        ("data.validation=60000", "data.validation: 60000 given"),
        ("data={use: mnist, limit: 100, validation: 59950}", "from 1 to 50 training examples can be taken"),
    ],
)
def test_more_examples_than_there_are(override: str, message: str, capsys: Captured) -> None:
    assert message in refused(["run", "recipes/mnist_cvae.yaml", override], capsys)


def test_a_precision_that_is_not_there(bars: Path, capsys: Captured) -> None:
    err = refused(["run", str(bars), "--device", "cpu", "--precision", "tf32"], capsys)
    assert "precision 'tf32' is not available on cpu; available: fp32, bf16, fp16" in err
    assert "train.precision: 'fp8' given" in refused(["run", str(bars), "--precision", "fp8"], capsys)


# -- parts that do not fit --------------------------------------------------------------------------------


def test_a_part_that_cannot_take_the_data(bars: Path, capsys: Captured) -> None:
    err = refused(["run", str(bars), "encoder={use: conv, kernel: 4}"], capsys)
    assert "encoder.kernel" in err
    assert "odd kernel size" in err


# -- output -----------------------------------------------------------------------------------------------


def test_a_run_folder_that_cannot_be_written(bars: Path, tmp_path: Path, capsys: Captured) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    err = refused(["run", str(bars), "--runs", str(in_the_way)], capsys)
    assert f"{in_the_way}" in err
    assert "cannot be written (Not a directory); free some space, mend its permissions, or choose another" in err
    assert in_the_way.read_text() == "mine"


@pytest.mark.parametrize(
    ("output", "message"), [("digits.jpg", "output is PNG"), ("nowhere/digits.png", "there is no folder nowhere")]
)
def test_a_picture_that_cannot_be_written(output: str, message: str, capsys: Captured) -> None:
    assert message in refused(["sample", "mnist_cvae", "-o", output], capsys)


def test_a_full_disk_in_the_middle_of_a_run(bars: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third model to be kept meets a full disk: the second stays, whole."""
    import errno

    from genlab import store

    calls = 0
    write = store.write_bytes

    def full(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            from genlab.files import explained

            with explained(path):
                raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(store, "write_bytes", full)
    err = refused(["run", str(bars), "train.epochs=5", "-q"], capsys)
    assert "No space left on device" in err
    ((run, status),) = known_runs()
    assert status.status == "failed"
    assert f"the best model so far is kept in {run.model}" in err
    assert genlab.load(str(run.path)).metrics == status.best or status.best_epoch == 3


# -- models -----------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(bars: Path) -> Path:
    return genlab.run(bars, {"train.epochs": 1}, plots=False).directory / "model"


@pytest.mark.parametrize("ref", ["", ".", "run:", "x" * 300, "a\0b", "run:nothing", "plugin:nothing", "/dev/null"])
def test_references_that_lead_nowhere(ref: str, capsys: Captured) -> None:
    assert "no model" in refused(["sample", ref], capsys)


def test_a_run_that_cannot_be_read_hides_no_other_model(bars: Path, tmp_path: Path) -> None:
    from genlab.store import find

    (tmp_path / "runs" / "mnist_cvae" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "mnist_cvae" / "x" / "status.json").mkdir()  # reading it fails, whoever tries
    (tmp_path / "runs" / "mnist_cvae" / "y").mkdir()
    (tmp_path / "runs" / "mnist_cvae" / "y" / "status.json").write_text("{")
    assert "shipped" in find("mnist_cvae").what


@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_seeds_that_torch_cannot_take(seed: str, capsys: Captured) -> None:
    assert "--seed" in refused(["sample", "mnist_cvae", "--seed", seed], capsys)
    with pytest.raises(ValueError, match="from 0 to 9223372036854775807 is allowed"):
        genlab.load("mnist_cvae").sample(1, seed=int(seed))


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_a_model_that_is_not_there(command: str, capsys: Captured) -> None:
    err = refused([command, "mnist_cva"], capsys)
    assert (
        "no model 'mnist_cva': no run or bundle at that path, no completed run and no plugin's model of that name"
        in err
    )
    assert "shipped: mnist_cvae" in err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "metrics.json"])
def test_a_bundle_that_lacks_a_file(bundle: Path, name: str, capsys: Captured) -> None:
    (bundle / name).unlink()
    assert f"{bundle / name}: missing; a bundle holds" in refused(["sample", str(bundle)], capsys)


def test_a_truncated_bundle_at_every_length(bundle: Path) -> None:
    path = bundle / "model.safetensors"
    whole = path.read_bytes()
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(genlab.GenlabError, match=rf"truncated or altered \({length} bytes; {len(whole)} were"):
            genlab.load(bundle)


def test_a_flipped_bit_in_the_weights(bundle: Path) -> None:
    path = bundle / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(genlab.GenlabError, match="altered since it was written"):
        genlab.load(bundle)


def rehash(bundle: Path) -> None:
    """Make a bundle's config agree with its weights file, as somebody who edits bundles would."""
    import hashlib

    config = json.loads((bundle / "config.json").read_text())
    data = (bundle / "model.safetensors").read_bytes()
    config |= {"weights_bytes": len(data), "weights_sha256": hashlib.sha256(data).hexdigest()}
    (bundle / "config.json").write_text(json.dumps(config))


def test_weights_that_are_no_weights(bundle: Path, capsys: Captured) -> None:
    (bundle / "model.safetensors").write_bytes(b"\x80\x04\x95not a pickle either")
    rehash(bundle)
    assert "model.safetensors: does not fit" in refused(["sample", str(bundle)], capsys)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_of_another_model(bundle: Path, change: str, capsys: Captured) -> None:
    path = bundle / "model.safetensors"
    tensors = load_file(path)
    name = "encoder.net.1.0.weight"
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors["encoder.stranger"] = torch.zeros(2)
    else:
        tensors[name] = torch.zeros(3, 3)
    save_file(tensors, path)
    rehash(bundle)
    err = refused(["sample", str(bundle)], capsys)
    assert "does not fit the recipe's parts" in err
    assert ("encoder.stranger" if change == "extra" else name) in err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\x00", '{"format": "x"}'])
def test_a_damaged_config(bundle: Path, text: str, capsys: Captured) -> None:
    (bundle / "config.json").write_text(text)
    assert "config.json: damaged" in refused(["sample", str(bundle)], capsys)


def edit_config(bundle: Path, **changes: object) -> None:
    path = bundle / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("shape", [[], [0, 2], ["a"], 3])
def test_a_bundle_of_no_shape(bundle: Path, shape: object, capsys: Captured) -> None:
    edit_config(bundle, x_shape=shape)
    assert "config.json: damaged: x_shape" in refused(["sample", str(bundle)], capsys)


@pytest.mark.parametrize("text", ["3", "{}", '{"metrics": {"val/loss": "x"}}', ""])
def test_damaged_metrics(bundle: Path, text: str, capsys: Captured) -> None:
    (bundle / "metrics.json").write_text(text)
    assert "metrics.json: damaged" in refused(["plot", "losses", str(bundle)], capsys)


def test_a_bundle_of_a_newer_format(bundle: Path, capsys: Captured) -> None:
    edit_config(bundle, format=99)
    assert "format 99" in (err := refused(["sample", str(bundle)], capsys))
    assert "pip install --upgrade genlab" in err


def test_a_bundle_made_by_a_plugin_that_is_not_installed(bundle: Path, capsys: Captured) -> None:
    config = json.loads((bundle / "config.json").read_text())
    config["recipe"]["encoder"] = {"use": "waves"}
    for owner in config["parts"]:
        if owner["kind"] == "encoder":
            owner |= {"use": "waves", "distribution": "genlab-waves", "version": "1.2"}
    edit_config(bundle, **config)
    err = refused(["sample", str(bundle)], capsys)
    assert "made with encoder 'waves' of genlab-waves 1.2, which is not installed: pip install genlab-waves" in err


def test_a_run_that_kept_no_model(bundle: Path, capsys: Captured) -> None:
    for path in bundle.iterdir():
        path.unlink()
    bundle.rmdir()
    assert "has kept no model" in refused(["sample", str(bundle.parent)], capsys)


def test_overrides_cannot_change_a_trained_model(bundle: Path, capsys: Captured) -> None:
    assert "only data.* options can be changed" in refused(["eval", str(bundle), "latent=3"], capsys)


def test_an_unknown_plot(bundle: Path, capsys: Captured) -> None:
    assert "did you mean 'samples'" in refused(["plot", "sampels", str(bundle)], capsys)


# -- training that fails ----------------------------------------------------------------------------------


class BadAt(Objective):
    """The ELBO until one step."""

    steps = 0

    def __init__(self, *, at: int) -> None:
        super().__init__()
        self.elbo, self.at = ELBO(), at

    def forward(self, model: LatentModel, x: torch.Tensor) -> Terms:
        terms = self.elbo(model, x)
        if not model.training:
            return terms
        BadAt.steps += 1
        return Terms(terms.loss * float("nan") if BadAt.steps == self.at else terms.loss, terms.logs)


@pytest.mark.parametrize(("at", "kept"), [(10, True), (3, False)])
def test_a_loss_that_is_not_finite(
    at: int, kept: bool, bars: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    monkeypatch.setattr(BadAt, "steps", 0)
    registry.register("bad", BadAt, "tests")
    err = refused(["run", str(bars), f"objective={{use: bad, at: {at}}}", "-q"], capsys, code=1)
    assert f"the loss is not finite at step {at}, whose update was withheld; a smaller" in err
    ((run, status),) = known_runs()
    assert status.status == "failed"
    assert run.model.is_dir() == kept
    if kept:
        assert f"the best model so far is kept in {run.model}" in err
        assert genlab.load(str(run.path)).metrics == status.best


# -- help for the curious ---------------------------------------------------------------------------------


def test_debug_shows_the_traceback(capsys: Captured) -> None:
    with pytest.raises(genlab.GenlabError, match="no such file"):
        main(["show", "nowhere.yaml", "--debug"])
