"""The tutorial is done as it stands, in an empty folder and a fresh environment; its numbers are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tutorial import PAGE, author, hunks, same


@pytest.mark.slow
def test_whoever_does_as_the_page_says_sees_what_it_shows(tmp_path: Path) -> None:
    reader = author(tmp_path)
    reader.read()
    for what, seconds in reader.clock:
        print(f"{seconds:6.1f} s  {what}")
    print(f"typed: {reader.typed}")
    page = " ".join(PAGE.read_text().split())
    assert f": {reader.typed} to look at what came out" in page
    assert reader.typed.lines <= 25
    assert f"in {reader.typed.lines} lines" in PAGE.with_name("index.md").read_text()


def test_every_block_of_the_page_is_done(tmp_path: Path) -> None:
    fences = re.findall(r"^```(\S.*)$", PAGE.read_text(), re.MULTILINE)
    done = list(author(tmp_path).page())
    assert len(done) == len(fences)
    assert {fence.removeprefix("{code-block} ") for fence in fences} == {"python", "diff", "console", "pycon"}


def test_what_is_shown_is_compared() -> None:
    assert same("a ... c\n", "a b c  \n")
    assert same("...\nb\n", "x\ny\nb\n")
    assert not same("a\n", "a\nb\n")
    assert not same("4 passed in ...s\n", "3 passed, 1 failed in 2s\n")


def test_a_change_is_made_where_its_lines_stand() -> None:
    assert hunks(["-a", "+b", "+c", "-d", "+e"]) == [("a\n", "b\nc\n"), ("d\n", "e\n")]
    with pytest.raises(AssertionError, match="neither"):
        hunks([" a"])
