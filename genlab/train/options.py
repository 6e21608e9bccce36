"""What a recipe's ``train:`` section may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from genlab.precision import Name


class EarlyStopping(BaseModel):
    """Stop when the monitored metric has not fallen for ``patience`` evaluations in a row."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    monitor: str = Field("val/loss", description="the metric that should fall")
    patience: PositiveInt = Field(2, description="evaluations without a new best before stopping")


class TrainOptions(BaseModel):
    """How long to train, and on how much at once."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    epochs: PositiveInt = Field(20, description="passes over the training examples, at most")
    batch_size: PositiveInt = Field(128, description="examples a training step")
    eval_batch_size: PositiveInt = Field(
        500, description="examples at once in evaluation; decides which noise each is given"
    )
    precision: Name = Field("fp32", description="what the networks compute in; all else is float32")
    early_stopping: EarlyStopping | None = Field(None, description="stop when a metric no longer falls")
