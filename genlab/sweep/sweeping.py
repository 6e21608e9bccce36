"""A sweep from start to end, and continued."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from genlab.build import build_search
from genlab.device import resolve
from genlab.errors import GenlabError, RecipeError, RunError
from genlab.files import explained
from genlab.folders import runs_root
from genlab.interfaces import Search
from genlab.lock import in_turn
from genlab.opening import find_recipe
from genlab.overrides import Override, Overrides, overrides_of
from genlab.plugins import installed
from genlab.recipe import PartSpec, Recipe
from genlab.selection import selected
from genlab.space import Choices, Json, Range, Space
from genlab.sweep.children import Command, genlab_command
from genlab.sweep.outcome import read_outcome
from genlab.sweep.plan import (
    Combination,
    Source,
    check_ends,
    check_metric,
    check_size,
    check_space,
    combination,
    combinations_of,
    first_of,
    read_search,
    seeds_of,
    whole_plan,
)
from genlab.sweep.reading import Sweep, read_sweep
from genlab.sweep.store import Spec, SweepFolder, same_recipe, sweeps
from genlab.sweep.summary import write_summary
from genlab.sweep.work import Proposals, Watcher, Work
from genlab.train.signals import StopRequest, stop_on_signals
from genlab.writing import as_yaml


def sweep(
    recipe: str | Path,
    space: Mapping[str, Choices | Range | Sequence[Json]],
    *,
    overrides: Overrides | None = None,
    seeds: int | Sequence[object] | None = None,
    search: str | None = None,
    trials: int | None = None,
    metric: str = "val/loss",
    jobs: int = 1,
    device: str = "auto",
    runs: str | Path | None = None,
    resume: str = "never",
    watcher: Watcher | None = None,
    command: Command = genlab_command,
) -> Sweep:
    """Train a recipe, a file or an installed one, with many values, and leave a folder that compares them.

    space: what is swept, ``{"latent": [2, 8, 32], "optimizer.lr": Range(1e-4, 1e-2, log=True)}``. overrides: of
    every run. seeds: how many of each combination, counted from the recipe's own, or which. search: ``grid``,
    ``random`` or another that is installed, with options as in ``{use: optuna, sampler: random}``; by default a
    grid, or random if ``trials``, the number of combinations, is given. metric: of the best epoch, lower is
    better. jobs: how many runs at once, each a process of its own. resume: with ``auto``, go on with the newest
    sweep that asks for the same and is not completed, if there is one. command: how a run is started.

    A run that fails stops no other. An interrupt (Ctrl-C) has every run save a checkpoint first; the sweep so far
    is returned. Everything is checked before anything is started: raises ``GenlabError`` listing every mistake.
    """
    registry = installed().registry
    if resume not in ("never", "auto"):
        raise RecipeError(f"resume={resume!r}: 'never' or 'auto' is expected; for one sweep: genlab resume FOLDER")
    _check_counts(seeds=seeds if isinstance(seeds, int) else None, trials=trials, jobs=jobs)
    choices = {k: v if isinstance(v, Choices | Range) else Choices(tuple(v)) for k, v in space.items()}
    source = Source(str(find_recipe(recipe)), overrides_of(overrides), registry)
    opened = source.opened()
    base = opened.recipe
    each_seed = seeds_of(source, seeds)
    check_space(choices, each_seed)
    check_size(choices, trials, len(each_seed))
    if search is None:
        search = "grid" if trials is None else "random"
    spec = read_search(search, registry)

    folder = SweepFolder.new(Path(runs) if runs else runs_root(), base.name)
    plan: list[Combination] = []
    if _adaptive(spec):
        if trials is None:
            raise RecipeError(f"search {spec.use!r}: how many combinations? for example --trials 50")
        check_ends(source, choices)
        trials = min(trials, combinations_of(choices) or trials)
    else:
        if trials is None and spec.use != "grid":
            raise RecipeError(f"search {spec.use!r}: how many combinations? for example --samples 20")
        if trials is not None and spec.use == "grid":
            raise RecipeError("search 'grid' tries every combination; --samples goes with --search random")
        plan = whole_plan(source, build_search(spec, choices, folder.path, base.seed, registry), trials, each_seed)
        trials = len(plan)
    assert trials is not None
    resolve(device)
    firsts = {key: first_of(each) for key, each in choices.items()}
    check_metric(plan[0].recipes[0] if plan else source.resolved(firsts), metric, registry)
    asked = Spec(
        name=base.name,
        command=_command(recipe, source.overrides, choices, each_seed, spec, trials, metric),
        recipe=str(Path(source.recipe).absolute()),
        overrides={override.key: override.node.plain() for override in source.overrides},
        space=choices,
        seeds=each_seed,
        search=spec,
        trials=trials,
        metric=metric,
        jobs=jobs,
        device=device,
        plugins=installed().files,
    )
    if resume == "auto":
        with explained(folder.path.parent):
            folder.path.parent.mkdir(parents=True, exist_ok=True)
        with in_turn(folder.path.parent):  # one of two that ask for the same begins it, the other goes on with it
            if found := _unfinished(asked, base, folder.path.parent):
                folder = found
            else:
                folder.create(asked, opened, plan)
    else:
        folder.create(asked, opened, plan)
    return _work(folder, jobs, device, watcher or Watcher(), command)


def resume_sweep(
    path: str | Path,
    *,
    jobs: int | None = None,
    device: str = "auto",
    watcher: Watcher | None = None,
    command: Command = genlab_command,
) -> Sweep:
    """Go on with a sweep: completed runs stay as they are, others go on from their checkpoint or start.

    Several processes may work on one sweep: each trial is done by one of them. jobs, device: by default, and with
    ``auto``, what the sweep was begun with. Raises as ``sweep``.
    """
    folder = SweepFolder.of(Path(path))
    spec = folder.spec()
    _check_counts(jobs=jobs)
    _check_files(folder, spec)
    on = spec.device if device == "auto" else device
    return _work(folder, jobs or spec.jobs, on, watcher or Watcher(), command)


def _work(folder: SweepFolder, jobs: int, device: str, watcher: Watcher, command: Command) -> Sweep:
    from genlab.sweep.page import write_sweep_report
    from genlab.sweep.plots import draw_sweep

    spec, stop = folder.spec(), StopRequest()
    proposals = _proposals(folder, spec) if _adaptive(spec.search) else None
    watcher.on_start(read_sweep(folder.path))
    with stop_on_signals(stop):
        over = Work(folder, spec, jobs, device, command, watcher, stop, proposals).run()
    # What was seen to fail here failed, whatever its run had time to write.
    outcomes = [over.get(trial.number) or read_outcome(trial) for trial in folder.each()]
    read = {each.trial.number: each.digest for each in read_sweep(folder.path).outcomes}
    outcomes = [replace(each, digest=read[each.trial.number]) for each in outcomes]  # with its recipe
    done = Sweep(folder.path, spec, outcomes, stop.signal)
    write_summary(folder.path, done.rows, spec.metric)
    if not stop:
        draw_sweep(done)
    with suppress(GenlabError):  # the results are in the summary, page or not
        write_sweep_report(folder.path)
    return done


def _adaptive(spec: PartSpec) -> bool:
    cls = installed().registry.get("search", spec.use).cls
    assert issubclass(cls, Search)
    return cls.adaptive


def _proposals(folder: SweepFolder, spec: Spec) -> Proposals:
    """Return where the next trials come from: the recipe must still be what it was."""
    registry = installed().registry
    source = Source(spec.recipe, overrides_of(spec.overrides), registry)
    base = source.resolved()
    if not same_recipe(folder, base):
        raise RecipeError(
            f"{spec.recipe}: changed since the sweep {folder.path} began; change it back, or start another sweep"
        )
    search = build_search(spec.search, spec.space, folder.path, base.seed, registry)
    return Proposals(search, lambda values: combination(source, values, spec.seeds), spec.trials)


def _unfinished(asked: Spec, base: Recipe, root: Path) -> SweepFolder | None:
    """Return the newest sweep that asks for the same of the same recipe and is not completed."""
    for folder in sweeps(root):
        with suppress(GenlabError):
            if folder.spec().same(asked) and same_recipe(folder, base) and not read_sweep(folder.path).completed:
                return folder
    return None


def _check_files(folder: SweepFolder, spec: Spec) -> None:
    """Trials that are still to come are to be like those that are done."""
    here = {file.distribution: file for file in installed().files}
    missing = [file for file in spec.plugins if file.distribution not in here]
    if missing:
        named = " ".join(f"--plugin {shlex.quote(file.path)}" for file in spec.plugins)
        raise RunError(f"{folder.path}: begun with a plugin that is one file, which was not passed; add {named}")
    for file in spec.plugins:
        now = here[file.distribution]
        if now.sha256 != file.sha256:
            raise RunError(
                f"{folder.path}: begun with {file.path} ({file.version}); {now.path} is another ({now.version}); "
                "change it back, or start another sweep"
            )


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise RecipeError(f"{name}={count}: at least 1 is expected")


def _command(
    recipe: str | Path,
    overrides: Sequence[Override],
    space: Space,
    seeds: Sequence[int],
    search: PartSpec,
    trials: int,
    metric: str,
) -> str:
    """Return the command that makes this sweep."""
    words = ["genlab", "sweep", str(recipe), *map(str, overrides)]
    words += [f"{key}={_typed(choices)}" for key, choices in space.items()]
    words.append(f"seed={','.join(map(str, seeds))}")
    if search.use != "grid":
        words += ["--search", as_yaml(search.written()) if search.options else search.use]
        words += ["--trials", str(trials)]
    if metric != "val/loss":
        words += ["--metric", metric]
    return shlex.join([*words, *selected().arguments()])


def _typed(choices: Choices | Range) -> str:
    """Return what is swept as one types it."""
    if isinstance(choices, Range):
        return f"{'log:' if choices.log else ''}{choices.low}..{choices.high}"
    return ",".join(map(as_yaml, choices.values))
