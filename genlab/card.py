"""The model card: what the model is, how good, how it was made, and what its numbers are not."""

from __future__ import annotations

from genlab.model import LatentModel
from genlab.recipe import Recipe
from genlab.summary import parameter_count

GREY_BERNOULLI = (
    "The pixels are grey values scored as Bernoulli, that is by summed binary cross-entropy. This is a "
    "likelihood of black-and-white pixels only: `nll` and `loss` are that score in nats, comparable with the "
    "same score on the same data, and not bounds on the log-likelihood of binarised or 8-bit images."
)


def model_card(
    model: LatentModel, recipe: Recipe, metrics: dict[str, float], *, epoch: int, protocol: str, command: str,
    data: str, grey: bool, shipped_as: str | None = None,
) -> str:  # fmt: skip
    """Return the card as Markdown.

    data: where the examples came from. grey: they have values strictly between 0 and 1.
    """
    rows = "\n".join(f"| `{name}` | {value:.2f} |" for name, value in metrics.items())
    notes = [protocol]
    if grey and recipe.likelihood.use == "bernoulli":
        notes.append(GREY_BERNOULLI)
    parts = "\n".join(
        f"| {kind} | `{recipe.part(kind).use}` |"
        for kind in ("data", "encoder", "decoder", "prior", "likelihood", "objective", "optimizer")
    )
    return f"""# {recipe.name}

{recipe.description or "A latent-variable model"}: {parameter_count(model):,} parameters, \
{recipe.latent} latents, x of shape {tuple(model.x_shape)}.

```python
import genlab

model = genlab.load("{shipped_as or recipe.name}")
x = model.sample(16, seed=0)      # {(16, *model.x_shape)} float32
z = model.encode(x)               # (16, {model.latent}) posterior means
```

## Metrics after epoch {epoch}, nats per example, lower is better

| metric | value |
| --- | ---: |
{rows}

{chr(10).join(notes)}

## Made by

    {command}

Data: {data}

| part | name |
| --- | --- |
{parts}

seed {recipe.seed}; the whole recipe, every default filled in, is in `config.json`.
"""
