"""Damaged files: named, left alone, replaced by fetch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from genlab_mnist.datasets import KMNIST, MNIST, FashionMNIST

from .published import (
    NAMES,
    RAW,
    TRAIN_X,
    TRAIN_Y,
    Server,
    md5,
    no_leftovers,
    place,
    refused,
    swapped,
)

DAMAGE = {
    "cut": (RAW[TRAIN_X][:1234], "1234 bytes found, 47056 expected (cut short)"),
    "long": (RAW[TRAIN_X] + b"x", "47057 bytes found, 47056 expected"),
    "empty": (b"", "0 bytes found"),
    "header": (b"\0\0\x0d\x03" + RAW[TRAIN_X][4:], "header 00000d03"),
    "checksum": (
        swapped(RAW[TRAIN_X]),
        f"md5 {md5(swapped(RAW[TRAIN_X]))} found, {md5(RAW[TRAIN_X])} expected",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("act", ["split", "verify"])
def test_a_damaged_file_is_named_and_left_alone(mirror: Server, root: Path, kind: str, act: str) -> None:
    contents, said = DAMAGE[kind]
    raw = place(root, train_images_idx3_ubyte=contents)
    message = refused(lambda: MNIST().split("test") if act == "split" else MNIST().verify())
    assert str(raw / TRAIN_X) in message
    assert said in message
    assert "`genlab data fetch mnist`" in message
    assert f"{TRAIN_X}.damaged" in message
    assert (raw / TRAIN_X).read_bytes() == contents
    assert mirror.asked == []


@pytest.mark.parametrize("kind", DAMAGE)
def test_fetch_replaces_a_damaged_file_and_keeps_it_aside(mirror: Server, root: Path, kind: str) -> None:
    contents, _ = DAMAGE[kind]
    raw = place(root, train_images_idx3_ubyte=contents)
    (raw / f"{TRAIN_X}.damaged").write_bytes(b"an earlier one")
    origin = MNIST().fetch()
    assert origin == f"{raw} (verified; {mirror.url})"
    assert (raw / TRAIN_X).read_bytes() == RAW[TRAIN_X]
    assert (raw / f"{TRAIN_X}.damaged").read_bytes() == b"an earlier one"
    assert (raw / f"{TRAIN_X}.damaged.2").read_bytes() == contents
    assert set(mirror.asked) == {f"{TRAIN_X}.gz"}, "whole files are not fetched again"
    no_leftovers(root)


def test_a_failed_fetch_leaves_the_damaged_file_in_place(root: Path) -> None:
    raw = place(root, train_images_idx3_ubyte=b"bad")
    message = refused(lambda: MNIST().fetch())
    assert f"could not get {TRAIN_X}\n" in message
    assert sorted(p.name for p in raw.iterdir()) == sorted(NAMES)


def test_the_remedy_names_a_root_that_was_chosen(root: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "my data"
    place(chosen, train_images_idx3_ubyte=b"bad")
    assert f"`genlab data fetch mnist --root '{chosen}'`" in refused(lambda: MNIST(root=chosen).verify())


def test_a_damaged_manifest_is_said_and_fetch_mends_it(root: Path) -> None:
    raw = place(root, "KMNIST")
    entry = '{"format": 1, "files": {"a": {"size": "1", "sha256": "", "source": ""}}}'
    for text in ("{", "[]", '{"format": 9, "files": {}}', entry, "\0"):
        (raw / "genlab.json").write_text(text)
        assert "genlab.json: it is not a manifest" in refused(lambda: KMNIST().verify())
        assert KMNIST().fetch().endswith("(size and header checked)")
    assert (raw / "genlab.json.damaged").exists()


def test_a_damaged_manifest_is_replaced_with_the_files(mirror: Server, root: Path) -> None:
    raw = place(root, "KMNIST", train_labels_idx1_ubyte=None)
    (raw / "genlab.json").write_text("{")
    KMNIST().fetch()
    assert list(json.loads((raw / "genlab.json").read_text())["files"]) == [TRAIN_Y]
    assert (raw / "genlab.json.damaged").read_text() == "{"


def test_a_fetched_file_is_later_compared_with_the_manifest(mirror: Server, root: Path) -> None:
    assert FashionMNIST().fetch() == f"{root}/FashionMNIST/raw (verified; {mirror.url})"
    raw = root / "FashionMNIST" / "raw"
    entry = json.loads((raw / "genlab.json").read_text())["files"][TRAIN_X]
    assert entry == {
        "size": len(RAW[TRAIN_X]),
        "sha256": hashlib.sha256(RAW[TRAIN_X]).hexdigest(),
        "source": mirror.url,
    }
    (raw / TRAIN_X).write_bytes(swapped(RAW[TRAIN_X]))
    assert "sha256" in refused(lambda: FashionMNIST().verify())
    FashionMNIST().fetch()
    assert (raw / TRAIN_X).read_bytes() == RAW[TRAIN_X]
