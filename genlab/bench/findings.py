"""What a benchmark learns besides the samples, and the result that all of it makes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from genlab.bench import accelerators, environment, groups
from genlab.bench.code import code
from genlab.bench.machine import Accelerator, Environment, Software
from genlab.bench.plan import Plan
from genlab.bench.result import BenchError, Ended, Peaks, Profile, Protocol, RecipeFacts, Result, Skipped
from genlab.bench.summary import Gathered, warnings_of
from genlab.bench.tasks import About, Done
from genlab.device import resolve
from genlab.errors import DeviceError


class Findings:
    """Collects what processes say of themselves; made when a benchmark begins."""

    def __init__(self, recipe: RecipeFacts, made: Plan, command: str) -> None:
        self.recipe, self.made, self.command = recipe, made, command
        self.created = _now()
        self.code = code()
        self.devices = list(dict.fromkeys(combination.device for combination in made.combinations))
        self.before = environment.conditions(self._state())
        self.software: Software | None = None
        self.accelerators: dict[str, Accelerator] = {}
        self.plugins: dict[str, str] = {}
        self.parameters: int | None = None
        self.peaks: list[Peaks] = []

    def learn(self, done: Done) -> None:
        """Take in what a process that measured says."""
        self.know(done.about)
        if done.peaks is not None:
            self.peaks.append(done.peaks)
            # Memory is the same in every precision: the fastest of all is its peak.
            fastest = max(peak.bytes for peak in self.peaks if peak.device == done.peaks.device)
            self.peaks = [
                peak.model_copy(update={"bytes": fastest}) if peak.device == done.peaks.device else peak
                for peak in self.peaks
            ]

    def know(self, about: About) -> None:
        """Take in what a process says of itself."""
        known = self.software.runtime if self.software is not None else {}
        first = self.software or about.software  # the same for all, but for what computes on a device
        self.software = first.model_copy(update={"runtime": {**about.software.runtime, **known}})
        self.parameters, self.plugins = about.parameters, about.plugins
        if about.accelerator is not None:
            self.accelerators.setdefault(about.accelerator.device, about.accelerator)

    def result(
        self, gathered: Sequence[Gathered], protocol: Protocol, ended: Ended, profiles: Sequence[Profile]
    ) -> Result:
        """Return everything as it is written. Raises ``BenchError`` if no process has said anything yet."""
        cells = [each.cell(protocol.bound, self.peaks) for each in gathered if each.processes]
        failed = [
            Skipped(combination=each.combination, reason=each.failures[0])
            for each in gathered
            if not each.processes and each.failures
        ]
        described = self._environment()
        return Result(
            created=self.created,
            finished=_now(),
            ended=ended,
            command=self.command,
            recipe=self.recipe.model_copy(update={"parameters": self.parameters}),
            code=self.code,
            plugins=self.plugins,
            environment=described,
            protocol=protocol,
            cells=cells,
            skipped=[*self.made.skipped, *failed],
            peaks=self.peaks,
            profiles=list(profiles),
            warnings=warnings_of(self.before, cells, len(described.processor.usable)),
        )

    def _environment(self) -> Environment:
        if self.software is None:
            raise BenchError("no process has measured anything")
        return Environment(
            system=environment.system(),
            processor=environment.processor(),
            memory=environment.memory(),
            container=groups.container(),
            software=self.software,
            accelerators=list(self.accelerators.values()),
            before=self.before,
            after=environment.conditions(self._state()),
        )

    def _state(self) -> dict[str, str]:
        """What the accelerators' drivers tell now."""
        found: dict[str, str] = {}
        for name in self.devices:
            with suppress(DeviceError):
                state = accelerators.state(resolve(name))
                found |= {f"{name} {key}": value for key, value in state.items()}
        return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
