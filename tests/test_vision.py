"""import_torchvision: mends the one known mismatch, touches nothing else.

Every case runs in its own process, because an import happens once and declared operators stay declared.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def run(code: str, *path: Path) -> str:
    """Run code in a fresh interpreter, ``path`` first on its search path; return what it printed."""
    search = os.pathsep.join([*map(str, path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def stub(folder: Path, code: str) -> Path:
    """Write a package ``torchvision`` with a submodule ``early`` that is imported first."""
    package = folder / "torchvision"
    package.mkdir()
    (package / "early.py").write_text("")
    (package / "__init__.py").write_text("from . import early\n" + textwrap.dedent(code))
    return folder


def test_the_installed_torchvision_can_be_imported_and_used() -> None:
    out = run("""
        from genlab.vision import import_torchvision
        torchvision = import_torchvision()
        import torch
        from torchvision.utils import make_grid
        assert import_torchvision() is torchvision
        print(torchvision.datasets.MNIST.__name__, tuple(make_grid(torch.zeros(2, 1, 4, 4), padding=0).shape))
    """)
    assert out == "MNIST (3, 4, 8)"


def test_a_torchvision_that_loads_is_left_untouched(tmp_path: Path) -> None:
    out = run(
        """
        import torch, sys
        def refuse(*args, **kwargs): raise AssertionError("an operator was declared")
        torch.library.define = refuse
        from genlab.vision import import_torchvision
        module = import_torchvision()
        assert module is sys.modules["torchvision"] is import_torchvision()
        print(module.marker, module.loads)
        """,
        stub(tmp_path, "import builtins as b\nmarker = 'stub'\nloads = b.n = getattr(b, 'n', 0) + 1"),
    )
    assert out == "stub 1"


def test_missing_operators_are_read_from_the_message(tmp_path: Path) -> None:
    code = """
        import torch
        for name in ("one", "two", "nms", "three"):
            if not torch._C._dispatch_has_kernel(f"torchvision::{name}") \
                    and not hasattr(torch.ops.torchvision, name):
                raise RuntimeError(f"operator torchvision::{name} does not exist")
    """
    out = run(
        """
        from genlab.vision import import_torchvision
        module = import_torchvision()
        import torchvision, torchvision.early
        assert module is torchvision and torchvision.early is module.early
        print("imported")
        """,
        stub(tmp_path, code),
    )
    assert out == "imported"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise RuntimeError('libsomething is too old')", "RuntimeError: libsomething is too old"),
        (
            "raise RuntimeError('operator aten::x does not exist')",
            "RuntimeError: operator aten::x does not exist",
        ),
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        (
            "raise OSError('operator torchvision::a does not exist')",
            "OSError: operator torchvision::a does not exist",
        ),
        # Declaring it did not help: the same message again is final, not a loop.
        (
            "raise RuntimeError('operator torchvision::a does not exist')",
            "RuntimeError: operator torchvision::a does not exist",
        ),
        # Ever new names end too.
        (
            "import builtins; builtins.n = getattr(builtins, 'n', 0) + 1\n"
            "raise RuntimeError(f'operator torchvision::n{builtins.n} does not exist')",
            "RuntimeError: operator torchvision::n17 does not exist",
        ),
    ],
)
def test_other_errors_pass_through(tmp_path: Path, code: str, expected: str) -> None:
    out = run(
        """
        from genlab.vision import import_torchvision
        try:
            import_torchvision()
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
        """,
        stub(tmp_path, code),
    )
    assert out == expected


def test_an_absent_torchvision_is_an_import_error() -> None:
    out = run("""
        import sys
        sys.modules["torchvision"] = None
        from genlab.vision import import_torchvision
        try:
            import_torchvision()
        except ModuleNotFoundError as error:
            print(error.name)
    """)
    assert out == "torchvision"
