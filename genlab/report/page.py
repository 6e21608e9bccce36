"""HTML that is safe by construction: what is not ``Html`` is text, and text is escaped where it is placed.

``Html`` is made here and in ``prose`` only; everything else composes ``tag`` and ``together``. A plain
string, an f-string of ``Html`` included, is text again, so a mistake shows markup instead of running it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from importlib import resources
from typing import TypeAlias
from urllib.parse import quote


class Html(str):
    """Markup that stands in a page as it is."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"
"""What a tag can hold: markup, text, numbers, nothing, or several of these."""

VOID = frozenset({"br", "hr", "img", "meta", "wbr"})
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_NAME = re.compile(r"[a-z][a-z0-9]*")
_TARGET = re.compile(r"#[\w-]+|data:image/png;base64,[A-Za-z0-9+/=]+|(?!/)[\w./~%-]+")
# Controls, halves of surrogate pairs, and what reorders or hides text: names in them could deceive a reader.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]"
)


def seen(text: str) -> str:
    """Return text with characters that cannot be seen, or that reorder others, replaced by their number."""
    return _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", text.replace("\r\n", "\n"))


def together(*content: Content) -> Html:
    """Return content as markup, one after the other; text is escaped."""
    parts: list[str] = []
    for item in content:
        if isinstance(item, Html):
            parts.append(item)
        elif isinstance(item, str):
            parts.append(html.escape(seen(item)))
        elif isinstance(item, int):
            parts.append(f"{item:,}")
        elif item is not None:
            parts.append(together(*item))
    return Html("".join(parts))


def tag(name: str, /, *content: Content, **attributes: str | int | bool | None) -> Html:
    """Return an element. ``class_`` stands for ``class``, ``aria_label`` for ``aria-label``.

    An attribute that is None or False is left out; one that is True has no value. Raises ``ValueError`` for a
    ``src`` or ``href`` that leads out of the page and the folder it is in.
    """
    assert _NAME.fullmatch(name), name
    written = []
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if attribute in ("href", "src") and not _TARGET.fullmatch(str(value)):
            raise ValueError(f"{attribute}={str(value)[:80]!r}: only a place in the page or a file beside it")
        if value is None or value is False:
            continue
        written.append(f" {attribute}" if value is True else f' {attribute}="{html.escape(seen(str(value)))}"')
    opened = f"<{name}{''.join(written)}>"
    return Html(opened if name in VOID else f"{opened}{together(*content)}</{name}>")


def beside(path: str) -> str:
    """Return a relative path as the target of a link."""
    return "/".join(quote(part, safe="") for part in path.split("/"))


def section(title: str, *content: Content, about: Content = None) -> Html:
    """Return a section under a heading that the page's contents can link to; ``about`` is a quiet line."""
    quiet = tag("p", about, class_="about") if about is not None else None
    return tag("section", tag("h2", title), quiet, content, id=anchor(title))


def anchor(title: str) -> str:
    """Return the id of the section of a title."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def table(
    columns: Iterable[str],
    rows: Iterable[Iterable[Content]],
    *,
    numbers: Iterable[int] = (),
    foot: Iterable[Content] | None = None,
    caption: str | None = None,
    marked: int | None = None,
) -> Html:
    """Return a table whose first column names the rows.

    numbers: the columns, counted from 0, that stand to the right. foot: a last row, of totals. marked: the row,
    counted from 0, that stands out.
    """
    right = set(numbers)

    def cell(kind: str, index: int, content: Content, scope: str | None) -> Html:
        return tag(kind, content, scope=scope, class_="number" if index in right else None)

    def row(cells: Iterable[Content], class_: str | None = None) -> Html:
        written = [cell("th" if not i else "td", i, c, None if i else "row") for i, c in enumerate(cells)]
        return tag("tr", written, class_=class_)

    head = tag("tr", [cell("th", i, name, "col") for i, name in enumerate(columns)])
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption) if caption else None,
            tag("thead", head),
            tag("tbody", [row(cells, "marked" if i == marked else None) for i, cells in enumerate(rows)]),
            tag("tfoot", row(foot)) if foot is not None else None,
        ),
        class_="table",
        tabindex=0,
        role="region",
        aria_label=caption or "table",
    )


def facts(pairs: Iterable[tuple[str, Content]], class_: str = "facts") -> Html:
    """Return names and values as a list of definitions."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs], class_=class_)


def code(text: str) -> Html:
    """Return a piece of code within a line."""
    return tag("code", text)


def listing(text: str, label: str) -> Html:
    """Return lines of code as they are; long ones wrap."""
    return tag("pre", tag("code", text), tabindex=0, role="region", aria_label=label)


def folded(summary: Content, *content: Content, open_: bool = False) -> Html:
    """Return content that a reader can fold and unfold."""
    return tag("details", tag("summary", summary), content, open=open_)


def page(title: str, *body: Content) -> str:
    """Return a whole document: no scripts, no fonts, nothing that is fetched."""
    style = resources.files("genlab.report").joinpath("style.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Html(style)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', body), lang='en')}\n"
