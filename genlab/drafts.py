"""A first recipe: what is chosen, and every other value as a comment with its default and its meaning.

All of it is read off the recipe's model and the parts' own options; nothing here knows a part's options.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from genlab.docstrings import option_meanings
from genlab.errors import GenlabError, PartError
from genlab.opening import open_text
from genlab.recipe import PARTS, PartSpec, Recipe
from genlab.registry import Part, Registry
from genlab.wording import Allowed
from genlab.writing import as_yaml

CHOSEN = ("data", "encoder", "decoder", "likelihood")
"""The kinds of part that ``genlab init`` lets one choose, in this order."""

_COLUMN = 34  # where comments beside a value begin
_WIDTH = 115


@dataclass(frozen=True)
class Answers:
    """What a draft is made of; the defaults train without a download."""

    name: str = "bars_vae"
    data: str = "bars"
    latent: int = 16
    encoder: str = "mlp"
    decoder: str = "mlp"
    likelihood: str = "bernoulli"


def draft(choices: Answers, registry: Registry, file: str = "recipe.yaml") -> str:
    """Return the text of a recipe with these choices, which is valid and whose parts fit together.

    file: what it will be called, for the comments. Raises ``PartError`` if the parts do not fit together or
    the model is too large for this machine, ``PluginError`` for one that is not installed, ``RecipeError`` for
    a name or size that is none.
    """
    text = _Draft(choices, registry, file).text()
    _check_fit(open_text(text, Path(file), registry=registry).recipe, registry)
    return text


def _check_fit(recipe: Recipe, registry: Registry) -> None:
    from genlab.build import build_data, build_model
    from genlab.rehearsal import check_size

    x_shape = build_data(recipe, registry).x_shape
    check_size(recipe, x_shape, registry)
    try:
        build_model(recipe, x_shape, registry)
    except GenlabError as error:
        chosen = ", ".join(f"{kind} {recipe.part(kind).use}" for kind in CHOSEN)
        raise PartError(f"these parts do not fit together ({chosen}): {error}") from error


@dataclass(frozen=True)
class _Draft:
    """Writes the lines of one recipe."""

    choices: Answers
    registry: Registry
    file: str

    def text(self) -> str:
        """Write all of it."""
        file = shlex.quote(self.file)
        lines = [
            f"# Train it:             genlab run {file}",
            f"# Change a value once:  genlab run {file} latent=8 train.epochs=5",
            "#",
            "# A `key: value` that is commented out is a default; take the `# ` before it away to change it.",
        ]
        after_block = True
        for name, field in Recipe.model_fields.items():
            entry = list(self.entry(name, field))
            block = entry[0].partition("#")[0].rstrip().endswith(":")
            lines += ["", *entry] if block or after_block else entry
            after_block = block
        return "\n".join(lines) + "\n"

    def entry(self, name: str, field: FieldInfo) -> Iterator[str]:
        """Write one key of the recipe."""
        about, default = field.description or "", field.default
        if name in PARTS:
            use = default.use if isinstance(default, PartSpec) else getattr(self.choices, name)
            yield from self.part(self.registry.get(name, use), about)
        elif isinstance(default, BaseModel):
            yield from self.section(name, type(default))
        elif hasattr(self.choices, name):
            yield from _line(f"{name}: {as_yaml(getattr(self.choices, name))}", about)
        else:
            yield from _line(f"# {name}: {as_yaml(default)}", about)

    def part(self, part: Part, about: str) -> Iterator[str]:
        """Write a part with its options."""
        others = ", ".join(self.registry.use_of(o) for o in self.registry.parts(part.kind) if o is not part)
        yield from _line(f"{part.kind}:", about)
        use = as_yaml(self.registry.use_of(part))
        yield from _line(f"  use: {use}", part.summary, others and f"also installed: {others}")
        allowed, meanings = Allowed.by(part.options), option_meanings(part.cls, part.option_names)
        for name in part.option_names:
            here = allowed.at((name,))
            about = here.schema.get("description") or meanings.get(name, "")
            if name in part.defaults:
                yield from _line(f"  # {name}: {as_yaml(here.schema.get('default'))}", about, here.words)
            else:
                yield from _line(f"  {name}: {self.needed(part, name, about)}", about)

    def section(self, name: str, model: type[BaseModel]) -> Iterator[str]:
        """Write a section; its first key stands, since a key with nothing but comments below it would be null."""
        yield from _line(f"{name}:", (model.__doc__ or "").partition("\n")[0])
        allowed = Allowed.by(model)
        for i, key in enumerate(allowed.names):
            here = allowed.at((key,))
            sign = "# " if i else ""
            about = here.schema.get("description", "")
            yield from _line(f"  {sign}{key}: {as_yaml(here.schema.get('default'))}", about, here.words)

    def needed(self, part: Part, name: str, about: str) -> str:
        """Return a value for an option that has no default: a part can be chosen, anything else cannot."""
        kind = part.nested.get(name, "")
        simple = [self.registry.use_of(o) for o in self.registry.parts(kind) if not o.required] if kind else []
        if not simple:
            raise PartError(
                f"{part.kind} {part.name!r} cannot be drafted: its option {name!r}{about and f' ({about})'} has "
                f"no default; draft with another {part.kind}, then write {{use: {part.name}, {name}: ...}} for it"
            )
        default = getattr(Answers, kind, None)
        return default if default in simple else simple[0]


def _line(text: str, about: str, more: str = "") -> list[str]:
    """Return ``key: value`` with a comment beside it, which goes on below if it is long."""
    comment = " ".join(filter(None, (about, more and f"({more})"))).replace("``", "`")
    if not comment:
        return [text]
    head = f"{text.ljust(_COLUMN - 2)}  "
    first, *rest = textwrap.wrap(comment, _WIDTH - _COLUMN, break_long_words=False, break_on_hyphens=False)
    return [f"{head}# {first}", *(f"{' ' * _COLUMN}# {line}" for line in rest)]
