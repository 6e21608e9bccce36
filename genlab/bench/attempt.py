"""What a measuring process does with its task, once torch is there: prepare, measure, and what is done once."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import torch

from genlab.assembly import loss_of
from genlab.bench import accelerators
from genlab.bench.agreement import agreement, side_of
from genlab.bench.environment import compiler_version, conditions, library_versions
from genlab.bench.environment import peak_host_bytes as peak_host
from genlab.bench.failures import reason_of
from genlab.bench.machine import Conditions, Software
from genlab.bench.measuring import Meter
from genlab.bench.profiling import profiled
from genlab.bench.result import Agreement, BenchError, Cold, Process
from genlab.bench.roofline import counts_of, peaks_of
from genlab.bench.tasks import About, Counts, Done, Profiled, Task
from genlab.bench.works import Ready, Side, prepared_for, ready, to_quality
from genlab.plugins import installed
from genlab.prepare import Prepared
from genlab.summary import parameter_count
from genlab.train.determinism import only_deterministic
from genlab.train.tree import Tree, copied

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Start:
    """What has passed before anything is measured: seconds, and what the machine was busy with."""

    started: str
    imports: float
    prepare: float
    before: Conditions


def attempt(task: Task, imports: float, say: Say) -> Done | Profiled:
    """Do a task, under the recipe's own ``train.deterministic``.

    imports: seconds from the start of the process. say: is told what is under way.

    Raises ``GenlabError`` for what the recipe or the machine cannot do.
    """
    began, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    prepared = prepared_for(task)
    prepared.device.synchronize()
    taken = time.perf_counter() - began
    start = Start(started, imports, taken, conditions(accelerators.state(prepared.device)))
    with only_deterministic(prepared.recipe.train.deterministic):
        return _attempted(task, prepared, start, say)


def _attempted(task: Task, prepared: Prepared, start: Start, say: Say) -> Done | Profiled:
    if task.combination.what == "quality":
        return _quality(task, prepared, start, say)
    say(f"{task.combination.runner or 'eager'}")
    work = ready(prepared, task.combination)
    if task.trace is not None:
        say("profiling")
        costs = profiled(work, task.profiled_steps, task.trace, prepared.device)
        return Profiled(about=_about(prepared), steps=task.profiled_steps, costs=costs)
    side = work.side
    again = task.agreement_steps and prepared.device.can.host_memory  # elsewhere it is prepared anew
    initial = copied(side.state.tree()) if side is not None and again else None
    say("measuring")
    windows = 0 if task.combination.what == "start" else task.windows
    meter = Meter(windows, task.window_seconds, task.warm_up_seconds, prepared.device.synchronize)
    work.begin(meter)
    process = _process(task, prepared, start, work, meter)
    notes: list[str] = []
    asked = bool(task.agreement_steps)
    return Done(
        about=_about(prepared),
        process=process,
        examples_per_call=work.examples_per_call,
        agreement=_extra("agreement", asked, lambda: _agreement(task, prepared, side, initial, say), notes),
        counts=_extra("operations", task.roofline, lambda: _counts(prepared, work, say), notes),
        peaks=_extra("peaks", task.peaks, lambda: peaks_of(prepared), notes),
        notes=notes,
    )


def _extra(name: str, asked: bool, find: Callable[[], T], notes: list[str]) -> T | None:
    """Find what is not the time: if that fails, what was measured before it is kept all the same."""
    if not asked:
        return None
    try:
        return find()
    except Exception as error:
        notes.append(f"{name}: not known: {reason_of(error)}")
        return None


def _cold(task: Task, start: Start, runner_seconds: float | None, first_call: float) -> Cold:
    return Cold(
        imports=start.imports,
        prepare=start.prepare,
        runner=runner_seconds,
        cache=task.cache if runner_seconds is not None else None,
        first_call=first_call,
    )


def _process(task: Task, prepared: Prepared, start: Start, work: Ready, meter: Meter) -> Process:
    cold = _cold(task, start, work.runner_seconds, meter.first_call or 0.0)
    whole = task.combination.what == "start"
    return Process(
        round=task.round,
        started=start.started,
        cold=cold,
        warm_up=meter.warm_up,
        steady=meter.steady or whole,
        calls_per_window=meter.calls_per_window,
        windows=[cold.total] if whole else meter.windows,
        threads=torch.get_num_threads(),
        peak_host_bytes=peak_host(),
        peak_device_bytes=prepared.device.peak_memory,
        before=start.before,
        after=conditions(accelerators.state(prepared.device)),
    )


def _quality(task: Task, prepared: Prepared, start: Start, say: Say) -> Done:
    if task.quality_target is None:
        raise BenchError("quality: no val/loss was named to reach")
    say(f"training to {task.quality_target:g}")
    found = to_quality(prepared, task.quality_target)
    process = Process(
        round=task.round,
        started=start.started,
        cold=_cold(task, start, found.runner_seconds, first_call=0.0),
        warm_up=[],
        steady=True,
        calls_per_window=1,
        windows=[found.seconds] if found.seconds is not None else [],
        threads=torch.get_num_threads(),
        peak_host_bytes=peak_host(),
        peak_device_bytes=prepared.device.peak_memory,
        before=start.before,
        after=conditions(accelerators.state(prepared.device)),
        reached=found.loss,
        epochs=found.epochs,
    )
    return Done(about=_about(prepared), process=process)


def _agreement(task: Task, prepared: Prepared, side: Side | None, initial: Tree | None, say: Say) -> Agreement:
    say("agreement")
    if side is None:
        side = side_of(prepared)
    elif initial is not None:
        side.state.restore(initial)
        side.state.random = None  # the loop's own stream, from its start
    plain = task.combination.model_copy(update={"device": "cpu", "precision": "fp32", "runner": "eager"})
    return agreement(
        side,
        lambda: prepared_for(task.model_copy(update={"combination": plain})),
        lambda: prepared_for(task),
        task.agreement_steps,
    )


def _counts(prepared: Prepared, work: Ready, say: Say) -> Counts:
    """Count what one call does, of training the loss and its gradient."""
    say("counting operations")
    if work.side is None:
        assert work.call is not None
        return counts_of(work.call)
    loss, batches = loss_of(prepared), next(prepared.train.after(0, prepared.recipe.train.accumulate))

    def call() -> None:
        for x in batches:
            loss(x).loss.backward()

    return counts_of(call)


def _about(prepared: Prepared) -> About:
    return About(
        parameters=parameter_count(prepared.model),
        software=software(prepared),
        accelerator=accelerators.describe(prepared.device),
        plugins=dict(installed().distributions),
    )


def software(prepared: Prepared) -> Software:
    """Describe Python, torch and the libraries beneath, as this process has them."""
    return Software(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        libraries=library_versions(),
        torch_git=torch.version.git_version or None,
        torch_debug=bool(torch.version.debug),
        torch_config=_lines(torch.__config__.show()),
        threads=torch.get_num_threads(),
        interop_threads=torch.get_num_interop_threads(),
        threading=_lines(torch.__config__.parallel_info()),
        runtime=prepared.device.runtime,
        allocator_tuned=prepared.environment.allocator_tuned,
        compiler=compiler_version(),
    )


def _lines(text: str) -> list[str]:
    return [" ".join(line.strip(" -\t").split()) for line in text.splitlines() if line.strip()]
