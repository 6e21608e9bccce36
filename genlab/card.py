"""The model card: what the model is, how good, how it was made, and what its numbers are not."""

from __future__ import annotations

from genlab.model import LatentModel
from genlab.runfiles import Metrics
from genlab.summary import parameter_count

GREY_BERNOULLI = (
    "The pixels are grey values scored as Bernoulli, that is by summed binary cross-entropy. This is a "
    "likelihood of black-and-white pixels only: `nll` and `loss` are that score in nats, comparable with the "
    "same score on the same data, and not bounds on the log-likelihood of binarised or 8-bit images."
)


def model_card(model: LatentModel, metrics: Metrics, *, data: str, grey: bool) -> str:
    """Return the card as Markdown.

    data: how many examples there were. grey: they have values strictly between 0 and 1.
    """
    recipe = model.recipe
    assert recipe is not None, "only models built from a recipe have a card"
    rows = "\n".join(f"| `{name}` | {value:.2f} |" for name, value in metrics.metrics.items())
    notes = [metrics.protocol]
    if grey and recipe.likelihood.use == "bernoulli":
        notes.append(GREY_BERNOULLI)
    parts = "\n".join(f"| {kind} | `{spec.use}` |" for kind, spec in recipe.parts())
    return f"""# {recipe.name}

{recipe.description or "A latent-variable model"}: {parameter_count(model):,} parameters, x of shape \
{tuple(model.x_shape)}.

```python
import genlab

model = genlab.load("{recipe.name}")
x = model.sample(16, seed=0)      # {(16, *model.x_shape)} float32
z = model.encode(x)               # (16, {recipe.latent}) posterior means
```

## Metrics after epoch {metrics.epoch}, nats per example, lower is better

| metric | value |
| --- | ---: |
{rows}

{chr(10).join(f"{note}{chr(10)}" for note in notes)}
## Made by

    {metrics.command}

on {metrics.device}, seed {metrics.seed}; {data}.

| part | name |
| --- | --- |
{parts}

The whole recipe, every default filled in, is in `config.json`.
"""
