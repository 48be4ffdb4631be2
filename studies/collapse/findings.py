"""What a study's numbers allow to be said: means with intervals, arms compared in pairs, and the sentence for it."""

from __future__ import annotations

from rsi.records import Direction, Record
from rsi.review.wording import count
from rsi.statistics import Interval, difference
from studies.collapse.design import CONTROL, FIRST, Arm, Design
from studies.collapse.measures import LABELS, Measures
from studies.collapse.record import Study

CONFIDENCE = 0.95
CLAIMED = ("bits_per_byte",)
"""Measures about which arms are compared: each one more makes every interval wider."""
DIGITS = {"bits_per_byte": 2, "entropy": 2, "distinct": 0, "reached": 3, "rare": 2}


class Level(Record):
    """One measure of one generation of an arm: the mean over seeds with its 95% interval, for this level alone."""

    arm: str
    generation: int
    measure: str
    over_seeds: Interval


class Compared(Record):
    """An arm less another one in the last generation, in pairs that share a seed; corrected for all comparisons."""

    arm: str
    other: str
    measure: str
    difference: Interval


class Findings(Record):
    """All that is told of a study."""

    design: Design
    complete: bool
    models: int
    rare_bytes: int
    last: int
    """The generation up to which every arm has every seed; −1 where not even the first has."""
    levels: tuple[Level, ...]
    compared: tuple[Compared, ...]
    accepted: float | None
    """The share of offered passages that the filter accepted."""
    sentences: tuple[str, ...]
    head: str

    def level(self, arm: str, generation: int, measure: str) -> Interval:
        """That mean; generation 0 is every arm's."""
        name = FIRST if generation == 0 else arm
        wanted = (name, generation, measure)
        return next(entry.over_seeds for entry in self.levels if (entry.arm, entry.generation, entry.measure) == wanted)


def findings_of(study: Study, rare_bytes: int) -> Findings:
    """From the record; `rare_bytes` is how many there are in real text."""
    design = study.design
    values = {(entry.cell.arm, entry.cell.generation, entry.cell.seed): entry.measures for entry in study.measured}
    last = _last(design, values)
    compared = _compared(design, values, last) if last > 0 else ()
    offers = [entry.acceptance for entry in study.measured if entry.acceptance is not None]
    found = Findings(
        design=design,
        complete=study.complete,
        models=len(study.measured),
        rare_bytes=rare_bytes,
        last=last,
        levels=tuple(_levels(design, values, last)),
        compared=compared,
        accepted=sum(o.accepted for o in offers) / sum(o.offered for o in offers) if offers else None,
        sentences=(),
        head=study.head,
    )
    return found.model_copy(update={"sentences": tuple(_sentences(found))})


_Values = dict[tuple[str, int, int], Measures]


def _of(values: _Values, design: Design, arm: str, generation: int, measure: str) -> list[float]:
    name = FIRST if generation == 0 else arm
    return [float(getattr(values[name, generation, seed], measure)) for seed in range(design.seeds)]


def _last(design: Design, values: _Values) -> int:
    last = -1
    for generation in range(design.generations + 1):
        names = [FIRST] if generation == 0 else [arm.name for arm in design.arms]
        if not all((name, generation, seed) in values for name in names for seed in range(design.seeds)):
            break
        last = generation
    return last


def _levels(design: Design, values: _Values, last: int) -> list[Level]:
    found = []
    for generation in range(last + 1):
        for name in [FIRST] if generation == 0 else [arm.name for arm in design.arms]:
            for measure in LABELS:
                over = _of(values, design, name, generation, measure)
                interval = difference(over, [0.0] * len(over), Direction.MAXIMIZE, CONFIDENCE, paired=True)
                found.append(Level(arm=name, generation=generation, measure=measure, over_seeds=interval))
    return found


def _compared(design: Design, values: _Values, last: int) -> tuple[Compared, ...]:
    names = [arm.name for arm in design.arms]
    pairs = [(name, CONTROL) for name in names if name != CONTROL and CONTROL in names]
    pairs += [(name, "closed") for name in names if name not in {CONTROL, "closed"} and "closed" in names]
    if not pairs:
        return ()
    # Bonferroni: all intervals of the study hold together with at least this confidence.
    confidence = 1 - (1 - CONFIDENCE) / (len(pairs) * len(CLAIMED))
    return tuple(
        Compared(
            arm=arm,
            other=other,
            measure=measure,
            difference=difference(
                _of(values, design, arm, last, measure),
                _of(values, design, other, last, measure),
                Direction.MAXIMIZE,
                confidence,
                paired=True,
            ),
        )
        for arm, other in pairs
        for measure in CLAIMED
    )


# --- sentences ------------------------------------------------------------------------------------------------------


def _sentences(found: Findings) -> list[str]:
    if found.last < 1:
        return ["Not one generation is whole in every arm and seed, so nothing is said yet."]
    told = [_course(found, arm) for arm in found.design.arms]
    if found.design.seeds == 1:
        told.append("With one seed there is no interval: run more with --seeds before anything is concluded.")
    elif found.compared:
        told.append(
            f"Intervals are of paired differences over {count(found.design.seeds, 'seed')}, and hold together for all "
            f"{len(found.compared)} comparisons with 95% confidence (t, Bonferroni)."
        )
    if not found.complete:
        told.append(
            f"The study is not whole: {found.models} of {found.design.cells()} models, told up to {found.last}."
        )
    return told


def _course(found: Findings, arm: Arm) -> str:
    # Compared as they are told: nobody can read what falls from 3.20 to 3.20.
    start = round(found.level(arm.name, 0, "bits_per_byte").estimate, 2)
    end = round(found.level(arm.name, found.last, "bits_per_byte").estimate, 2)
    way = "rose" if end > start else "fell" if end < start else "stayed"
    moved = f"{way} from {start:.2f} to {end:.2f}" if way != "stayed" else f"stayed at {end:.2f}"
    lost = round((1 - found.level(arm.name, found.last, "rare").estimate) * found.rare_bytes)
    runs = found.level(arm.name, found.last, "distinct").estimate
    sentence = (
        f"{_after(found.last, arm)} holdout bits per byte {moved}, the text held {runs:,.0f} different runs of four "
        f"bytes ({found.level(arm.name, 0, 'distinct').estimate:,.0f} at first), and {lost} of {found.rare_bytes} rare "
        "bytes were not written"
    )
    against = [
        _against(entry) for entry in found.compared if entry.arm == arm.name and entry.measure == "bits_per_byte"
    ]
    return ": ".join((sentence, "; ".join(against))) + "." if against else sentence + "."


def _after(generations: int, arm: Arm) -> str:
    many = count(generations, "generation")
    match arm.kind:
        case "closed":
            return f"After {many} in a closed loop"
        case "filtered":
            return f"After {many} on samples that were filtered by real n-grams"
        case "mixed":
            return f"After {many} with {arm.real_share:.0%} real text"
        case "accumulated":
            return f"After {many} on all text so far, the first real one included,"
        case "real":
            return f"After {many} on nothing but real text"


def _against(entry: Compared) -> str:
    than = "with real text alone" if entry.other == CONTROL else "in the closed loop"
    whence = "from real text alone" if entry.other == CONTROL else "from the closed loop"
    gap = entry.difference
    if gap.low is None or gap.high is None:
        return f"{abs(gap.estimate):.2f} bits {'more' if gap.estimate > 0 else 'less'} than {than}, without an interval"
    if not gap.excludes_zero:
        return f"no difference {whence} could be shown ({gap.low:+.2f} to {gap.high:+.2f} bits)"
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return (
        f"{abs(gap.estimate):.2f} bits {'more' if gap.estimate > 0 else 'less'} than {than} ({low:.2f} to {high:.2f})"
    )
