"""Does docs/tutorial.md as a reader would. ``python -m tests.tutorial``: by the clock, and by what is typed.

Sybil reads the page. Each of its blocks is one of four: a file to write (``python`` with a caption), a change of a
file (``diff`` with a caption), commands with what they print (``console``), Python at the prompt (``pycon``).
There is nothing to skip a block with. A command that is shown without output must end well; one that shows
``error:`` must end with code 2.
"""

from __future__ import annotations

import doctest
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from sybil import Document, Example
from sybil.parsers.myst import CodeBlockParser

from tests.fresh import fresh

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"


@dataclass
class Typed:
    """What the author types. lines: of Python, in files. commands. prompt: lines at Python's prompt."""

    lines: int = 0
    commands: int = 0
    prompt: int = 0

    def __str__(self) -> str:
        prompt = f"{self.prompt} lines at Python's prompt"
        return f"{self.lines} lines for the encoder, {self.commands} commands, and {prompt}"


@dataclass
class Author:
    """Who follows the page. clock: what was done, and how many seconds each took."""

    folder: Path
    environment: dict[str, str]
    typed: Typed = field(default_factory=Typed)
    clock: list[tuple[str, float]] = field(default_factory=list)

    def read(self) -> None:
        """Do everything on the page, in its order; raises ``AssertionError`` where it is not as it says."""
        for example in self.page():
            example.evaluate()

    def page(self) -> Document:
        """Return the blocks of the page."""
        kinds = {"python": self.write, "diff": self.change, "console": self.type, "pycon": self.ask}
        return Document.parse(str(PAGE), *(CodeBlockParser(kind, does) for kind, does in kinds.items()))

    def write(self, example: Example) -> None:
        """Write a file."""
        path = self.folder / example.region.lexemes["options"]["caption"]
        assert not path.exists(), f"{path.name} is there already"
        path.write_text(example.parsed)
        self.typed.lines += sum(1 for line in example.parsed.splitlines() if line.strip())

    def change(self, example: Example) -> None:
        """Change a file: each run of lines to go is there once, and those that follow take its place."""
        path = self.folder / example.region.lexemes["options"]["caption"]
        text = path.read_text()
        for old, new in hunks(example.parsed.splitlines()):
            assert text.count(old) == 1, f"{path.name} has {text.count(old)} times {old!r}"
            text = text.replace(old, new)
            self.typed.lines += new.count("\n")
        path.write_text(text)

    def type(self, example: Example) -> str | None:
        """Type commands, each after ``$``; compare what they print where that is shown."""
        blocks = ("\n" + example.parsed).split("\n$ ")
        assert not blocks[0].strip(), "a console block begins with a command"
        for command, _, shown in (block.partition("\n") for block in blocks[1:]):
            code, printed = self.run(command, ["bash", "-c", command])
            self.typed.commands += 1
            if code != (2 if "error: " in shown else 0):
                return f"{command}\nends with {code}:\n{printed}"
            if shown.strip() and not same(shown.strip() + "\n", printed.strip() + "\n"):
                return f"{command}\nprints:\n{printed}"
        return None

    def ask(self, example: Example) -> str | None:
        """Type at Python's prompt, in a process of its own."""
        path = self.folder / ".prompt"
        path.write_text(example.parsed)
        code, printed = self.run("python", ["python", "-m", "doctest", "-o", "ELLIPSIS", path.name])
        path.unlink()
        self.typed.prompt += sum(line.startswith((">>>", "...")) for line in example.parsed.splitlines())
        return printed if code else None

    def run(self, what: str, words: list[str]) -> tuple[int, str]:
        """Run a command; return its exit code and what a terminal would show."""
        began, both = time.monotonic(), {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(words, cwd=self.folder, env=self.environment, text=True, **both)  # type: ignore[call-overload]
        self.clock.append((what, time.monotonic() - began))
        return done.returncode, done.stdout


def hunks(lines: list[str]) -> list[tuple[str, str]]:
    """Return what goes and what comes, for each run of ``-`` lines and the ``+`` lines after it."""
    found: list[tuple[str, str]] = []
    before = "+"
    for line in lines:
        sign, text = line[:1], line[1:] + "\n"
        assert sign in ("-", "+"), f"neither - nor +: {line}"
        if sign == "-" and before == "+":
            found.append(("", ""))
        old, new = found.pop()
        found.append((old + text, new) if sign == "-" else (old, new + text))
        before = sign
    return found


def same(shown: str, printed: str) -> bool:
    """Whether that was printed, ``...`` standing for anything; spaces at the ends of lines do not count."""
    printed = "\n".join(line.rstrip() for line in printed.splitlines()) + "\n"
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


def author(folder: Path) -> Author:
    """Return one with an empty folder and a fresh environment, into which genlab was installed. Offline."""
    desk = folder / "desk"
    desk.mkdir()
    return Author(desk, fresh(folder) | {"COLUMNS": "100"})


def main() -> None:
    """Do it, and say how long everything took."""
    with tempfile.TemporaryDirectory() as folder:
        reader = author(Path(folder))
        reader.read()
    for what, seconds in [*reader.clock, ("in all", sum(seconds for _, seconds in reader.clock))]:
        print(f"{seconds:6.1f} s  {what}")
    print(f"typed: {reader.typed}")


if __name__ == "__main__":
    main()
