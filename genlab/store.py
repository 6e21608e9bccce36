"""Model bundles, and what ``genlab.load(ref)`` resolves to.

A bundle is a folder: ``config.json`` (format, recipe, plugins, size and SHA-256 of the weights),
``model.safetensors``, ``metrics.json`` and ``README.md`` (the model card). Nothing in it is executed: parts
come from installed plugins only.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

from annotated_types import MinLen
from pydantic import BaseModel, JsonValue, PositiveInt, ValidationError
from torch import Tensor

import genlab
from genlab.build import build_model
from genlab.device import resolve
from genlab.errors import ModelError
from genlab.files import previous, read_regular, replaced_folder, write_bytes, write_json, write_text
from genlab.model import LatentModel
from genlab.owners import owners, portable, read_again
from genlab.plugins import Plugins, installed
from genlab.recipe import Recipe
from genlab.resolving import recipe_from
from genlab.runfiles import MAX_JSON, Metrics, Owner, is_run
from genlab.runs import RunDirectory, known_runs

log = logging.getLogger(__name__)

FORMAT = 1
CONFIG, WEIGHTS, METRICS, CARD = "config.json", "model.safetensors", "metrics.json", "README.md"

M = TypeVar("M", bound=BaseModel)


class Config(BaseModel):
    """The content of ``config.json``."""

    format: int
    genlab: str
    created: str
    x_shape: Annotated[tuple[PositiveInt, ...], MinLen(1)]
    recipe: dict[str, JsonValue]
    parts: list[Owner]
    weights_sha256: str
    weights_bytes: int


def save(
    folder: Path,
    model: LatentModel,
    metrics: Metrics,
    card: str,
    weights: Mapping[str, Tensor] | None = None,
    plugins: Plugins | None = None,
) -> None:
    """Write a bundle of a model, with its own weights or the given ones.

    plugins: that its parts come from; the installed ones if not given.

    The bundle that was there is replaced only when the new one is whole.
    Raises ``RunError`` if it cannot be written.
    """
    from safetensors.torch import save as to_bytes

    recipe = model.recipe
    assert recipe is not None, "only models built from a recipe can be saved"
    values = model.state_dict() if weights is None else weights
    # Clones: parameters may be views of one vector, which the format rightly refuses.
    data = to_bytes({name: value.detach().cpu().clone().contiguous() for name, value in values.items()})
    config = Config(
        format=FORMAT,
        genlab=genlab.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        x_shape=model.x_shape,
        recipe=recipe.written(),
        parts=portable(owners(recipe, plugins or installed())),
        weights_sha256=hashlib.sha256(data).hexdigest(),
        weights_bytes=len(data),
    )
    with replaced_folder(folder) as new:
        write_bytes(new / WEIGHTS, data)
        write_metrics(new, metrics)
        write_text(new / CARD, card)
        write_json(new / CONFIG, config.model_dump(mode="json"))


def load(ref: str | Path, device: str = "auto") -> LatentModel:
    """Load a trained model, ready to use, and say in one line on standard error which was taken.

    ref: ``run:NAME`` or ``run:PATH`` (a run), ``plugin:NAME`` (shipped by a plugin), a path of a run or
    bundle, or a bare name: the newest completed local run of that name, else a model that a plugin ships.
    Nothing is ever fetched from a network. device: ``auto``, ``cpu``, ``cuda:1`` ...

    Raises ``ModelError`` if there is no such model or it is damaged, ``PluginError`` if a part that it needs
    is not installed, ``RecipeError`` if one allows no more what the model was made with.
    """
    found = find(str(ref))
    model = load_bundle(found.folder, device)
    print(f"genlab: {ref} is {found.what}", file=sys.stderr)
    return model


@dataclass(frozen=True)
class Found:
    """Where a reference leads."""

    folder: Path
    what: str


def find(ref: str) -> Found:
    """Resolve a reference to a bundle folder; raise ``ModelError`` if it leads nowhere."""
    scheme, colon, rest = ref.partition(":")
    if colon and scheme == "run":
        found = _at_path(Path(rest)) or _run(rest)
    elif colon and scheme == "plugin":
        found = _shipped(rest)
    else:
        found = _at_path(Path(ref)) or _run(ref) or _shipped(ref)
    if found is None:
        runs = sorted({status.name for run, status in known_runs() if run.model.is_dir()})
        shipped = sorted(name for name, _, _ in shipped_models())
        raise ModelError(
            f"no model {ref!r}: no run or bundle at that path, no completed run and no plugin's model of that "
            "name; "
            f"runs: {', '.join(runs) or 'none'}; shipped: {', '.join(shipped) or 'none'}"
        )
    return found


def shipped_models() -> list[tuple[str, Path, str]]:
    """Return the models that plugins ship: name, bundle folder, distribution."""
    return [
        (bundle.name, bundle, distribution)
        for distribution, folder in installed().model_folders
        if folder.is_dir()
        for bundle in sorted(folder.iterdir())
        if bundle.is_dir()
    ]


def load_bundle(folder: Path, device: str = "auto", plugins: Plugins | None = None) -> LatentModel:
    """Load a bundle folder: a model in eval mode with its ``recipe`` and ``metrics``.

    plugins: that its parts come from; the installed ones if not given.

    Raises ``ModelError`` naming the file if one is missing, damaged or of a newer format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    config, metrics, weights = _whole(folder)
    plugins = plugins or installed()
    where = resolve(device)
    recipe = _recipe(config, folder, plugins)
    model = build_model(recipe, config.x_shape, plugins.registry)
    try:
        model.load_state_dict(from_bytes(weights))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[2].strip().partition("\n")[0] or str(error)
        raise ModelError(f"{folder / WEIGHTS}: does not fit the recipe's parts: {reason}") from None
    model.metrics = metrics.metrics
    where.place(model)
    return model.eval()


def check_bundle(folder: Path, plugins: Plugins) -> None:
    """Raise what ``load_bundle`` would, as far as it is known without building the model."""
    _recipe(_whole(folder)[0], folder, plugins)


def _whole(folder: Path) -> tuple[Config, Metrics, bytes]:
    """Read the files of a bundle; raise ``ModelError`` if they are not what was written."""
    config = _parse(Config, folder / CONFIG)
    if config.format > FORMAT:
        raise ModelError(
            f"{folder / CONFIG}: format {config.format} was written by genlab {config.genlab}; this is genlab "
            f"{genlab.__version__}: pip install --upgrade genlab"
        )
    metrics = _parse(Metrics, folder / METRICS)
    weights = _read(folder / WEIGHTS, config.weights_bytes + 1)
    if len(weights) != config.weights_bytes:
        raise ModelError(
            f"{folder / WEIGHTS}: truncated or altered ({len(weights)} bytes; {config.weights_bytes} were "
            "written); copy the bundle again or train anew"
        )
    if hashlib.sha256(weights).hexdigest() != config.weights_sha256:
        raise ModelError(f"{folder / WEIGHTS}: altered since it was written (SHA-256); copy the bundle again")

    return config, metrics, weights


def _recipe(config: Config, folder: Path, plugins: Plugins) -> Recipe:
    """Return a bundle's recipe; warn of plugins that are not what they were."""
    recipe, changed = read_again(
        config.parts,
        plugins,
        str(folder),
        lambda registry: recipe_from(config.recipe, str(folder / CONFIG), registry=registry),
    )
    if changed:
        log.warning("warning: %s: %s", folder, changed)
    return recipe


def write_metrics(folder: Path, metrics: Metrics) -> None:
    """Write a bundle's metrics anew, when its history has grown."""
    write_json(folder / METRICS, metrics.model_dump())


def read_metrics(folder: Path) -> Metrics:
    """Read a bundle's metrics."""
    return _parse(Metrics, folder / METRICS)


def read_config(folder: Path) -> Config:
    """Read a bundle's config; the parts that it names need not be installed."""
    return _parse(Config, folder / CONFIG)


def _at_path(path: Path) -> Found | None:
    try:
        return _bundle_at(path)
    except (OSError, ValueError):  # not to be entered, or no name that a file could have
        return None


def _bundle_at(path: Path) -> Found | None:
    if not path.name or not path.is_dir():
        return None
    if is_run(path):
        run = RunDirectory(path)
        if not run.model.is_dir():
            raise ModelError(f"{path}: this run ({run.status().status}) has kept no model")
        return Found(run.model, f"the model of run {path.absolute()}")
    if (path / CONFIG).exists() or (path / WEIGHTS).exists():
        return Found(path, f"the bundle {path.absolute()}")
    if previous(path).is_dir():
        return Found(previous(path), f"the bundle {path.absolute()}")
    return None


def _run(name: str) -> Found | None:
    for run, status in known_runs(name):
        if status.status == "completed" and run.model.is_dir():
            return Found(run.model, f"the run of {status.finished} in {run.path}")
    return None


def _shipped(name: str) -> Found | None:
    found = [each for each in shipped_models() if name in (each[0], f"{each[2]}/{each[0]}")]
    if len(found) > 1:
        names = " or ".join(f"{distribution}/{model}" for model, _, distribution in found)
        raise ModelError(f"{name!r}: several plugins ship a model of this name; say {names}")
    for _, folder, distribution in found:
        return Found(folder, f"the model shipped by {distribution}")
    return None


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_regular(path, limit)
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; a bundle holds {CONFIG}, {WEIGHTS} and {METRICS}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(schema: type[M], path: Path) -> M:
    try:
        return schema.model_validate_json(_read(path, MAX_JSON))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"{path}: damaged: {where + ': ' if where else ''}{first['msg']}") from None
