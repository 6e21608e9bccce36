"""Trackers: where a run's metrics go besides ``metrics.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from genlab.errors import PartError
from genlab.interfaces import Tracker


class TensorBoard(Tracker):
    """Writes TensorBoard's event files; needs ``pip install genlab[tensorboard]``.

    subfolder: of the run directory, to hold them.
    """

    def __init__(self, folder: Path, step: int, *, subfolder: str = "tensorboard") -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise PartError(
                f"tracker 'tensorboard' needs TensorBoard ({error}): pip install 'genlab[tensorboard]'"
            ) from None
        # Events after purge_step, of a run that was then resumed from there, are hidden.
        self.writer = SummaryWriter(folder / subfolder, purge_step=step + 1)

    def log(self, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write one point of each curve."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self.writer.close()
