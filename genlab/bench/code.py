"""Which code was measured: genlab's version and, where it runs from a repository, commit and changes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import genlab
from genlab.bench.result import Code


def code() -> Code:
    """Describe genlab's own code. A repository that merely contains the installation is not asked."""
    folder = Path(genlab.__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return Code(genlab=genlab.__version__)
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return Code(genlab=genlab.__version__, commit=commit or None, dirty=None if changes is None else bool(changes))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None if there is no git, no repository, or it refuses."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
