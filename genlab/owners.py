"""Which plugin brought each part of a model or run, so that it means the same later; what changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from genlab.errors import PluginError, RecipeError
from genlab.plugins import Plugins
from genlab.recipe import PartSpec, Recipe
from genlab.registry import OWN, Part, Registry
from genlab.runfiles import Owner


def owners(recipe: Recipe, plugins: Plugins) -> list[Owner]:
    """Return which distribution brought each part of a recipe, nested parts included."""
    versions = dict(plugins.distributions)
    files = {file.distribution: file.path for file in plugins.files}

    def walk(kind: str, spec: PartSpec) -> list[Owner]:
        part = plugins.registry.get(kind, spec.use)
        found = [
            Owner(
                kind=kind,
                use=spec.use,
                distribution=part.distribution,
                version=versions.get(part.distribution, "unknown"),
                file=files.get(part.distribution, ""),
                options=tuple(part.option_names),
            )
        ]
        for name, nested_kind in part.nested.items():
            found += walk(nested_kind, PartSpec.of(spec.options[name]))
        return found

    return [owner for kind, spec in recipe.parts() for owner in walk(kind, spec)]


def portable(found: Iterable[Owner]) -> list[Owner]:
    """Return owners as a model that may travel records them: files without their folders."""
    return [owner.model_copy(update={"file": Path(owner.file).name}) for owner in found]


def read_again(
    found: Sequence[Owner], plugins: Plugins, about: str, read: Callable[[Registry], Recipe]
) -> tuple[Recipe, str]:
    """Read the recipe of something that was made with parts of these owners; return it and what changed since.

    about: what was made. read: is given a registry in which names mean what they meant.
    Raises ``PluginError`` with the remedy if a part is not there any more; ``RecipeError`` if what the recipe says
    of one is allowed no longer, with what changed and how to have it back.
    """
    _check_owners(found, plugins, about)
    changed = "; ".join(changes(found, plugins))
    try:
        return read(meant(found, plugins.registry)), changed
    except RecipeError as error:
        if not changed:
            raise
        remedy = " or ".join(remedies(found, plugins))
        raise RecipeError(f"{error}\n{about}: {changed}{remedy and f'; {remedy}'}") from None


def _check_owners(found: Iterable[Owner], plugins: Plugins, about: str) -> None:
    """Raise ``PluginError`` with the remedy if a part is not there any more. about: what was made with it."""
    versions = dict(plugins.distributions)
    for owner in found:
        try:
            _now(owner, plugins)
        except PluginError:
            now = versions.get(owner.distribution)
            broken = [f.cause for f in plugins.failures if f.distribution == owner.distribution]
            left_out = [one.reason for one in plugins.left_out if one.distribution == owner.distribution]
            if now is not None:
                state = f"{owner.distribution} {now} does not bring"
                remedy = "".join(remedies([owner], plugins)) or "it has to register it again"
            elif broken:
                state, remedy = f"could not be loaded ({broken[0]})", "see `genlab plugins doctor`"
            elif left_out:
                state, remedy = f"is left out by {left_out[0]}", "let it in"
            else:
                state = "was not passed" if owner.file else "is not installed"
                remedy = owner.remedy
            raise PluginError(f"{about}: made with {owner.said}, which {state}: {remedy}") from None


def meant(found: Iterable[Owner], registry: Registry) -> Registry:
    """Return a registry in which bare names mean the parts of their owners, whatever else is installed by now."""
    return registry.preferring({(owner.kind, owner.use): owner.distribution for owner in found})


def changes(found: Sequence[Owner], plugins: Plugins) -> list[str]:
    """Say what changed since parts were recorded: versions, options that came or went, other distributions.

    A new version of genlab itself is worth a word only if one of the options changed. The parts must be there.
    """
    said: dict[str, None] = {}
    versions = dict(plugins.distributions)
    for owner in found:
        part = _now(owner, plugins)
        version = versions.get(part.distribution, "unknown")
        options = _changed_options(owner, part)
        if part.distribution != owner.distribution:
            said[
                f"{owner.said} then, which is not here ({owner.remedy}); that of {part.distribution} {version} now"
                f"{options and f': {options}'}"
            ] = None
        elif options or (version != owner.version and owner.distribution != OWN):
            said[
                f"{owner.said} then, {version} now{': ' if options else ', with the same options'}{options}"
            ] = None  # fmt: skip
    return list(said)


def remedies(found: Iterable[Owner], plugins: Plugins) -> list[str]:
    """Return the commands that bring back the versions that differ now."""
    now = dict(plugins.distributions)
    differ = [o for o in found if not o.file and now.get(o.distribution) != o.version and o.version != "unknown"]
    return list(dict.fromkeys(f"pip install {owner.distribution}=={owner.version}" for owner in differ))


def _now(owner: Owner, plugins: Plugins) -> Part:
    """Return the part that an owner's is now: its own, or, if that is gone, what its name means."""
    try:
        return plugins.registry.get(owner.kind, f"{owner.distribution}:{owner.name}")
    except PluginError:
        return plugins.registry.get(owner.kind, owner.use)


def _changed_options(owner: Owner, part: Part) -> str:
    if owner.options is None:
        return ""
    before, after = dict.fromkeys(owner.options), dict.fromkeys(part.option_names)
    came = ", ".join(name for name in after if name not in before)
    went = ", ".join(name for name in before if name not in after)
    return "; ".join(filter(None, (came and f"new options: {came}", went and f"options that went: {went}")))
