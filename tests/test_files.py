"""Files are whole or absent, whatever fails while they are written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from genlab.errors import RunError
from genlab.files import previous, replaced_folder, write_text

CALLS = ["os.open", "os.write", "os.fsync", "os.replace"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    path = tmp_path / "status.json"
    write_text(path, "old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(call, fail)
    with pytest.raises(
        RunError, match=rf"status.json: cannot be written \({os.strerror(number)}\).*free some space"
    ):
        write_text(path, "new")
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    assert path.read_text() == "old"


def test_a_folder_is_exchanged_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for content in ("one", "two"):
        with replaced_folder(path) as new:
            write_text(new / "a", content)
        assert [p.name for p in tmp_path.iterdir()] == ["model"]
        assert (path / "a").read_text() == content


def test_a_folder_whose_filling_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with replaced_folder(path) as new:
        write_text(new / "a", "old")
    with pytest.raises(ZeroDivisionError), replaced_folder(path) as new:
        (new / "a").write_text(f"{1 / 0}")
    assert (path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_failed_exchange_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model"
    with replaced_folder(path) as new:
        write_text(new / "a", "old")
    rename = Path.rename

    def fail_on_new(self: Path, target: Path) -> Path:
        if target == path and self != previous(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_on_new)
    with pytest.raises(RunError, match="No space left"), replaced_folder(path) as new:
        write_text(new / "a", "new")
    assert (path / "a").read_text() == "old"


def test_files_can_be_read_by_others_as_the_umask_says(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask
