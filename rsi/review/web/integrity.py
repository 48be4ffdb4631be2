"""What `rsi verify` found, as a page says it first: it holds, not all of it could be checked, it is broken.

A page never runs a program that a run folder names, so what such a program decided cannot be derived again for it. That
is no damage, and is not told as one.
"""

from __future__ import annotations

from typing import Literal

from rsi.review.reading import Reading
from rsi.review.verify import VerifyReport

Standing = Literal["holds", "unchecked", "broken"]
UNDERIVABLE = "underivable"
"""The kind of problem that says that something was left unchecked."""


def standing(report: VerifyReport) -> Standing:
    """How much of a record holds."""
    if report.ok:
        return "holds"
    return "unchecked" if all(problem.kind == UNDERIVABLE for problem in report.problems) else "broken"


def complaints(report: VerifyReport) -> tuple[str, ...]:
    """What a page about a broken record says first; nothing for any other."""
    if standing(report) != "broken":
        return ()
    return (next(problem.sentence for problem in report.problems if problem.kind != UNDERIVABLE),)


def broken_off(reading: Reading) -> tuple[str, ...]:
    """What is said of a record that does not hold behind what is shown; nothing where all of it holds."""
    return (f"{reading.problem} What is shown is what stands before.",) if reading.problem else ()
