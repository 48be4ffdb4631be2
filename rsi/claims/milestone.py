"""Is the incumbent really ahead of the last certified one? An anytime-valid test on paired holdout differences.

Null: the mean difference over seeds is zero or negative. The test is an e-process E_n with P(E_n ≥ 1/a at any n) ≤ a,
so that it may be looked at after every pair and stopped whenever it passes (Ramdas, Grünwald, Vovk and Shafer,
Statistical Science 38, 2023). It is the average of two, each a ratio of Bayesian marginal likelihoods in which the
standardised effect μ/σ is half-normal with scale 1 under the alternative and 0 under the null.

1. *Self-normalised*: σ has the right Haar prior dσ/σ on both sides. The ratio is then the likelihood ratio of the
   maximal invariant under rescaling, whose null distribution does not depend on σ: a martingale at μ = 0 for every σ
   (Pérez-Ortiz, Lardy, de Heide and Grünwald, Annals of Statistics 52, 2024; Wang and Ramdas, "Anytime-valid t-tests
   and confidence sequences for Gaussian means with unknown variance", 2024). It uses nothing but the pairs.
2. *Moderated*: the noise pooled over the run counts as ν₀ further degrees of freedom of σ, in both marginals alike.
   That is Smyth's moderated t (Statistical Applications in Genetics and Molecular Biology 3, 2004): exact where the
   variance of these pairs, over the pooled one, is drawn like ν₀/χ²(ν₀) times `INFLATION`². With ν₀ at most 8 the
   ratio of standard deviations is then 1.3 in the median and above 2.1 in one case out of twenty.

With n pairs of mean d̄ and sum of squares Q about it, S₀ = ν₀ s₀² (0 in the first), N = n + ν₀ and k = n + 1,
A = Q + S₀ + n d̄²/k, B = Q + S₀ + n d̄²:

    E = 2 T_N( d̄ n √(N / (k A)) ) k^(−1/2) (B/A)^(N/2)           T_N the t distribution function with N freedoms

*Proof.* Integrate σ out of both normal likelihoods: B^(−N/2) and k^(−1/2) A^(−N/2), up to one constant; the half-normal
doubles the share of the posterior of μ, a t with N degrees of freedom, that lies above zero. As a ratio of marginals
it is a martingale under the null marginal with E_0 = 1. An average of martingales is one, and Ville's inequality gives
the error. For μ < 0 shift every difference up by |μ|: Q stays, d̄ rises, and E rises in d̄ (the noncentral t has a
monotone likelihood ratio), so the path that is above 1/a without the shift is so with it. □

What it assumes: pairs are independent and normal. Dev noise need not be the holdout's: the first half does not use it,
and the second bears twice the standard deviation. `benchmarks/claims.py` has the error under noise that is
heavy-tailed, skewed, larger than pooled, and correlated. A test that holds for *every* σ cannot pass within two or
three pairs; that quickness is what the second half buys.

Over the run the error is controlled by `level`: Online Fallback (Tian and Ramdas, Statistical Methods in Medical
Research 30, 2021). Milestone k is given alpha/(k(k + 1)), which sums to alpha, and inherits the whole level of the one
before where that one passed. Proof: follow alpha as a mass. What a failed milestone used stays with it; what a passed
one used moves on. Up to the first false pass no mass has left a milestone whose null is true, so their levels sum to at
most alpha on every path, and each is passed with at most its level's probability given what came before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rsi.claims.input import check_finite, check_share
from rsi.claims.noise import PairNoise
from rsi.errors import UsageError
from rsi.records import Record

LEAST_PAIRS = 2
"""One pair alone never certifies."""
PRIOR_FREEDOM = 8.0
"""At most so many degrees of freedom are granted to the pooled noise, however well it is known: beyond them the doubt
is whether it is the noise of these pairs."""
INFLATION = 1.25
"""The pooled standard deviation is taken to be larger by this factor."""
SAME = 4
"""So many equal differences end the test: the seed changes nothing."""
_HOPE = 3.0
"""The pairs still to come are granted the mean so far and so many standard errors more."""
_LEAST_FOR_FUTILITY = 4
_NO_SPREAD = 1e-9


class MilestonePlan(Record):
    """What one milestone is allowed; fixed and recorded before its first pair."""

    level: float
    """Its share of the run's alpha, from `level`."""
    most_pairs: int
    """Pairs that the budget grants; without a pass by then it has failed."""
    noise: PairNoise | None = None
    """Of one paired difference, from trials that are not among the pairs; None: the pairs must tell by themselves."""

    @model_validator(mode="after")
    def _makes_sense(self) -> MilestonePlan:
        check_share(self.level, "The level of a milestone")
        if self.most_pairs < LEAST_PAIRS:
            raise UsageError(f"A milestone needs at least {LEAST_PAIRS} pairs; set more trials aside for it.")
        return self


class AnotherPair(Record):
    """Not decided: train both arms again under fresh shared seeds."""

    kind: Literal["another_pair"] = "another_pair"
    pairs: int = Field(default=1, ge=1)
    """At least so many are certainly needed; more may be under way side by side."""


class Passed(Record):
    """The incumbent is better, at the level of the plan."""

    kind: Literal["passed"] = "passed"
    pairs: int


class Failed(Record):
    """Not shown to be better. Why is for the record; only that it failed leaves the test."""

    kind: Literal["failed"] = "failed"
    pairs: int
    reason: Literal["no-pairs-left", "futile", "seed-changes-nothing"]


MilestoneStep = Annotated[AnotherPair | Passed | Failed, Field(discriminator="kind")]


def level(alpha: float, passed: Sequence[bool]) -> float:
    """The level of the next milestone, where `passed` tells of every milestone of the run before it, in order."""
    check_share(alpha, "alpha")
    inherited = 0.0
    for number, did_pass in enumerate(passed, start=1):
        inherited = inherited + alpha / (number * (number + 1)) if did_pass else 0.0
    number = len(passed) + 1
    return inherited + alpha / (number * (number + 1))


def next_step(plan: MilestonePlan, differences: Sequence[float]) -> MilestoneStep:
    """What follows from the pairs so far, in the order of their seeds; positive is better for the incumbent.

    More differences than were needed (pairs that ran side by side) do not undo what the earlier ones decided.
    """
    pairs = check_finite(differences, "The difference of pair")
    for number in range(1, len(pairs) + 1):
        decided = _decided(plan, pairs[:number])
        if decided is not None:
            return decided
    return AnotherPair(pairs=max(1, LEAST_PAIRS - len(pairs)))


def log_evidence(differences: Sequence[float], noise: PairNoise | None = None) -> float:
    """The logarithm of E after these pairs. Equal differences are no evidence over seeds: 0."""
    pairs = check_finite(differences, "The difference of pair")
    if len(pairs) < LEAST_PAIRS or not _spread(pairs):
        return 0.0
    mean, squares, prior = _summary(pairs, noise)
    return _combined(len(pairs), mean, squares, prior)


def _decided(plan: MilestonePlan, pairs: tuple[float, ...]) -> Passed | Failed | None:
    number = len(pairs)
    if log_evidence(pairs, plan.noise) >= -math.log(plan.level):
        return Passed(pairs=number)
    if number >= SAME and not _spread(pairs):
        return Failed(pairs=number, reason="seed-changes-nothing")
    if number >= plan.most_pairs:
        return Failed(pairs=number, reason="no-pairs-left")
    if number >= _LEAST_FOR_FUTILITY and _futile(plan, pairs):
        return Failed(pairs=number, reason="futile")
    return None


def _spread(pairs: Sequence[float]) -> bool:
    return max(pairs) - min(pairs) > _NO_SPREAD * max(map(abs, pairs))


def _futile(plan: MilestonePlan, pairs: tuple[float, ...]) -> bool:
    """Whether the test would fail even if each pair to come were three standard errors above the mean so far.

    Stopping for futility can only lower the error: it turns possible passes into failures.
    """
    if not _spread(pairs):
        return False
    number = len(pairs)
    mean, squares, prior = _summary(pairs, plan.noise)
    hoped = mean + _HOPE * math.sqrt(squares / (number - 1) / number)
    spread = squares / (number - 1)
    for total in range(number + 1, plan.most_pairs + 1):
        more = total - number
        shifted = (number * mean + more * hoped) / total
        between = number * more / total * (hoped - mean) ** 2
        if _combined(total, shifted, squares + between + (more - 1) * spread, prior) >= -math.log(plan.level):
            return False
    return True


def _summary(pairs: Sequence[float], noise: PairNoise | None) -> tuple[float, float, tuple[float, float]]:
    """Mean and sum of squares of the pairs, and (sum of squares, degrees of freedom) that the pooled noise counts for.

    All in units of the largest of them, so that no square overflows; the evidence does not depend on the unit.
    """
    unit = max(*map(abs, pairs), noise.standard_deviation if noise is not None else 0.0)
    scaled = [value / unit for value in pairs]
    mean = math.fsum(scaled) / len(scaled)
    squares = math.fsum((value - mean) ** 2 for value in scaled)
    if noise is None:
        return mean, squares, (0.0, 0.0)
    freedom = min(noise.freedom, PRIOR_FREEDOM)
    return mean, squares, (freedom * (INFLATION * noise.standard_deviation / unit) ** 2, freedom)


def _combined(number: int, mean: float, squares: float, prior: tuple[float, float]) -> float:
    alone = _log_ratio(number, mean, squares, 0.0)
    if not prior[1]:
        return alone
    moderated = _log_ratio(number, mean, squares + prior[0], prior[1])
    larger, smaller = max(alone, moderated), min(alone, moderated)
    return larger + math.log1p(math.exp(smaller - larger)) - math.log(2)


def _log_ratio(number: int, mean: float, squares: float, freedom: float) -> float:
    """The logarithm of E of the module's docstring; `squares` is Q + S₀."""
    from scipy.special import stdtr  # noqa: PLC0415 - scipy is imported when a claim is reckoned

    total, shrink = number + freedom, number + 1.0
    under_alternative = squares + number * mean**2 / shrink
    under_null = squares + number * mean**2
    above_zero = float(stdtr(total, mean * number * math.sqrt(total / (shrink * under_alternative))))
    return (
        math.log(2 * max(above_zero, 1e-300))
        - math.log(shrink) / 2
        + total / 2 * math.log(under_null / under_alternative)
    )
