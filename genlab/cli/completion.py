"""What the shell offers at TAB. Nothing here may fail, print, or load torch where it can be helped."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import typer

from genlab import vocabulary
from genlab.catalogue import catalogue, recipe_files
from genlab.errors import GenlabError

SHALLOW = 12  # keys up to which all are offered; of more, the first step of each

Completer = Callable[[typer.Context, str], list[str]]


def quiet(find: Callable[[typer.Context, str], Iterable[str]]) -> Completer:
    """Return what ``find`` offers that begins with what was typed; nothing if it fails."""

    @functools.wraps(find)
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return [word for word in dict.fromkeys(find(ctx, incomplete)) if word.startswith(incomplete)]
        except Exception:  # a traceback at the prompt helps nobody
            return []

    return complete


@quiet
def recipe_and_keys(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer recipes until there is one, then the keys that can be set in it; after ``key=`` its values."""
    words = _words(ctx)
    given = _plain(words)
    if (values := _values(words, incomplete)) is not None:
        yield from values
    elif given:
        yield from _keys(given[0], incomplete)
    else:
        yield from _recipes(incomplete)


@quiet
def recipe_or_run_and_keys(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer recipes and run directories until there is one, then keys and values as of a recipe."""
    yield from recipe_and_keys(ctx, incomplete)
    if not _words(ctx):
        yield from _directories()


@quiet
def recipes_and_keys(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer further recipes, and the keys of the first; after ``key=`` its values."""
    words = _words(ctx)
    given = _plain(words)
    if (values := _values(words, incomplete)) is not None:
        yield from values
        return
    yield from (name for name in _recipes(incomplete) if name not in given)
    if given:
        yield from _keys(given[0], incomplete)


@quiet
def models(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the names of completed runs and of models that plugins ship."""
    if _plain(_words(ctx)):
        return
    yield from sorted({name for _, name, status in _runs() if status == "completed"})
    known = vocabulary.kept()
    yield from known.models if known else ()


@quiet
def run_directories(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer run directories until there is one, as one would type them from here."""
    if not _plain(_words(ctx)):
        yield from _directories()


@quiet
def every_run(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer further run directories."""
    given = _plain(_words(ctx))
    yield from (name for name in _directories() if name not in given)


@quiet
def recipes_and_runs(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer recipes and run directories."""
    yield from _recipes(incomplete)
    yield from _directories()


@quiet
def plots(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer kinds of plots."""
    yield from vocabulary.collected().plots


@quiet
def devices(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the devices of this machine, as far as they are known without looking."""
    known = vocabulary.kept()
    yield from known.devices if known else ("auto", "cpu")


@quiet
def one_recipe(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer recipes."""
    yield from _recipes(incomplete)


@quiet
def names_and_runs(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the names of runs, however they went, and run directories, until there is one."""
    if not _plain(_words(ctx)):
        yield from sorted({name for _, name, _ in _runs()})
        yield from _directories()


@quiet
def plugins(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer installed plugins."""
    yield from (entry.distribution for entry in catalogue())


@quiet
def metrics(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the metrics that runs have recorded."""
    from genlab.runs import known_runs

    yield from ("val/loss", *(name for _, status in known_runs() for name in status.best))


def parts(kind: str) -> Completer:
    """Offer the parts of a kind."""
    return quiet(lambda ctx, incomplete: vocabulary.collected().parts.get(kind, {}))


def words(*known: str) -> Completer:
    """Offer fixed words."""
    return quiet(lambda ctx, incomplete: known)


def _words(ctx: typer.Context) -> list[str]:
    """Return the arguments given so far, options left out.

    Bash hands ``a=1`` over as three words, and typer leaves a ``=`` out that is the last: it is put back.
    """
    arguments = [p.name for p in ctx.command.params if p.param_type_name == "argument"]
    lists = [value for name in arguments if isinstance(value := ctx.params.get(name), list | tuple)]
    at, words = os.environ.get("COMP_CWORD", ""), os.environ.get("COMP_WORDS", "").split("\n")
    dropped = [word for word in words[int(at) : int(at) + 1] if word == "="] if at.isdecimal() else []
    return [*(word for value in lists for word in value), *dropped]


def _plain(words: list[str]) -> list[str]:
    """Return the words that are no overrides."""
    return [word for i, word in enumerate(words) if not _override(words, i)]


def _override(words: list[str], i: int) -> bool:
    """Whether a word is (a piece of) ``a=1``."""
    return "=" in words[i] or (i > 0 and words[i - 1] == "=") or words[i + 1 : i + 2] == ["="]


def _recipes(incomplete: str) -> Iterator[str]:
    """Recipe files where one is typing, here and in ``recipes``; then those that plugins ship."""
    folder = incomplete.rpartition("/")[0]
    if folder or incomplete.startswith("/"):
        for path in sorted(Path(folder or "/").expanduser().iterdir()):
            name = f"{folder}/{path.name}"
            if path.is_dir() and not path.name.startswith("."):
                yield f"{name}/"
            elif path.suffix in (".yaml", ".yml"):
                yield name
        return
    yield from (str(path) for where in (".", "recipes") for path in sorted(Path(where).glob("[!.]*.y*ml")))
    known = vocabulary.kept()
    yield from known.recipes if known else sorted(path.stem for path in recipe_files())


def _values(words: list[str], incomplete: str) -> list[str] | None:
    """Return what may stand after the ``key=`` that was typed; None if none was."""
    recipe = next(iter(_plain(words)), "")
    if words[-1:] == ["="]:  # bash, to which the key is another word
        key = _settable(recipe).get("".join(words[-2:-1]))
        return list(key.members) if key else []
    name, equals, _ = incomplete.partition("=")
    key = _settable(recipe).get(name) if equals else None  # none in ./a=b.yaml
    return [f"{name}={member}" for member in key.members] if key else None


def _keys(recipe: str, incomplete: str) -> Iterator[str]:
    """Keys that begin with what was typed, one step at a time where there are many."""
    found = {key: value for key, value in _settable(recipe).items() if key.startswith(incomplete)}
    if len(found) > SHALLOW:
        steps = len(incomplete.split("."))
        for key in found:
            head = key.split(".")
            yield f"{key}=" if len(head) == steps else ".".join(head[:steps]) + "."
        return
    for key, value in found.items():
        yield f"{key}="
        # A second word keeps bash from ending the first with a space, and shows what there is now.
        if len(found) == 1:
            yield f"{key}={value.default or '...'}"


def _settable(recipe: str) -> dict[str, vocabulary.Key]:
    """Return every key that can be set in a recipe, its value there as the default."""
    known = vocabulary.collected()
    written = _written(recipe)
    found = dict(known.fields)
    for kind, parts in known.parts.items():
        if kind not in known.fields:
            continue  # of which a recipe names none, or a list
        part = written.get(kind) or known.fields[kind].default
        use = part.get("use") if isinstance(part, dict) else part
        if isinstance(use, str) and use not in parts:
            use = use.rpartition(":")[2]  # of a distribution that is named, though it need not be
        found[f"{kind}.use"] = found[kind] = replace(known.fields[kind], default=str(use or ""))
        for name, options in parts.items():
            if not use or use == name:
                found |= {f"{kind}.{option}": key for option, key in options.items()}
    return found | {key: replace(found[key], default=value) for key, value in _leaves(written, "") if key in found}


def _written(recipe: str) -> Mapping[str, object]:
    """Return a recipe as it is written, without what it extends; nothing if it cannot be read."""
    from genlab.source import read_file

    path = Path(recipe)
    if not path.is_file():
        path = next((shipped for shipped in recipe_files() if shipped.stem == recipe), path)
    try:
        plain = read_file(path).plain()
    except GenlabError:
        return {}
    return plain if isinstance(plain, dict) else {}


def _leaves(value: object, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _leaves(child, f"{prefix}.{key}" if prefix else str(key))
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str).replace(" ", "")
        yield prefix, text if re.fullmatch(r"\S*", text) else ""


def _directories() -> Iterator[str]:
    """Run directories, the newest first, relative to where one is if they lie below."""
    here = Path.cwd()
    for path, _, _ in _runs():
        yield str(path.relative_to(here) if path.is_relative_to(here) else path)


def _runs() -> Iterator[tuple[Path, str, str]]:
    """Return run directories with name and status."""
    from genlab.runs import known_runs

    return ((run.path, status.name, status.status) for run, status in known_runs())
