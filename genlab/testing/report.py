"""What a conformance check found, for people, for pytest and for notebooks."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "skipped"]


class ConformanceError(AssertionError):
    """A part that breaks its interface's contract; the message lists the checks that say so."""


@dataclass(frozen=True)
class Result:
    """What one check found.

    reason: why it was skipped. message: if it failed, what was expected, what came and how to mend it.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    message: str = ""

    def __str__(self) -> str:
        said = self.message or self.reason
        rest = "".join(f"\n      {line}" for line in said.splitlines())
        return f"{self.outcome:>7}  {self.name}{rest}"


@dataclass(frozen=True)
class Report:
    """What every check of one part found. part: its kind and class, ``"encoder MyEncoder"``."""

    part: str
    results: tuple[Result, ...]

    def outcome(self, outcome: Outcome) -> tuple[Result, ...]:
        """Return the results of one outcome."""
        return tuple(result for result in self.results if result.outcome == outcome)

    @property
    def mostly_skipped(self) -> bool:
        """Whether more checks were skipped than not: little is then known of the part."""
        return 2 * len(self.outcome("skipped")) > len(self.results)

    @property
    def ok(self) -> bool:
        """Whether no check failed and at least half of them could be made."""
        return not self.outcome("failed") and not self.mostly_skipped

    @property
    def summary(self) -> str:
        """One line: the part and how many checks it passed."""
        counts = Counter(result.outcome for result in self.results)
        said = [f"{counts['passed']} of {len(self.results)} checks passed"]
        said += [f"{counts[outcome]} {outcome}" for outcome in ("failed", "skipped") if counts[outcome]]
        verdict = "; mostly skipped, which proves nothing" if self.mostly_skipped else ""
        return f"{self.part}: {', '.join(said)}{verdict}"

    def raise_if_failed(self) -> None:
        """Raise ``ConformanceError`` with every failure, or with the reasons if most checks were skipped."""
        if not self.ok:
            telling = self.outcome("failed") + (self.outcome("skipped") if self.mostly_skipped else ())
            raise ConformanceError("\n".join([self.summary, *map(str, telling)]))

    def __str__(self) -> str:
        return "\n".join([self.summary, *map(str, self.results)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show it as a table in a notebook."""
        colour = {"passed": "#1a7f37", "failed": "#cf222e", "skipped": "#9a6700"}
        rows = "".join(
            f'<tr><td style="color:{colour[r.outcome]};vertical-align:top">{r.outcome}</td>'
            f'<td style="text-align:left;vertical-align:top"><code>{html.escape(r.name)}</code></td>'
            f'<td style="text-align:left;white-space:pre-wrap">{html.escape(r.message or r.reason)}</td></tr>'
            for r in self.results
        )
        return f"<p><b>{html.escape(self.summary)}</b></p><table>{rows}</table>"
