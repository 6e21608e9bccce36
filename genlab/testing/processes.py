"""What a part does in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from genlab.testing.checking import Skipped

SECONDS = 60.0  # that it may take


def printed(statements: str, **environment: str) -> str:
    """Run statements in a new Python that finds the same modules; return the last word that they print.

    Raises ``Skipped`` if they fail there: what is under test may have been made here, in a notebook for example.
    """
    code = f"import sys; sys.path[:0] = {sys.path!r}; {statements}"
    try:
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=False,
            env=os.environ | environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Skipped(f"`{statements}` takes longer than {SECONDS:.0f} s in a process of its own") from None
    if result.returncode:
        said = result.stderr.strip().rpartition("\n")[2]
        raise Skipped(f"`{statements}` fails in a process of its own: {said}")
    return result.stdout.split()[-1]
