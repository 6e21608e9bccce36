"""What a recipe says: a frozen, validated ``Recipe``, and how it is written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PositiveInt

from genlab.registry import KINDS
from genlab.seeds import MAX_SEED
from genlab.train.options import CheckpointOptions, TrainOptions
from genlab.writing import written_yaml

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


def folder_name(name: str) -> str:
    """Return a name that a recipe can have; raise ``ValueError`` for any other."""
    if not re.fullmatch(_NAME, name):
        raise ValueError(
            "a name becomes a folder: up to 100 letters, digits, '_', '-' and '.' are allowed, "
            "a letter or digit first"
        )
    return name


# The extra is for the JSON schema, which cannot look into a function; `$` alone would allow a line break.
Name = Annotated[str, AfterValidator(folder_name), Field(json_schema_extra={"pattern": rf"^{_NAME}$(?!\n)"})]


def _written_short(value: object) -> object:
    """``conv`` means ``{use: conv}``; options stand beside ``use``."""
    if isinstance(value, str):
        return {"use": value, "options": {}}
    if isinstance(value, dict) and "use" in value:
        return {"use": value["use"], "options": {k: v for k, v in value.items() if k != "use"}}
    return value


class PartSpec(BaseModel):
    """One part as a recipe names it: a registered name and its options."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    use: str
    options: dict[str, JsonValue] = {}

    @classmethod
    def of(cls, written: JsonValue) -> PartSpec:
        """Read a part as it stands in a recipe: ``name`` or ``{use: name, option: value, ...}``."""
        return cls.model_validate(_written_short(written))

    def written(self) -> dict[str, JsonValue]:
        """Return the part as it stands in a recipe: ``{use: name, option: value, ...}``."""
        return {"use": self.use, **self.options}


Spec = Annotated[PartSpec, BeforeValidator(_written_short)]


class Recipe(BaseModel):
    """Everything that decides what is trained, and how; never a device."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Name = Field(description="names the run and the model")
    description: str = Field("", description="one line for people")
    data: Spec = Field(description="where the examples come from")
    latent: PositiveInt = Field(description="Z, the size of a latent")
    encoder: Spec = Field(description="q(z|x)")
    decoder: Spec = Field(description="z to the likelihood's parameters")
    prior: Spec = Field(PartSpec(use="standard_normal"), description="p(z)")
    likelihood: Spec = Field(description="p(x|z)")
    objective: Spec = Field(PartSpec(use="elbo"), description="what training minimises")
    optimizer: Spec = Field(PartSpec(use="adam"), description="how parameters follow their gradients")
    schedule: Spec = Field(PartSpec(use="constant"), description="the learning rate over time")
    train: TrainOptions = TrainOptions()
    checkpoint: CheckpointOptions = CheckpointOptions()
    trackers: list[Spec] = Field([], description="where metrics go besides metrics.jsonl")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="every random stream is derived from it")

    def part(self, kind: str) -> PartSpec:
        """Return the part of one kind, ``"encoder"`` for example."""
        spec: PartSpec = getattr(self, kind)
        return spec

    def written(self) -> dict[str, Any]:
        """Return the recipe as plain values, every default filled in."""
        plain = self.model_dump(mode="json")
        plain |= {kind: self.part(kind).written() for kind in PARTS}
        return plain | {"trackers": [spec.written() for spec in self.trackers]}

    def parts(self) -> list[tuple[str, PartSpec]]:
        """Return every part with its kind."""
        return [(kind, self.part(kind)) for kind in PARTS] + [("tracker", spec) for spec in self.trackers]

    def to_yaml(self, comments: Mapping[str, str] | None = None) -> str:
        """Return the recipe as YAML, every default filled in; ``comments`` stand beside their dotted keys."""
        return written_yaml(self.written(), comments or {})


PARTS = tuple(kind for kind in KINDS if kind in Recipe.model_fields)
"""The kinds of which a recipe names exactly one part."""

DEFAULTS = {kind: default for kind in PARTS if isinstance(default := Recipe.model_fields[kind].default, PartSpec)}
"""The part of each kind that a recipe has if it names none."""

USES = {kind: spec.use for kind, spec in DEFAULTS.items()}
"""The name of it: what a section of options alone is about, if nothing that it is laid over names another."""
