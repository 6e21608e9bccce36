"""``python -m tests.mutants [KIND ...]``: which check catches which mutant. ``--page``: docs/conformance.md."""

from __future__ import annotations

import sys

from tests.mutants.table import page, report, rows


def main(arguments: list[str]) -> int:
    """Print the table, and return how many mutants were not caught by their check alone."""
    if arguments == ["--page"]:
        print(page(), end="")
        return 0
    wrong = 0
    print(f"{'kind':<11}{'check':<36}{'mutant':<46}{'caught by':<36}{'passed':>6}{'skipped':>8}")
    for kind, check, mutant in rows():
        if arguments and kind not in arguments:
            continue
        found = report(kind, mutant)
        caught = ", ".join(result.name for result in found.outcome("failed")) or "nothing"
        wrong += caught != check.name
        by = "it alone" if caught == check.name else f"NOT SO: {caught}"
        passed, skipped = len(found.outcome("passed")), len(found.outcome("skipped"))
        print(f"{kind:<11}{check.name:<36}{mutant.mistake:<46}{by:<36}{passed:>6}{skipped:>8}", flush=True)
    print(
        f"{wrong} of the mutants are not caught by their check alone"
        if wrong
        else "each is caught by its check alone"
    )
    return wrong


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
