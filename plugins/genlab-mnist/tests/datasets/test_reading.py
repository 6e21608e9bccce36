"""What is read of MNIST and its siblings."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest
import torch

from genlab_mnist.datasets import KMNIST, MNIST

from .published import (
    CLASSES,
    NAMES,
    TEST_X,
    TRAIN_X,
    TRAIN_Y,
    labels,
    pixels,
    place,
    refused,
)


@pytest.mark.parametrize("cls", CLASSES)
def test_splits_are_the_published_ones(root: Path, cls: type[MNIST]) -> None:
    place(root, cls.published.title)
    source = cls()
    train, val, test = source.split("train"), source.split("val"), source.split("test")
    assert source.x_shape == (1, 28, 28)
    assert train.x.dtype == torch.uint8
    assert train.label is not None
    assert train.label.dtype == torch.int64
    assert torch.equal(train.x, pixels(TRAIN_X))
    assert torch.equal(train.label, labels(TRAIN_Y))
    assert torch.equal(test.x, pixels(TEST_X))
    assert torch.equal(val.x, test.x)
    assert source.prepare(train.x[:2]).max() <= 1


def test_validation_holds_out_the_last_and_limit_takes_the_first(root: Path) -> None:
    place(root)
    source = MNIST(validation=15, limit=10)
    train, val, test = source.split("train"), source.split("val"), source.split("test")
    assert torch.equal(train.x, pixels(TRAIN_X)[:10])
    assert train.label is not None
    assert torch.equal(train.label, labels(TRAIN_Y)[:10])
    assert torch.equal(val.x, pixels(TRAIN_X)[45:])
    assert val.label is not None
    assert torch.equal(val.label, labels(TRAIN_Y)[45:])
    assert len(test) == 20
    assert "first 10 training examples" in source.origin
    assert len(MNIST(validation=15).split("train")) == 45
    assert len(MNIST(limit=45, validation=15).split("train")) == 45
    assert len(MNIST(limit=10).split("val")) == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validation": 60}, "validation=60: at least 0 and less than 60"),
        ({"validation": -1}, "validation=-1"),
        ({"limit": 0}, "limit=0: from 1 to 60"),
        ({"limit": 46, "validation": 15}, "limit=46: from 1 to 45"),
    ],
)
def test_options_out_of_range(root: Path, options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MNIST(**options)  # type: ignore[arg-type]


def test_an_unknown_split_is_named(root: Path) -> None:
    with pytest.raises(ValueError, match=r"'training'.*'train', 'val', 'test'"):
        MNIST().split("training")


def test_the_disk_is_read_once(root: Path) -> None:
    raw = place(root)
    source = MNIST(validation=10)
    before = source.split("train").x, source.split("test").x
    for name in NAMES:
        (raw / name).unlink()
    assert torch.equal(source.split("train").x, before[0])
    assert len(source.split("val")) == 10
    assert torch.equal(source.split("test").x, before[1])


def test_the_constructor_touches_no_file(root: Path) -> None:
    source = MNIST()
    assert "not read yet" in source.origin
    assert not root.exists()


def test_the_root_is_the_option_else_the_environment_else_the_cache(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MNIST(root=tmp_path / "mine").root == tmp_path / "mine"
    assert MNIST().root == root
    monkeypatch.setenv("GENLAB_DATA", "~/digits")
    assert MNIST().root == Path.home() / "digits"
    for unset in (lambda: monkeypatch.setenv("GENLAB_DATA", ""), lambda: monkeypatch.delenv("GENLAB_DATA")):
        unset()
        assert MNIST().root == platformdirs.user_cache_path("genlab")


def test_files_placed_by_hand_are_verified_by_checksum_where_one_is_published(root: Path) -> None:
    place(root)
    place(root, "KMNIST")
    assert MNIST().verify() == f"{root}/MNIST/raw (verified)"
    assert KMNIST().verify() == f"{root}/KMNIST/raw (size and header checked)"


def test_what_an_old_torchvision_left_is_not_read_instead(root: Path) -> None:
    place(root)
    legacy = root / "MNIST" / "processed"
    legacy.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(1, 28, 28), torch.zeros(1)), legacy / name)
    assert str(legacy) in refused(lambda: MNIST().split("train"))
