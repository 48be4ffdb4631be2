"""Promotion: how much error each generation may spend, and whether its budget can certify anything at all.

A generation's program is promoted where its run certified it: a milestone on the holdout, on fresh seeds, in which it
and its predecessor are trained side by side. `level` divides alpha over the generations so that the chance of *any*
false promotion is at most alpha: each is given alpha/N and all that was given before and not used.

Proof, as in `rsi.claims.milestone`: follow alpha as a mass. Within a run what a failed milestone used stays with it and
the rest moves on; here what a run's failed milestones used stays with it and the rest moves on to the next run. Up to
the first false pass no mass has left a milestone whose null is true, so the levels of all true nulls sum to at most
alpha on every path, and each is passed with at most its level's probability given what came before. (Fallback: Wiens
and Dmitrienko, Journal of Biopharmaceutical Statistics 15, 2005.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from rsi.claims.input import check_share
from rsi.claims.milestone import level as milestone_level
from rsi.claims.milestone import log_evidence
from rsi.claims.noise import PairNoise
from rsi.configuration import Budget
from rsi.derive import LEAST_RESERVED
from rsi.errors import UsageError
from rsi.milestones import ESTIMATE_PAIRS, TEST_PAIRS

LARGEST_GAIN = 5.0
"""In standard deviations of one trial: where even that could not be shown, nothing is begun."""
_FREEDOM = 4.0
"""Degrees of freedom that a short run knows its noise with."""


def level(alpha: float, generations: int, used: Sequence[float]) -> float:
    """The alpha of the next generation's run.

    Args:
        alpha: Of the whole evolution.
        generations: How many there are to be.
        used: Of each generation before it: the levels of its failed milestones, added up.
    """
    check_share(alpha, "alpha")
    number = len(used) + 1
    if number > generations:
        raise UsageError(f"There are {generations} generations, and generation {number} is none of them.")
    return number * alpha / generations - math.fsum(used)


def with_test(budget: Budget) -> Budget:
    """A budget with trials enough that the test at the end of a search may have all the pairs that one ever has.

    A generation is there to be tested, and a test ends as soon as it is decided: pairs that are granted and not needed
    cost nothing, and with few of them only large gains pass at a level that is divided by the generations.
    """
    if budget.experiments is None or budget.trials is not None:
        return budget
    return budget.model_copy(update={"trials": 3 * budget.experiments + 3 * (TEST_PAIRS + ESTIMATE_PAIRS)})


def granted_pairs(budget: Budget, certify_share: float) -> int:
    """Pairs that the milestone at a generation's end is certain to be granted, whatever its search spent."""
    if budget.trials is None:
        return LEAST_RESERVED // 2 - 2
    aside = min(budget.trials // 2, max(LEAST_RESERVED, round(certify_share * budget.trials)))
    if aside > 2 * LEAST_RESERVED:
        aside = aside * 2 // 3
    pairs = max(4, aside // 2)
    return min(TEST_PAIRS, pairs - max(2, min(pairs // 4, 6)))


def least_gain(level: float, pairs: int) -> float | None:
    """The smallest gain that pairs of the expected spread show, in standard deviations of one trial.

    None where even `LARGEST_GAIN` is not shown.
    """
    noise = PairNoise(standard_deviation=math.sqrt(2), freedom=_FREEDOM)
    spread = [NormalDist(0, math.sqrt(2)).inv_cdf((place + 0.5) / pairs) for place in range(pairs)]

    def shown(gain: float) -> bool:
        return log_evidence([gain + one for one in spread], noise) >= -math.log(level)

    steps = [step / 10 for step in range(1, round(10 * LARGEST_GAIN) + 1)]
    return next((gain for gain in steps if shown(gain)), None)


def require_certifiable(budget: Budget, alpha: float, generations: int, certify_share: float) -> float:
    """The least gain that a generation can be promoted for; UsageError with what would suffice where none could be."""
    if budget.experiments == 0:
        raise UsageError("A generation of 0 experiments has nothing to promote; give --experiments 10 or more.")
    first = milestone_level(level(alpha, generations, ()), ())
    if budget.trials is not None and budget.trials < 2 * LEAST_RESERVED:
        raise UsageError(
            f"--trials {budget.trials} sets {budget.trials // 2} trials of each generation aside, too few to certify "
            f"anything; give at least {2 * LEAST_RESERVED}, or leave --trials out and give --experiments."
        )
    found = least_gain(first, granted_pairs(budget, certify_share))
    if found is not None:
        return found
    enough = next(
        (
            trials
            for trials in range(2 * LEAST_RESERVED, 4096, 4)
            if least_gain(first, granted_pairs(Budget(trials=trials), certify_share)) is not None
        ),
        None,
    )
    told = f"--trials {enough}" if enough is not None else "fewer generations"
    raise UsageError(
        f"At an error rate of {alpha:g} over {generations} generations each begins with a test at level {first:.2g}, "
        f"which no gain up to {LARGEST_GAIN:g} standard deviations of a trial would pass with "
        f"{granted_pairs(budget, certify_share)} pairs; {told}, or a larger --alpha, would suffice."
    )
