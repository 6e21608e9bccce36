"""Run directories that nobody trained, in whatever state a test needs."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

PROTOCOL = "`val/*` are exact means over all {count:,} validation examples, with one sample of z each{averaged}."
ENVIRONMENT: dict[str, Any] = {
    "genlab": "0.1", "plugins": {}, "python": "3.11", "platform": "Linux", "device": "cpu (test)", "on": "cpu",
    "precision": "fp32", "runner": "eager", "deterministic": True, "threads": 1, "cpus": 2,
    "allocator_tuned": False, "libraries": {"torch": "2.0"}, "command": "genlab run x.yaml",
}  # fmt: skip
GONE = 2**22 + 1  # a process that no Linux has


def recipe(**changes: Any) -> dict[str, Any]:
    """Return a resolved recipe in short, with dotted keys changed (``train__epochs=3``)."""
    found: dict[str, Any] = {
        "name": "made_up",
        "description": "",
        "data": {"use": "bars", "size": 4, "root": None},
        "latent": 2,
        "encoder": {"use": "mlp", "hidden": [16]},
        "likelihood": {"use": "bernoulli"},
        "objective": {"use": "elbo", "beta": 1.0, "warmup_steps": 0, "free_bits": 0.0},
        "train": {"epochs": 5, "eval_batch_size": 500, "precision": "fp32", "ema": None},
        "seed": 0,
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        inner = found
        for step in path:
            inner = inner[step]
        inner[last] = value
    return found


def made_up(
    root: Path,
    identity: str,
    *,
    name: str = "made_up",
    state: str = "completed",
    losses: tuple[float, ...] = (12.0, 11.0, 10.5),
    started: str = "2026-01-02T03:04:05+00:00",
    finished: str | None = "2026-01-02T03:14:05+00:00",
    pid: int = GONE,
    host: str | None = None,
    model: bool = True,
    checkpoint: bool = False,
    count: int = 40,
    averaged: bool = False,
    sha256: str = "",
    kl: float = 2.0,
    **changes: Any,
) -> Path:
    """Write a run directory and return its path. losses: val/loss of each epoch. changes: to the recipe."""
    path = root / name / identity
    path.mkdir(parents=True)
    resolved = recipe(name=name, **changes)
    rows = [
        {
            "epoch": i + 1,
            "step": 7 * (i + 1),
            "val/loss": loss,
            "val/nll": loss - kl,
            "val/kl": kl,
            "train/loss": loss,
        }
        for i, loss in enumerate(losses)
    ]
    best = min(rows, key=lambda row: row["val/loss"], default=None)
    status = {
        "status": state,
        "name": name,
        "pid": pid,
        "host": host or platform.node(),
        "started": started,
        "finished": finished,
        "steps": 7 * len(rows),
        "best_epoch": best["epoch"] if best else None,
        "best": {key: value for key, value in best.items() if "/" in key} if best else {},
    }
    (path / "recipe.yaml").write_text(json.dumps(resolved))
    (path / "resolved.yaml").write_text(json.dumps(resolved))
    (path / "env.json").write_text(json.dumps(ENVIRONMENT))
    (path / "status.json").write_text(json.dumps(status))
    (path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    timing = {"step": 7, "seconds": 30.0, "images_per_second": 100.0}
    (path / "timing.jsonl").write_text(f"{json.dumps(timing)}\n" * len(rows))
    if model:
        (path / "model").mkdir()
        text = PROTOCOL.format(count=count, averaged=", of the moving average of the weights" * averaged)
        kept = {
            "metrics": status["best"], "epoch": status["best_epoch"] or 0, "protocol": text,
            "validation_sha256": sha256, "command": "", "seed": 0, "device": "cpu", "history": rows,
        }  # fmt: skip
        (path / "model" / "metrics.json").write_text(json.dumps(kept))
    if checkpoint:
        (path / "checkpoints" / "00000007-0001").mkdir(parents=True)
    return path


def alive() -> dict[str, Any]:
    """Return what makes a made-up run one of this very process."""
    return {"state": "running", "pid": os.getpid(), "finished": None}
