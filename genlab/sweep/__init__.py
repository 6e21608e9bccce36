"""One recipe trained with many values, and what that showed.

done = sweep("recipes/bars.yaml", {"latent": [2, 8, 32]}, seeds=3, jobs=2)
done.rows[0].values, done.rows[0].metrics["val/loss"]
"""

from __future__ import annotations

from genlab.sweep.reading import Sweep, read_sweep
from genlab.sweep.sweeping import resume_sweep, sweep
from genlab.sweep.work import Watcher

__all__ = ["Sweep", "Watcher", "read_sweep", "resume_sweep", "sweep"]
