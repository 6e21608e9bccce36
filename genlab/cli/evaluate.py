"""``genlab eval``: the exact test metrics of a trained model."""

from __future__ import annotations

import typer

from genlab.cli.arguments import AsJson, Device, PluginFiles, RefAndOverrides, split_overrides
from genlab.units import as_json


def command(
    ref: RefAndOverrides, device: Device = "auto", json: AsJson = False, plugin: PluginFiles = None
) -> None:
    """Evaluate a trained model on its data's whole test split.

    Example: genlab eval mnist_cvae
    """
    from genlab.build import build_objective
    from genlab.cli.with_data import load_with_data
    from genlab.data import Batches, read_split
    from genlab.device import resolve
    from genlab.evaluate import active_units, evaluate
    from genlab.plugins import installed

    name, tokens = split_overrides(ref, "model")
    subject = load_with_data(name, tokens, device)
    where = resolve(device)
    test = read_split(subject.data, "test")
    objective = build_objective(subject.recipe, installed().registry).to(where.on)
    batches = Batches(test.x, subject.data.prepare, subject.recipe.train.eval_batch_size, device=where)
    means = evaluate(subject.model, objective, batches, where, seed=subject.recipe.seed)
    metrics = {f"test/{key}": value for key, value in means.items()}
    active = active_units(subject.model.encode(subject.data.prepare(test.x)))
    if json:
        typer.echo(as_json({**metrics, "test/active_units": active, "examples": len(test)}))
        return
    for key, value in metrics.items():
        typer.echo(f"{key:<10} {value:9.3f} nats")
    typer.echo(f"{active} of {subject.model.latent} latents in use")
    typer.echo(f"exact means over {len(test):,} examples, one sample of z each; {subject.data.origin}")
