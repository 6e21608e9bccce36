"""What a recipe's ``train:`` and ``checkpoint:`` sections may say."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Gt, Lt
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)  # fmt: skip
from pydantic.config import JsonDict

from genlab.device import RunnerName
from genlab.precision import Name

RunnerOption = Literal["auto", RunnerName]
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME = r"([0-9]+(\.[0-9]+)?[smhd])+"


def seconds(value: object) -> object:
    """Read a time such as ``90``, ``"90s"``, ``"10m"`` or ``"1h30m"`` as seconds; leave anything else alone."""
    if isinstance(value, str) and re.fullmatch(_TIME, value):
        return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9.]+)([smhd])", value))
    if isinstance(value, str):
        raise ValueError("a time is expected: seconds, or for example 90s, 10m or 1h30m")
    return value


# What the JSON schema says of a time written as text: as above, and not zero. `$` alone would allow a line break.
_TimeText = Annotated[str, Field(pattern=rf"^(?=.*[1-9]){_TIME}$(?!\n)", examples=["10m"])]
Seconds = Annotated[float, Gt(0), BeforeValidator(seconds, json_schema_input_type=PositiveFloat | _TimeText)]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class EarlyStopping(_Options):
    """Stop when the monitored metric has not fallen for ``patience`` evaluations in a row."""

    monitor: str = Field("val/loss", description="the metric that should fall")
    patience: PositiveInt = Field(2, description="evaluations without a new best before stopping")


class EMAOptions(_Options):
    """Evaluate and keep a moving average of the weights."""

    decay: Annotated[float, Gt(0), Lt(1)] = Field(0.999, description="share of the average kept at a step")


# The model's own validator, for the JSON schema.
_FIXED_RUNNER: JsonDict = {
    "if": {"properties": {"deterministic": {"const": True}}, "required": ["deterministic"]},
    "then": {"properties": {"runner": {"enum": list(get_args(RunnerName))}}},
}


class TrainOptions(_Options):
    """How long to train, and on how much at once."""

    model_config = ConfigDict(json_schema_extra=_FIXED_RUNNER)

    epochs: PositiveInt = Field(20, description="passes over the training examples, at most")
    max_steps: PositiveInt | None = Field(None, description="steps, at most")
    max_time: Seconds | None = Field(None, description="time, at most, as in 10m; counted anew after a resume")
    batch_size: PositiveInt = Field(128, description="examples that a gradient is taken of at once")
    accumulate: PositiveInt = Field(1, description="batches whose gradients make one step")
    eval_batch_size: PositiveInt = Field(
        500, description="examples at once in evaluation; decides which noise each is given"
    )
    eval_every_epochs: PositiveInt = Field(1, description="epochs from one evaluation to the next")
    eval_every_steps: PositiveInt | None = Field(None, description="the same in steps; takes the place of epochs")
    precision: Name = Field("fp32", description="what the networks compute in; all else is float32")
    runner: RunnerOption = Field("eager", description="how a step is executed; auto measures which is fastest")
    clip_norm: PositiveFloat | None = Field(None, description="the longest gradient; longer ones are scaled down")
    ema: EMAOptions | None = Field(None, description="evaluate and keep a moving average of the weights")
    early_stopping: EarlyStopping | None = Field(None, description="stop when a metric no longer falls")
    deterministic: bool = Field(False, description="only operations that repeat to the last bit, or an error")
    data: Literal["auto", "device", "stream"] = Field(
        "auto", description="whether examples lie on the device or are brought to it batch by batch"
    )
    workers: Annotated[int, Ge(0)] = Field(0, description="processes that bring batches, if they are brought")

    @model_validator(mode="after")
    def _one_choice(self) -> TrainOptions:
        if self.deterministic and self.runner == "auto":
            raise ValueError("deterministic training needs a fixed runner: what auto measures may differ")
        return self

    @property
    def monitor(self) -> str:
        """The metric by which evaluations are compared."""
        return (self.early_stopping or EarlyStopping()).monitor

    def steps(self, steps_per_epoch: int) -> int:
        """How many steps there are at most."""
        steps = self.epochs * steps_per_epoch
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def evaluates(self, step: int, steps_per_epoch: int) -> bool:
        """Whether an evaluation is due after ``step``."""
        return step > 0 and step % (self.eval_every_steps or self.eval_every_epochs * steps_per_epoch) == 0


class CheckpointOptions(_Options):
    """How often everything is saved, so that ``genlab resume`` can go on from there."""

    every_epochs: PositiveInt | None = Field(1, description="epochs from one to the next")
    every_steps: PositiveInt | None = Field(None, description="steps from one to the next")
    every_minutes: PositiveFloat | None = Field(10, description="minutes from one to the next")
    keep: Annotated[int, Ge(2)] = Field(2, description="how many are kept; at least two, should one be damaged")

    def due(self, step: int, steps_per_epoch: int, seconds: float) -> bool:
        """Whether to save after ``step``, so many seconds after the last time."""
        return (
            (self.every_steps is not None and step % self.every_steps == 0)
            or (self.every_epochs is not None and step % (self.every_epochs * steps_per_epoch) == 0)
            or (self.every_minutes is not None and seconds >= self.every_minutes * 60)
        )
