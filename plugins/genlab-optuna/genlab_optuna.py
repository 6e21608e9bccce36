"""A search that learns from the results so far, by Optuna (Akiba et al. 2019)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import JsonValue, PositiveInt

import genlab

STUDY = "sweep"
SEEDS = 2**32  # of samplers there are so many


class Optuna(genlab.Search):
    """Optuna's samplers; the study is ``optuna.db`` in the sweep's folder, which several processes share.

    sampler: ``tpe``, tree-structured Parzen estimators (Bergstra et al. 2011), or ``random``. startup: trials that
    tpe draws at random before it begins to learn.
    """

    def __init__(
        self,
        space: Mapping[str, genlab.Choices | genlab.Range],
        folder: Path,
        seed: int,
        *,
        sampler: Literal["tpe", "random"] = "tpe",
        startup: PositiveInt = 10,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # the sweep says what happens
        self._space = {key: _distribution(choices) for key, choices in space.items()}
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{folder / 'optuna.db'}",
            engine_kwargs={"connect_args": {"timeout": 60}},  # seconds to wait while another process writes
        )
        self._study = optuna.create_study(storage=storage, study_name=STUDY, load_if_exists=True)
        # Going on with the same seed would propose again what was proposed first.
        seed = (seed + len(self._study.get_trials(deepcopy=False))) % SEEDS
        self._study.sampler = (
            optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
            if sampler == "tpe"
            else optuna.samplers.RandomSampler(seed=seed)
        )

    def ask(self) -> Mapping[str, JsonValue]:
        """Return what the sampler proposes; the study remembers that it is being tried."""
        params = self._study.ask(dict(self._space)).params
        return {key: _value(self._space[key], params[key]) for key in self._space}

    def tell(self, values: Mapping[str, JsonValue], loss: float | None) -> None:
        """Enter a result into the study, unless it is there; one without a trial in it, as a trial."""
        params = {key: _param(self._space[key], value) for key, value in values.items()}
        trials = [trial for trial in self._study.get_trials(deepcopy=False) if trial.params == params]
        state = TrialState.FAIL if loss is None else TrialState.COMPLETE
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        for trial in running:
            self._study.tell(trial.number, loss, state, skip_if_finished=True)
        if not running and not any(_tells(trial, loss) for trial in trials):
            self._study.add_trial(
                create_trial(params=params, distributions=dict(self._space), value=loss, state=state)
            )


def _tells(trial: FrozenTrial, loss: float | None) -> bool:
    """Whether a trial of the study says as much as a result."""
    return trial.state == TrialState.COMPLETE or loss is None


def _distribution(choices: genlab.Choices | genlab.Range) -> BaseDistribution:
    if isinstance(choices, genlab.Choices):
        return CategoricalDistribution(
            [json.dumps(value) for value in choices.values]
        )  # lists, too, are one choice
    if choices.integer:
        return IntDistribution(int(choices.low), int(choices.high), log=choices.log)
    return FloatDistribution(float(choices.low), float(choices.high), log=choices.log)


def _value(distribution: BaseDistribution, param: object) -> JsonValue:
    """Return a parameter of the study as the recipe's value."""
    if isinstance(distribution, CategoricalDistribution):
        value: JsonValue = json.loads(str(param))
        return value
    assert isinstance(param, int | float)
    return param


def _param(distribution: BaseDistribution, value: JsonValue) -> object:
    """Return a value of the recipe as the study's parameter."""
    return json.dumps(value) if isinstance(distribution, CategoricalDistribution) else value


@genlab.hookimpl
def genlab_register(register: genlab.Register) -> None:
    """Register the search."""
    register("optuna", Optuna)
