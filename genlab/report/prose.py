"""Markdown of model cards and protocols as HTML: no raw HTML, no links, no images."""

from __future__ import annotations

from functools import lru_cache

from markdown_it import MarkdownIt

from genlab.report.page import Html, seen

BELOW = 2  # a card's own title stands under a section's


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    # Links and images are shown as written: the page refers to nothing outside itself.
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return reader.disable(["html_block", "html_inline", "image", "link", "autolink", "reference"])


def block(text: str) -> Html:
    """Return a Markdown document as HTML, its headings two levels lower."""
    reader = _reader()
    tokens = reader.parse(seen(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + BELOW, 6)}"
        elif token.type == "th_open":
            token.attrSet("scope", "col")
    return Html(reader.renderer.render(tokens, reader.options, {}))


def inline(text: str) -> Html:
    """Return one line of Markdown as HTML."""
    return Html(_reader().renderInline(seen(text)))
