"""``python -m tests.mutants [KIND ...]``: which check catches which mutant. ``--page``: docs/conformance.md."""

from __future__ import annotations

import sys

from tests.mutants.table import PROOFS, page, report


def main(arguments: list[str]) -> int:
    """Print the table, and return how many mutants were not caught by their check alone."""
    if arguments == ["--page"]:
        print(page(), end="")
        return 0
    wrong = 0
    print(f"{'kind':<11}{'part':<20}{'check':<36}{'mutant':<46}{'caught by':<36}{'passed':>6}{'skipped':>8}")
    for kind, part, check, mutant in PROOFS:
        if arguments and kind not in arguments:
            continue
        said = f"{kind:<11}{part[:18]:<20}{check:<36}"
        if isinstance(mutant, str):
            print(f"{said}does not apply: {mutant}", flush=True)
            continue
        found = report(kind, mutant)
        caught = ", ".join(result.name for result in found.outcome("failed")) or "nothing"
        wrong += caught != check
        by = "it alone" if caught == check else f"NOT SO: {caught}"
        passed, skipped = len(found.outcome("passed")), len(found.outcome("skipped"))
        print(f"{said}{mutant.mistake:<46}{by:<36}{passed:>6}{skipped:>8}", flush=True)
    print(
        f"{wrong} of the mutants are not caught by their check alone"
        if wrong
        else "each is caught by its check alone"
    )
    return wrong


if __name__ == "__main__":
    sys.exit(min(1, main(sys.argv[1:])))
