"""The sweep's folder: what is to be done, and, read from the runs in it, what became of it.

``runs/sweeps/<name>/<YYYYMMDD-HHMMSS>-<id>/`` holds ``sweep.json`` (what was asked for), ``recipe.yaml`` (the
recipe that is varied, resolved), ``origins.json`` (where each of its values came from), ``trials/000/`` and so on,
and in the end ``summary.json``, ``summary.csv``, ``plots/`` and ``report.html``. A trial's folder holds
``trial.json`` (its values, seed and recipe), ``recipe.yaml`` (that recipe as its run is started with it),
``output.txt`` (what its processes said) and the run, ``<name>/<run>/``.

No file says what is done: that is what the runs in it say themselves. So nothing can disagree after a crash.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genlab.errors import RunError
from genlab.files import explained, read_regular, replaced_folder, write_json, write_text
from genlab.lock import in_turn
from genlab.recipe import PartSpec, Recipe
from genlab.runfiles import MAX_JSON, MAX_TEXT, ORIGINS
from genlab.runs import SPEC, TRIALS
from genlab.single import PluginFile
from genlab.space import Choices, Json, Range
from genlab.sweep.plan import Combination
from genlab.writing import written_yaml

if TYPE_CHECKING:  # which brings torch
    from genlab.opening import Opened


class Spec(BaseModel):
    """The content of ``sweep.json``: what was asked for. It never changes once the sweep has begun.

    recipe: the file that was named. overrides: values of every trial. trials: how many combinations there are to
    be, at most. metric: what decides which is best, lower is better. jobs, device: what was asked for first;
    another process may choose others. plugins: files that were named as plugins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    name: str
    command: str
    recipe: str
    overrides: dict[str, Json]
    space: dict[str, Choices | Range]
    seeds: tuple[int, ...] = Field(min_length=1)
    search: PartSpec
    trials: int
    metric: str
    jobs: int
    device: str
    plugins: tuple[PluginFile, ...] = ()

    def same(self, other: Spec) -> bool:
        """Whether two ask for the same trials, the recipe aside."""
        fixed = {"version", "name", "space", "seeds", "search", "trials", "metric"}
        return self.model_dump(include=fixed) == other.model_dump(include=fixed)


class Trial(BaseModel):
    """The content of ``trial.json``: one run.

    number: of it. combination: of its values, which seeds share. recipe: resolved.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    combination: int
    values: dict[str, Json]
    seed: int
    recipe: dict[str, Json]


Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class TrialFolder:
    """One trial's folder."""

    path: Path

    @property
    def number(self) -> int:
        """The trial's number."""
        return int(self.path.name)

    @property
    def recipe(self) -> Path:
        """The trial's recipe."""
        return self.path / "recipe.yaml"

    @property
    def output(self) -> Path:
        """What the trial's processes said."""
        return self.path / "output.txt"

    def write_recipe(self) -> None:
        """Write the trial's recipe as a file that ``genlab run`` takes, if it is not there."""
        if not self.recipe.exists():
            write_text(self.recipe, written_yaml(self.trial().recipe, {}))

    def trial(self) -> Trial:
        """Read which trial it is."""
        return _read(self.path / "trial.json", Trial)


@dataclass(frozen=True)
class SweepFolder:
    """A sweep's folder."""

    path: Path

    @classmethod
    def new(cls, root: Path, name: str) -> SweepFolder:
        """Return a folder for a new sweep; nothing is written yet."""
        stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        return cls(root.absolute() / "sweeps" / name / stamp)

    @classmethod
    def of(cls, path: Path) -> SweepFolder:
        """Return the sweep in a folder; raise ``RunError`` if there is none."""
        folder = cls(path.absolute())
        folder.spec()
        return folder

    def create(self, spec: Spec, opened: Opened, plan: Sequence[Combination]) -> None:
        """Write what is to be done: all of it, or, after a crash, nothing that counts as a sweep."""
        with explained(self.path):
            self.trials.mkdir(parents=True)
        write_text(self.path / "recipe.yaml", opened.recipe.to_yaml())
        write_json(self.path / ORIGINS, opened.origins())
        for number, each in enumerate(plan):
            self.write(each, number)
        write_json(self.path / SPEC, spec.model_dump(mode="json"))

    @property
    def trials(self) -> Path:
        """The folder of trials."""
        return self.path / TRIALS

    def spec(self) -> Spec:
        """Read what was asked for."""
        return _read(self.path / SPEC, Spec)

    def each(self) -> list[TrialFolder]:
        """Return the trials that there are, in order."""
        found = [path for path in self.trials.glob("[0-9]*") if path.name.isdecimal()]
        return sorted(map(TrialFolder, found), key=lambda trial: trial.number)

    def write(self, combination: Combination, number: int) -> None:
        """Write the trials of a combination, one for each seed, as far as they are not there.

        Only while ``proposing``, or before there is a sweep.
        """
        count = len(combination.recipes)
        for i, recipe in enumerate(combination.recipes):
            path = self.trials / f"{number * count + i:03d}"
            if path.exists():
                continue
            trial = Trial(
                number=number * count + i,
                combination=number,
                values=dict(combination.values),
                seed=recipe.seed,
                recipe=recipe.written(),
            )
            with replaced_folder(path) as new:
                write_json(new / "trial.json", trial.model_dump(mode="json"))

    @contextmanager
    def proposing(self) -> Iterator[None]:
        """Be the only process that adds trials, for a block; wait for another that does."""
        with in_turn(self.trials):
            yield


def sweeps(folder: Path) -> list[SweepFolder]:
    """Return the sweeps that lie in a folder, newest first."""
    return [SweepFolder(path.parent) for path in sorted(folder.glob(f"*/{SPEC}"), reverse=True)]


def same_recipe(folder: SweepFolder, recipe: Recipe) -> bool:
    """Whether a sweep varies this very recipe."""
    try:
        return read_regular(folder.path / "recipe.yaml", MAX_TEXT).decode() == recipe.to_yaml()
    except (OSError, UnicodeDecodeError):
        return False


def _read(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(read_regular(path, MAX_JSON))
    except OSError as error:
        raise RunError(f"{path}: no sweep can be read there ({error.strerror})") from None
    except ValidationError:
        raise RunError(f"{path}: damaged, or written by another version of genlab") from None
    except ValueError:
        raise RunError(f"{str(path)!r}: not a path") from None
