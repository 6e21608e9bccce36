"""From the processes of a combination to what is quoted of it, and what a reader should be warned of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from genlab.bench.accelerators import THROTTLED
from genlab.bench.contention import others_cores, rate_of
from genlab.bench.estimates import estimate, is_narrow, seconds_of
from genlab.bench.machine import Conditions
from genlab.bench.result import Agreement, Cell, Combination, Peaks, Process
from genlab.bench.roofline import placed
from genlab.bench.statistics import LEVEL, Spread, drift_of, spread_of
from genlab.bench.tasks import Counts, Done

NOISY = 0.10  # distance of the quartiles as a share of the median
DRIFTING = 0.05
OTHERS = 0.25  # cores that others used while a process measured
STOLEN = 0.02  # share of the cores' time that a hypervisor took
LOADED = 0.5  # load average before the start, as a share of the usable cores


@dataclass
class Gathered:
    """What is known of one combination so far."""

    combination: Combination
    processes: list[Process] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    examples_per_call: float | None = None
    agreement: Agreement | None = None
    counts: Counts | None = None
    notes: list[str] = field(default_factory=list)

    def take(self, done: Done) -> None:
        """Take in what a process measured."""
        self.processes.append(done.process)
        self.examples_per_call = done.examples_per_call
        self.agreement = done.agreement or self.agreement
        self.counts = done.counts or self.counts
        self.notes += done.notes

    @property
    def seconds(self) -> list[float]:
        """What each process takes for a call: the median of its windows."""
        return seconds_of(self.processes)

    def narrow(self, bound: float) -> bool:
        """Whether the interval is narrow enough."""
        return bool(self.seconds) and is_narrow(spread_of(self.seconds), bound)

    def cell(self, bound: float, peaks: Sequence[Peaks]) -> Cell:
        """Return what is written of it."""
        seconds, examples = self.seconds, self.examples_per_call
        found = spread_of(seconds) if seconds else None
        speeds = [examples / value for value in seconds] if examples and self.combination.what != "start" else []
        built = [process.cold.runner for process in self.processes if process.cold.cache == "empty"]
        peak = next((p for p in peaks if (p.device, p.precision) == _where(self.combination)), None)
        return Cell(
            combination=self.combination,
            examples_per_call=examples,
            agreement=self.agreement,
            seconds=estimate(seconds, bound),
            images_per_second=estimate(speeds, bound),
            cold_seconds=_median([process.cold.total for process in self.processes]),
            build_seconds=_median([value for value in built if value is not None]),
            peak_host_bytes=_whole([process.peak_host_bytes for process in self.processes]),
            peak_device_bytes=_whole([process.peak_device_bytes for process in self.processes]),
            roofline=placed(self.counts, found.median, peak) if self.counts and peak and found else None,
            warnings=self._warnings(found, bound),
            failures=self.failures,
            processes=self.processes,
        )

    def _warnings(self, found: Spread | None, bound: float) -> list[str]:
        said = list(self.notes)
        if self.agreement is not None and self.agreement.disagrees:
            said.append(f"does not agree with float32, eager, on the CPU: {', '.join(self.agreement.disagrees)}")
        if self.combination.what == "quality" and len(self.seconds) < len(self.processes):
            missed = len(self.processes) - len(self.seconds)
            said.append(f"{missed} of {len(self.processes)} trainings did not reach the val/loss")
        if found is None:
            return said
        if found.count < 2:
            said.append("one process only: no interval")
        elif found.level < LEVEL:
            said.append(f"{found.count} processes only: the interval covers {found.level:.0%}, not {LEVEL:.0%}")
        elif found.half_width > bound:
            said.append(f"the interval is ±{found.half_width:.0%}, not ±{bound:.0%}")
        if found.spread > NOISY:
            said.append(f"noisy: the middle half of the processes spreads over {found.spread:.0%}")
        if (drift := drift_of(self.seconds)) > DRIFTING:
            said.append(f"drifting: first and second half of the processes are {drift:.0%} apart")
        if unsteady := sum(not process.steady for process in self.processes):
            said.append(
                f"{unsteady} of {len(self.processes)} processes did not become steady while they warmed up"
            )
        return said


def warnings_of(before: Conditions, cells: Sequence[Cell], cores: int) -> list[str]:
    """Return what is to be said of the machine while it measured."""
    said = []
    if before.load and before.load[0] > LOADED * cores:
        said.append(f"the machine was busy: load {before.load[0]:.1f} on {cores} cores before the start")
    pairs = [(process.before, process.after) for cell in cells for process in cell.processes]
    others = [value for pair in pairs if (value := others_cores(*pair)) is not None]
    if others and median(others) > OTHERS:
        said.append(f"others used {median(others):.1f} cores while a process measured (median)")
    stolen = [rate_of(a.stolen_seconds, b.stolen_seconds, a, b) for a, b in pairs]
    shares = [value / cores for value in stolen if value is not None]
    if shares and median(shares) > STOLEN:
        said.append(f"a hypervisor took {median(shares):.0%} of the cores' time (median)")
    if held := sum(_more(a.quota_throttled_seconds, b.quota_throttled_seconds) for a, b in pairs):
        said.append(f"{held} of {len(pairs)} processes were held back by the container's quota")
    hot = sum(
        _more(a.heat_throttled, b.heat_throttled)
        or any(b.accelerator.get(name, "Not Active") == "Active" for name in THROTTLED)
        for a, b in pairs
    )
    if hot:
        said.append(f"throttled: {hot} of {len(pairs)} processes met a core or accelerator slowed for its heat")
    return said


def _more(first: float | None, last: float | None) -> bool:
    return first is not None and last is not None and last > first


def _where(combination: Combination) -> tuple[str, str | None]:
    return combination.device, combination.precision


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _whole(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return round(median(known)) if known else None
