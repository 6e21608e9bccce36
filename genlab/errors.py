"""What a user can get wrong, said as one located message.

A ``GenlabError`` is addressed to a person: it names the value, what is allowed and what to do. The command
line prints it without a traceback and exits with ``exit_code``; in Python it is an ordinary exception.
Everything else that is raised is a defect of genlab or of a plugin.
"""

from __future__ import annotations

from collections.abc import Sequence


class GenlabError(Exception):
    """Base of all errors that a user can mend."""

    exit_code = 2


class RecipeError(GenlabError):
    """A recipe that cannot be read or does not mean anything; the message gives file, line and column."""


class PluginError(GenlabError):
    """A part or plugin that is missing, broken or registered twice."""


class PartError(GenlabError):
    """Parts that do not fit together, or that break their interface's contract.

    kind: of the part that is to blame, ``"encoder"`` for example; empty where it is not one alone.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class Several(GenlabError):
    """Several mistakes at once. errors: each of them, wherever it stands in the message."""

    def __init__(self, message: str, errors: Sequence[GenlabError]) -> None:
        super().__init__(message)
        self.errors = errors


class RecipeErrors(Several, RecipeError):
    """Several mistakes in a recipe."""


class PartErrors(Several, PartError):
    """Several parts that are to blame, each for itself."""


class DataError(GenlabError):
    """Data that is absent, damaged or unusable.

    absent: it is simply not on this machine, and may be fetched.
    """

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


class DeviceError(GenlabError):
    """A device or precision that this machine does not have."""


class RunError(GenlabError):
    """A run directory that cannot be written or read."""


class ModelError(GenlabError):
    """A model reference or bundle that cannot be loaded."""


class Interrupted(KeyboardInterrupt):
    """A run that a signal ended before it had a result to return.

    signal: its number. The message says what was kept and where.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


class TrainingError(GenlabError):
    """Training that had to stop, for example at a loss that is not finite; the input was well-formed."""

    exit_code = 1
