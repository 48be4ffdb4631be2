"""What is said of a study follows from its numbers, and no more is said than they show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rsi.execution import SandboxDescription
from studies.collapse.design import CONTROL, FIRST, design_of
from studies.collapse.findings import findings_of
from studies.collapse.measures import Measures
from studies.collapse.record import Cell, Measured, Started, Study, cells

NOISE = (0.0, 0.01, -0.01, 0.02)


def study(bits: Callable[[str, int], float], *, seeds: int, arms: str = "closed,real", until: int = 99) -> Study:
    design = design_of(arms, generations=2, seeds=seeds, seed=0, size=8192)
    digest = "0" * 64
    measured = [
        Measured(
            cell=cell,
            trained_on=digest,
            rows=1,
            acceptance=None,
            weights={},
            losses=digest,
            text=digest,
            measures=Measures(
                bits_per_byte=bits(cell.arm, cell.generation) + NOISE[(cell.seed + len(cell.arm)) % 4],
                entropy=10 - cell.generation,
                distinct=1000 - 300 * cell.generation,
                reached=0.5,
                rare=0.75 if cell.arm == "closed" else 1,
            ),
            executions=(),
        )
        for cell in cells(design)
        if cell.generation <= until
    ]
    started = Started(
        design=design,
        training=digest,
        dev=digest,
        holdout=digest,
        window=129,
        program={},
        sandbox=SandboxDescription(name="docker", isolates=True),
        versions={},
    )
    return Study(started=started, measured=tuple(measured), head=digest)


def collapsing(arm: str, generation: int) -> float:
    return 2.5 if arm in {FIRST, CONTROL} else 2.5 + 0.5 * generation


def test_collapse_is_told_with_a_corrected_interval_and_what_was_lost() -> None:
    found = findings_of(study(collapsing, seeds=4), rare_bytes=40)
    closed = found.sentences[0]
    assert "After two generations in a closed loop holdout bits per byte rose from 2.5" in closed
    assert "10 of 40 rare bytes were not written" in closed
    assert "bits more than with real text alone (" in closed
    assert {entry.difference.confidence for entry in found.compared} == {0.95}
    assert all(entry.difference.method == "paired t" for entry in found.compared if entry.measure == "bits_per_byte")


def test_no_difference_is_told_as_none() -> None:
    found = findings_of(study(lambda arm, generation: 2.5, seeds=3), rare_bytes=40)
    assert "no difference from real text alone could be shown" in found.sentences[0]


def test_more_comparisons_make_wider_intervals() -> None:
    two, five = (
        next(
            entry.difference
            for entry in findings_of(study(collapsing, seeds=3, arms=arms), 40).compared
            if (entry.arm, entry.other, entry.measure) == ("closed", CONTROL, "bits_per_byte")
        )
        for arms in ("closed,real", "closed,filtered,mixed:0.1,mixed:0.5,real")
    )
    assert two.estimate == five.estimate
    assert two.low > five.low


def test_one_seed_has_no_interval_and_says_so() -> None:
    found = findings_of(study(collapsing, seeds=1), rare_bytes=40)
    assert "without an interval" in found.sentences[0]
    assert "With one seed there is no interval" in found.sentences[-1]
    assert all(entry.difference.low is None for entry in found.compared)


@pytest.mark.parametrize(("until", "last"), [(0, 0), (1, 1)])
def test_a_study_that_is_not_whole_is_told_as_far_as_it_went(until: int, last: int) -> None:
    found = findings_of(study(collapsing, seeds=2, until=until), rare_bytes=40)
    assert (found.last, found.complete) == (last, False)
    assert ("nothing is said yet" if last == 0 else "is not whole") in found.sentences[-1]


def test_a_missing_seed_ends_what_is_told() -> None:
    whole = study(collapsing, seeds=2)
    lost = Cell(arm="closed", seed=1, generation=2)
    part = whole.model_copy(update={"measured": tuple(entry for entry in whole.measured if entry.cell != lost)})
    assert findings_of(part, rare_bytes=40).last == 1


def test_what_reads_alike_neither_rose_nor_fell() -> None:
    """0.009 bits apart, and both 3.20 (the noise's mean, 0.005, is in both)."""
    found = findings_of(study(lambda arm, generation: 3.1905 if generation else 3.1995, seeds=4), rare_bytes=40)
    assert "holdout bits per byte stayed at 3.20" in found.sentences[0]
