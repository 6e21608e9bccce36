"""The file of a benchmark: what is collected is written, what is written can be read, by the published schema."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from genlab.bench import environment, groups
from genlab.bench.findings import Findings
from genlab.bench.machine import Container, Environment
from genlab.bench.plan import Plan
from genlab.bench.result import BenchError, Combination, published_schema, read_result, write_result
from genlab.bench.tasks import About
from tests.made_benchmarks import FP32, made

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "docs" / "bench-result.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text()) == published_schema()


def test_a_result_is_read_as_it_was_written_and_fits_the_schema(tmp_path: Path) -> None:
    result, path = made(), tmp_path / "r.json"
    write_result(path, result)
    assert read_result(path) == result
    jsonschema.validate(json.loads(path.read_text()), json.loads(SCHEMA.read_text()))


def leaves(value: object, path: str = "") -> dict[str, object]:
    """Every field of a model and of those within it."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return {
            key: leaf for name, field in fields.items() for key, leaf in leaves(field, f"{path}.{name}").items()
        }
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        each = [leaves(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return {key: leaf for found in each for key, leaf in found.items()}
    return {path: value}


def at(written: object, path: str) -> object:
    """The value in the file at the path of a field."""
    for step in path.replace("[", ".[").split(".")[1:]:
        written = written[int(step[1:-1])] if step.startswith("[") else written[step]  # type: ignore[index]
    return written


def test_every_field_that_is_collected_is_written(tmp_path: Path) -> None:
    described = Environment(
        system=environment.system(),
        processor=environment.processor(),
        memory=environment.memory(),
        container=groups.container(),
        software=made().environment.software,
        accelerators=[],
        before=environment.conditions({"cuda:0 power": "70 W"}),
        after=environment.conditions(),
    )
    result = made().model_copy(update={"environment": described})
    write_result(tmp_path / "r.json", result)
    written = json.loads((tmp_path / "r.json").read_text())
    fields = leaves(result)
    assert len(fields) > 100
    for path, value in fields.items():
        assert json.dumps(at(written, path)) == json.dumps(value), path


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux tells is asked of Linux")
def test_what_linux_tells_is_known() -> None:
    """No None and nothing empty where the system has an answer."""
    system, processor = environment.system(), environment.processor()
    memory, now = environment.memory(), environment.conditions()
    known: dict[str, object] = {
        "system": system.platform, "release": system.release, "libc": system.libc, "nice": system.nice,
        "model": processor.model, "flags": processor.flags, "logical": processor.logical,
        "physical": processor.physical, "usable": processor.usable, "total": memory.total, "swap": memory.swap,
        "huge pages": memory.huge_pages, "load": now.load, "available": now.memory_available,
        "busy": now.busy_seconds, "stolen": now.stolen_seconds, "own": now.own_seconds,
    }  # fmt: skip
    there = {
        "swap": "SwapTotal" in Path("/proc/meminfo").read_text(),
        "huge pages": Path("/sys/kernel/mm/transparent_hugepage/enabled").exists(),
        "physical": Path("/sys/devices/system/cpu/cpu0/topology/core_id").exists(),
    }
    for name, value in known.items():
        if there.get(name, True):
            assert value is not None, name
            assert value != "", name
            assert value != [], name
    assert processor.usable == sorted(os.sched_getaffinity(0))
    assert system.release == platform.release()
    assert memory.total == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert bool(processor.governors) == Path("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor").exists()
    assert ("hypervisor" in processor.flags) == bool(processor.virtual)


def test_limits_of_a_container_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    inner = tmp_path / "pod" / "box"
    inner.mkdir(parents=True)
    (tmp_path / "pod" / "cpu.max").write_text("150000 100000\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (inner / "memory.max").write_text("1073741824\n")
    (inner / "cpu.stat").write_text("nr_throttled 0\nthrottled_usec 0\n")
    (tmp_path / "pod" / "cpu.stat").write_text("nr_throttled 3\nthrottled_usec 2500000\n")
    monkeypatch.setattr(groups, "CGROUP", tmp_path)
    monkeypatch.setattr(groups, "_groups", lambda: {"": "/pod/box"})
    assert groups.container() == Container(version=2, cores=1.5, memory=2**30)
    assert environment.conditions().quota_throttled_seconds == 2.5


def test_variables_that_matter_are_written_and_folders_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/home/somebody")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    found = environment.system().variables
    assert found["OMP_NUM_THREADS"] == "2"
    assert found["TORCHINDUCTOR_CACHE_DIR"] == "(a path)"
    assert "SECRET_TOKEN" not in found


def test_nobodys_name_or_path_is_collected() -> None:
    described: list[BaseModel] = [
        environment.system(), environment.processor(), environment.memory(), groups.container(),
        environment.conditions(),
    ]  # fmt: skip
    text = "".join(each.model_dump_json() for each in described)
    for secret in (platform.node(), str(Path.home()), getpass.getuser()):
        assert not re.search(rf"(?<![\w/]){re.escape(secret)}(?!\w)", text), secret


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON, or cut short"),
        ("[]", "no result of `genlab bench`"),
        ('{"a": 1}', "no result of `genlab bench`"),
        ('{"schema_version": 99}', "schema_version 99; this genlab reads 1"),
        ('{"schema_version": 1}', "damaged: created: field required"),
    ],
)
def test_what_is_no_result_is_said_with_its_name(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BenchError) as caught:
        read_result(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"none\.json: cannot be read \(No such file"):
        read_result(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda found: found["cells"][0]["processes"][0].update(windows=[0.0]),
            "damaged: cells.0.processes.0.win",
        ),
        (
            lambda found: found["environment"]["processor"].update(usable=[]),
            "damaged: environment.processor.usable",
        ),
        (lambda found: found["cells"][0].update(peak_host_bytes=10**400), "damaged: cells.0.peak_host_bytes"),
        (lambda found: found["peaks"][0].update(bytes=0), "damaged: peaks.0.bytes"),
        (lambda found: found.update({"\x1b[31m": 1}), "damaged: '\\x1b[31m': extra"),
    ],
)
def test_numbers_that_nothing_measures_and_control_characters_are_refused(
    change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    found = json.loads(made().model_dump_json())
    change(found)
    (tmp_path / "x.json").write_text(json.dumps(found))
    with pytest.raises(BenchError) as caught:
        read_result(tmp_path / "x.json")
    assert said in str(caught.value)


def test_a_devices_name_is_no_terminals_command() -> None:
    assert "\x1b" not in Combination(what="train", device="\x1b[31mcpu").label


def test_what_computes_on_each_device_is_kept() -> None:
    found = Findings(made().recipe, Plan([FP32]), "")
    for runtime in ({"instructions": "AVX512"}, {"cuda": "13.0"}, {"cuda": "13.0"}):
        software = made().environment.software.model_copy(update={"runtime": runtime})
        found.know(About(parameters=1, software=software, accelerator=None, plugins={}))
    assert found.software is not None
    assert found.software.runtime == {"instructions": "AVX512", "cuda": "13.0"}


def test_seconds_are_those_of_the_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    stat = "cpu  9 9 9 9 9 9 9 9 0 0\n" + "".join(
        f"cpu{core} 100 0 200 5 5 0 0 {core} 0 0\n" for core in range(12)
    )
    monkeypatch.setattr(environment, "content", lambda path: stat if str(path) == "/proc/stat" else "")
    monkeypatch.setattr(environment, "usable_cores", lambda: [1, 10])
    tick = os.sysconf("SC_CLK_TCK")
    now = environment.conditions()
    assert (now.busy_seconds, now.stolen_seconds) == (600 / tick, 11 / tick)
