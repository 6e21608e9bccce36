"""The recipe of a page: every key as resolved, and where each was written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from genlab.report.page import Content, Html, code, tag, together
from genlab.tree import Json
from genlab.wording import dotted
from genlab.writing import as_yaml

DEFAULT = "default"
SWEPT = "swept: "

# recipes/x.yaml:7, or with the interpolation that was written there: recipes/x.yaml:7, ${latent}
_PLACE = re.compile(r"(?P<file>.+?)(?P<at>:\d+(?::\d+)?)(?P<more>, .*)?", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One line of the resolved recipe: its place in the tree, and its value unless others stand below it."""

    path: tuple[str, ...]
    value: str | None

    @property
    def key(self) -> str:
        """The dotted key."""
        return dotted(self.path)


def entries(tree: Mapping[str, Json], path: tuple[str, ...] = ()) -> Iterator[Entry]:
    """Return the lines of a resolved recipe; a list is one value."""
    for name, value in tree.items():
        here = (*path, str(name))
        if isinstance(value, dict) and value:
            yield Entry(here, None)
            yield from entries(value, here)
        else:
            yield Entry(here, as_yaml(value))


def recipe(resolved: Mapping[str, Json], origins: Mapping[str, str]) -> Html:
    """Return a resolved recipe, a line per key with its origin."""
    places = [origin for origin in origins.values() if not origin.startswith((DEFAULT, "override ", SWEPT))]
    files = sorted({found["file"] for place in places if (found := _PLACE.fullmatch(place))})
    names = {file: PurePath(file).name for file in files}
    if len(set(names.values())) < len(files):
        names = {file: file for file in files}
    lines = [_line(entry, origins, names) for entry in entries(resolved)]
    about: list[Content] = ["Every key, defaults included"]
    if origins:
        about.append(", and where each was written: file:line, an override, or a default")
    about.append(".")
    if full := [file for file in files if names[file] != file]:
        about += [" Files: ", [[code(file), ", " if file != full[-1] else "."] for file in full]]
    head = tag("tr", tag("th", "key and value", scope="col"), tag("th", "origin", scope="col"))
    body = tag("table", tag("thead", head if origins else None), tag("tbody", lines), class_="recipe")
    return together(tag("p", about, class_="about"), body)


def _line(entry: Entry, origins: Mapping[str, str], names: Mapping[str, str]) -> Html:
    origin = origins.get(entry.key, "") if entry.value is not None else ""
    name = tag("span", f"{entry.path[-1]}:", class_="name")
    value = [" ", tag("span", entry.value, class_="value")] if entry.value is not None else None
    depth = f"depth{min(len(entry.path) - 1, 5)}"
    key = tag("th", tag("code", name, value), scope="row", class_=depth)
    if not origins:
        return tag("tr", key)
    kind = "default" if origin.startswith(DEFAULT) else None
    return tag("tr", key, tag("td", _short(origin, names)), class_=kind)


def _short(origin: str, names: Mapping[str, str]) -> Content:
    """Write a place with its file's name alone; an override as it was typed."""
    if origin.startswith((DEFAULT, SWEPT)):
        return origin
    if origin.startswith("override "):
        return ["override ", code(origin.removeprefix("override "))]
    if found := _PLACE.fullmatch(origin):
        return [code(f"{names[found['file']]}{found['at']}"), found["more"]]
    return origin
