"""Train a recipe; go on with a run."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast, get_args

from genlab.device import available
from genlab.errors import GenlabError, RecipeError
from genlab.folders import runs_root
from genlab.lock import locked
from genlab.opening import open_recipe
from genlab.overrides import Override, Overrides, overrides_of
from genlab.plugins import installed
from genlab.prepare import Prepared, prepare
from genlab.recipe import Recipe
from genlab.resolving import overridden
from genlab.runs import RunDirectory, known_runs
from genlab.selection import selected
from genlab.session import Run, Session, Watched, accounted_for
from genlab.train.callbacks import Callback
from genlab.train.options import RunnerOption
from genlab.train.signals import StopRequest
from genlab.tree import Place, tree_of

log = logging.getLogger(__name__)

Announce = Callable[[Prepared, Path], None]

CHANGEABLE = ("train.epochs", "train.max_steps", "train.max_time", "train.early_stopping.patience", "checkpoint")
"""What a resumed run may change: how long it goes on, and how often it is saved."""


def run(
    recipe: str | Path,
    overrides: Overrides | None = None,
    *,
    device: str = "auto",
    runs: str | Path | None = None,
    plots: bool = True,
    resume: str = "never",
    callbacks: Sequence[Callback] = (),
    announce: Announce = lambda prepared, directory: None,
) -> Run:
    """Train a recipe file, or an installed recipe by its name, and leave a run directory.

    overrides: ``{"train.epochs": 3}``. runs: folder of runs, by default ``GENLAB_RUNS`` or ``runs``.
    plots: draw them at the end, and write ``report.html``. resume: with ``auto``, go on with the newest run of
    this very recipe that is not done, if there is one. announce: called once before training with all that is
    known and the run directory.

    An interrupt (Ctrl-C) ends training at the next step, with a checkpoint; the run so far is returned, its
    status "interrupted". Raises ``GenlabError`` for every mistake in the input, ``TrainingError`` if the loss
    stops being finite, the run's status then being "failed", and ``Interrupted`` (a ``KeyboardInterrupt``) if
    a run is interrupted before its first evaluation, when there is no model to keep, or a second time.
    """
    if resume not in ("never", "auto"):
        raise RecipeError(f"resume={resume!r}: 'never' or 'auto' is expected; for one run there is genlab.resume")
    watched, given = Watched(callbacks, announce, plots), overrides_of(overrides)
    opened = open_recipe(recipe, given)
    root = Path(runs) if runs else runs_root()
    if resume == "auto" and (found := unfinished(opened.recipe, root)) is not None:
        log.info("going on with %s", found)
        return _resume(RunDirectory(found), opened.recipe, device, watched)
    words = ["genlab", "run", str(recipe), *map(str, given)]
    command = shlex.join([*words, *selected().arguments()])
    prepared = prepare(opened.recipe, device, tree=opened.tree, command=command)
    directory = RunDirectory.create(root, opened, prepared.environment)
    with locked(directory.path):
        return Session(prepared, directory, opened.recipe.train.runner, watched).run()


def resume(
    directory: str | Path,
    overrides: Overrides | None = None,
    *,
    device: str = "auto",
    plots: bool = True,
    callbacks: Sequence[Callback] = (),
    announce: Announce = lambda prepared, directory: None,
) -> Run:
    """Go on with a run from its newest whole checkpoint, as if it had never stopped.

    overrides: of how long it goes on and how often it is saved, ``{"train.epochs": 40}``; nothing else may
    change. device: ``auto`` takes the one that the run was on, if it is there. A run that was over stays as it is.

    The result is that of an uninterrupted run, to the last bit, on the same device, versions and threads; what
    differs is said in a warning. Raises as ``run`` does, and ``RunError`` if this is no run directory, another
    process is at work in it, or no checkpoint in it is whole.
    """
    watched, run = Watched(callbacks, announce, plots), RunDirectory(Path(directory).absolute())
    run.status()
    recipe, changes = run.recipe(), overrides_of(overrides)
    for key in (change.key for change in changes):
        if not any(key == name or key.startswith(f"{name}.") for name in CHANGEABLE):
            raise RecipeError(
                f"override {key}: a resumed run can change {', '.join(CHANGEABLE)} and nothing else; "
                "for another recipe start another run"
            )
    if changes:
        recipe = overridden(recipe, changes, registry=installed().registry)
    return _resume(run, recipe, device, watched, changes)


def unfinished(recipe: Recipe, root: Path) -> Path | None:
    """Return the newest run of exactly this recipe under ``root`` that is not done."""
    for run, status in known_runs(recipe.name):
        over = status.status == "running" or (status.status == "completed" and status.message != "time limit")
        with suppress(GenlabError):
            if not over and run.path.is_relative_to(root.absolute()) and run.recipe() == recipe:
                return run.path
    return None


def _resume(
    directory: RunDirectory,
    recipe: Recipe,
    device: str,
    watched: Watched,
    changes: Sequence[Override] = (),
) -> Run:
    with locked(directory.path):
        before = directory.environment()
        same = device == "auto" and before.on in [str(d.on) for d in available()]
        prepared = prepare(
            recipe,
            before.on if same else device,
            tree=tree_of({}, Place(str(directory.path / "resolved.yaml"))),
            command=before.command,
        )
        runner = recipe.train.runner
        if prepared.environment.on == before.on and before.runner in get_args(RunnerOption):
            runner = cast(RunnerOption, before.runner)
        now = prepared.environment.model_copy(update={"runner": runner})
        with accounted_for(directory, StopRequest()):
            directory.restart()
            origins = {change.key: f"override {change} at a resume" for change in changes}
            directory.write_recipe(recipe, directory.origins() | origins)
        if differences := before.differences(now):
            warning = (
                f"not what the run was done with so far, so the last bits may differ: {'; '.join(differences)}"
            )
            log.warning("warning: %s", warning)
            directory.log(warning)
        return Session(prepared, directory, runner, watched).run()
