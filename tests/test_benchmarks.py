"""README's figures are those of the committed results, and the peers are what README says they are."""

from __future__ import annotations

import importlib.util
import json
import re
from itertools import combinations, product
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from genlab.bench.comparing import Side, compare
from genlab.bench.result import read_result
from genlab.bench.sittings import read_side

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
SCHEMA = ROOT / "docs" / "bench-result.schema.json"
PEERS = sorted(RESULTS.glob("peers-*.json"))


@pytest.fixture(scope="module")
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("table", ROOT / "benchmarks" / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readmes_table_is_that_of_the_committed_results(table: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text()
    assert table.renewed(readme) == readme, "python benchmarks/table.py renews it"


def test_a_changed_result_changes_the_table(table: ModuleType, tmp_path: Path) -> None:
    found = json.loads(PEERS[0].read_text())
    found["summary"]["genlab"]["median_seconds"] = 987.6
    path = tmp_path / PEERS[0].name
    path.write_text(json.dumps(found))
    table.ROOT = tmp_path
    try:
        assert "| genlab | 987.6 |" in table.text(tmp_path)
        found["summary"]["pythae"]["learns_the_same"] = False
        path.write_text(json.dumps(found))
        assert "Pythae" not in table.text(tmp_path)
    finally:
        table.ROOT = ROOT
    with pytest.raises(ValueError, match="lacks the markers"):
        table.renewed("# genlab\n")


@pytest.mark.parametrize("path", PEERS, ids=lambda path: path.stem)
def test_peers_have_as_many_parameters_and_learn_the_same(path: Path) -> None:
    summary = json.loads(path.read_text())["summary"]
    assert {one["parameters"] for one in summary.values()} == {134165}
    ours = summary["genlab"]["median_val_loss"]
    assert summary["genlab"]["learns_the_same"]
    for name, one in summary.items():
        assert not one["learns_the_same"] or abs(one["median_val_loss"] - ours) < 0.05 * ours, name


def test_every_committed_result_of_bench_is_whole() -> None:
    for path in sorted(RESULTS.glob("bench/*.json")):
        result = read_result(path)
        jsonschema.validate(json.loads(path.read_text()), json.loads(SCHEMA.read_text()))
        assert result.ended != "interrupted"
        assert all(cell.agreement is not None for cell in result.cells if cell.combination.what == "train")


def test_every_peer_has_an_environment_whose_versions_are_pinned() -> None:
    makefile = (ROOT / "Makefile").read_text()
    peers = ROOT / "benchmarks" / "peers"
    named = re.search(r"foreach peer,([\w -]+),", makefile)
    assert named is not None
    for peer in named[1].split():
        lines = (peers / f"requirements-{peer}.txt").read_text().splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert pins
        assert all(re.fullmatch(r"[\w.-]+==[\w.+-]+", line) for line in pins), peer


def test_what_docs_say_of_real_pairs_is_what_comes_of_the_committed_sittings() -> None:
    two, one = (
        [read_side(path) for path in sorted((RESULTS / "sittings" / name).glob("*.json"))]
        for name in ("two-threads", "one-thread")
    )

    def verdict(before: Side, after: Side) -> str:
        return compare([before, after], ["before", "after"]).rows[0].ratio.verdict

    speeds = [speed.median for (sitting,) in two if (speed := sitting.cells[0].images_per_second) is not None]
    pairs = list(combinations(two, 2))
    same = sum(verdict(*pair) == "no significant difference" for pair in pairs)
    following = [verdict(*pair) for pair in zip(two[::2], two[1::2], strict=True)]
    found = sum(verdict(before, after) == "slower" for before, after in product(two, one))
    words = " ".join((ROOT / "docs" / "bench.md").read_text().split())
    assert len(two) == 20
    assert following == ["no significant difference"] * 10
    assert f"lay between {min(speeds):,.0f} and {max(speeds):,.0f} images a second" in words
    assert f"of all {len(pairs)} pairs {same}." in words
    assert f"found in {found} of the {len(two) * len(one)} pairs" in words
    folders = [[sitting for (sitting,) in side] for side in (two[3::4], one)]  # the five just before each
    (row,) = compare(folders, ["two", "one"]).rows
    assert row.ratio.verdict == "slower"
    assert f"takes {row.ratio.ratio:.2f} times as long" in words
