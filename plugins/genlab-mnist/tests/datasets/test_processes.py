"""Several processes that fetch, and one that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from genlab_mnist.datasets import MNIST

from .published import (
    PACKED,
    RAW,
    SHAPES,
    TEST_Y,
    TRAIN_X,
    Server,
    md5,
    no_leftovers,
    place,
    refused,
)

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
