"""Trackers with one mistake each: of a small one, because the built-in one needs another package."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from genlab import Tracker
from tests.mutants.making import Mutant, altered, general


class Lines(Tracker):
    """Writes a line of JSON for each evaluation."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path, self.lines, self.folder = folder / "lines" / "lines.jsonl", 0, folder
        self.path.parent.mkdir(exist_ok=True)
        there = self.path.read_text().splitlines() if self.path.exists() else []
        self.path.write_text("".join(f"{line}\n" for line in there if json.loads(line)["step"] <= step))

    def log(self, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        self.lines += 1


class Unbuildable(Lines):
    """Fails when it is built."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder / "no" / "such", step)


def begins_anew(self: Any) -> None:
    self.path.write_text("")


def knows_its_names(self: Any, own: Any, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
    own(step, epoch, {"loss": metrics["val/loss"]})


def pops(self: Any, own: Any, step: int, epoch: int, metrics: dict[str, float]) -> None:
    own(step, epoch, metrics)
    metrics.pop("val/loss", None)


def appends(self: Any, own: Any, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
    with (self.folder / "metrics.jsonl").open("a") as file:
        file.write("{}\n")


def draws(self: Any, own: Any, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
    torch.rand(1)
    own(step, epoch, metrics)


def averages(self: Any, own: Any) -> None:
    own()
    self.mean = 1 / self.lines


def lingers(self: Any, own: Any) -> None:
    own()
    threading.Thread(target=threading.Event().wait, args=(2,), name="lingers").start()


MUTANTS: dict[str, Mutant] = general(Lines) | {
    "builds": Mutant(Unbuildable, "writes into a folder that is not there"),
    "takes_metrics": altered(Lines, "a KeyError for other metrics", log=knows_its_names),
    "leaves_metrics_alone": altered(Lines, "pops a metric", log=pops),
    "leaves_the_run_alone": altered(Lines, "appends to metrics.jsonl", log=appends),
    "leaves_the_process_alone": altered(Lines, "draws a number", log=draws),
    "goes_on_with_a_resumed_run": altered(
        Lines, "begins its file anew", init=lambda self: self.path.write_text("")
    ),
    "can_be_closed_at_once": altered(Lines, "divides by the number of lines", close=averages),
}
