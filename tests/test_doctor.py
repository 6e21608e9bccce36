"""``genlab doctor``: each thing that can be wrong with a machine is one line with a remedy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import genlab
from genlab import DataSource, Examples, health
from genlab.cli import main
from genlab.folders import VARIABLES
from genlab.health import Finding, examine
from genlab.plugins import Failure, Plugins, installed

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENLAB_DATA", str(tmp_path / "data"))


def doctor(arguments: list[str], capsys: Captured) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    out, err = capsys.readouterr()
    assert err == ""
    return int(ended.value.code or 0), out


def found(about: str) -> Finding:
    (finding,) = [finding for finding in examine() if finding.about == about]
    return finding


def test_a_machine_in_order_has_no_problem_and_all_that_a_bug_report_needs(
    capsys: Captured, tmp_path: Path
) -> None:
    code, out = doctor([], capsys)
    assert code == 0, out
    for about in ("genlab", "Python", "torch", "device cpu", "threads", "plugin genlab-mnist", "folder of runs"):
        assert re.search(rf"^(ok|warning) +{about}  ", out, re.MULTILINE), out
    assert genlab.__version__ in out
    assert metadata.version("torch") in out
    assert not (tmp_path / "data").exists()  # nothing is fetched or made


def test_json_has_the_same_findings(capsys: Captured) -> None:
    code, out = doctor(["--json"], capsys)
    rows = json.loads(out)
    assert code == 0
    assert [row["about"] for row in rows] == [finding.about for finding in examine()]
    assert set(rows[0]) == {"about", "found", "level", "remedy"}


def test_a_problem_makes_the_exit_code_1_and_comes_with_a_remedy(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        metadata, "requires", lambda name: ["torch>=99", "no-such-thing>=1", "nothing; extra == 'x'"]
    )
    code, out = doctor([], capsys)
    assert code == 1
    version = metadata.version("torch")
    assert "problem  torch" in out
    assert f"{version}; >=99 is needed" in out
    assert "-> pip install 'torch>=99'" in out
    assert "no-such-thing" in out
    assert "nothing" not in out.replace("nothing is wrong", "")
    assert out.splitlines()[-1].startswith("2 problems")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLAB_RUNS", "/proc/nowhere/runs")
    finding = found("folder of runs")
    assert finding.level == "problem"
    assert finding.found.startswith("/proc/nowhere/runs, to be made: cannot be written (")
    assert finding.remedy == "make it writable, or choose another with GENLAB_RUNS"


def test_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOW", 2**80)
    finding = found("folder of state")
    assert finding.level == "warning"
    assert "choose another folder with GENLAB_STATE" in finding.remedy


def test_data_that_is_absent_is_no_problem_and_damaged_data_is(tmp_path: Path) -> None:
    absent = found("data mnist")
    assert (absent.level, absent.found) == ("ok", "not here; `genlab data fetch mnist` brings it")
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"not digits")
    damaged = found("data mnist")
    assert damaged.level == "problem"
    assert "train-images-idx3-ubyte" in damaged.found
    assert "`genlab data fetch mnist` replaces what is damaged" in damaged.remedy


def test_no_source_is_asked_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fetches(DataSource):
        x_shape = (1, 2, 2)

        def split(self, name: str) -> Examples:
            raise AssertionError("fetched")

        @property
        def origin(self) -> str:
            return "far away"

    class Fails(Fetches):
        def verify(self) -> str:
            raise KeyError("files")

    class NeedsOptions(Fetches):
        def __init__(self, *, url: str) -> None:
            pass

    registry = installed().registry
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    for name, cls in (("fetches", Fetches), ("fails", Fails), ("needs_options", NeedsOptions)):
        registry.register(name, cls, "their-plugin")
    assert found("data fetches") == Finding("data fetches", "far away")
    assert found("data fails").level == "warning"
    assert found("data fails").remedy == "report it to their-plugin"
    assert found("data needs_options") == Finding("data needs_options", "not looked at: it needs the option url")


def test_a_plugin_that_could_not_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = installed()
    failure = Failure("broken", "genlab-broken", "ImportError: no module named 'x'", "Traceback ...")
    changed = Plugins(plugins.registry, (), (), plugins.distributions, (failure,))
    monkeypatch.setattr("genlab.plugins.examined", lambda: changed)
    finding = found("plugin genlab-broken")
    assert finding.level == "problem"
    assert finding.found == "could not be loaded: ImportError: no module named 'x'"
    assert "genlab plugins doctor" in finding.remedy


def test_more_threads_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 4096)
    finding = found("threads")
    assert finding.level == "warning"
    assert finding.remedy.startswith("set OMP_NUM_THREADS=")


def test_variables_are_shown_and_a_misspelt_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLAB_RUN", "here")
    monkeypatch.setenv("GENLAB_MALLOC", "0")
    assert found("GENLAB_MALLOC") == Finding("GENLAB_MALLOC", "0")
    assert found("GENLAB_RUN").remedy == "genlab reads no such variable; did you mean GENLAB_RUNS?"


def test_every_variable_that_genlab_reads_is_known() -> None:
    root = Path(genlab.__file__).parent
    read = {
        name
        for path in root.rglob("*.py")
        for name in re.findall(r"environ[^\n]*\"(GENLAB_\w+)\"", path.read_text())
    }
    assert read == set(VARIABLES)


def test_a_poor_terminal() -> None:
    code = "from genlab.health import _terminal; (f,) = _terminal(); print(f.level, f.remedy)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout == "warning set PYTHONUTF8=1\n"


def test_a_torch_that_cannot_be_imported_is_a_finding_and_not_the_end() -> None:
    code = "import sys; sys.modules['torch'] = None\nfrom genlab.cli import main; main(['doctor'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == ""
    assert "problem  devices" in done.stdout
    assert "folder of runs" in done.stdout


@pytest.mark.parametrize(
    "text", [b"[genlab]\n\xff\xfe = x\n", b"[genlab]\nwithout a value\n"], ids=["bytes", "line"]
)
def test_metadata_that_cannot_be_read_are_named_whatever_is_done(text: bytes, tmp_path: Path) -> None:
    """One distribution's, anybody's; torch itself cannot be imported then."""
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(text)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def typed(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "genlab", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    for arguments in (
        ["run", "bars"],
        ["--no-plugins", "run", "bars"],
        ["plugins", "doctor"],
        ["plugins", "list"],
    ):
        code, out, err = typed(*arguments)
        assert code == 2
        assert err.startswith(f"error: {info}: its entry_points.txt cannot be read (")
        assert err.count("\n") == 1
        assert ("genlab-mnist 0" in out) == (arguments[-1] == "list")  # the others' can be read
    code, out, err = typed("doctor")
    assert (code, err) == (1, "")
    assert f"metadata            {info}: entry_points.txt: " in out
    assert "install genlab anew" not in out
    assert typed("--help")[0] == 0
