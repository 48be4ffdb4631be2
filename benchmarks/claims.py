"""What the claims can do and what they cost, by simulation with fixed seeds. Prints JSON.

    python benchmarks/claims.py [--quick]

milestones.error     share of false passes at level 0.05 with 40 pairs at most, looked at after every pair
milestones.pairs     pairs until a pass: median and ninth decile, and the share that passed within 40
milestones.oracle    median pairs of a test that knows gain and variance, for a gain of 1 and unpaired seeds
run.false_claims     share of runs with any false pass, over five milestones each, three of them without a gain
estimate.coverage    of the 95% interval from fresh pairs, after a pass
correlation.coverage of the 95% interval for the pairing's correlation
blame                true gain after taking back, as a share of what an oracle takes back would leave
attribution          for kept edits as a noisy search leaves them: listed share of the positive gain, false discoveries

The seed noise of one trial is 1; the run measured it with 20 degrees of freedom, from trials that share no seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rsi.claims.ablation import Answer, Asks, Removal, Trained, TryRemoval
from rsi.claims.attribution import LOOKS, REMOVED_SHARE, discoveries, least_squares
from rsi.claims.blame import BlamePlan, KeptEdit
from rsi.claims.blame import next_step as blame_step
from rsi.claims.estimate import estimate
from rsi.claims.milestone import MilestonePlan, Passed, level, next_step
from rsi.claims.noise import PairNoise, pairing

Floats = NDArray[np.float64]
FREEDOM = 20
PAIRS = 40

# --- milestones -----------------------------------------------------------------------------------------------


def pooled(generator: np.random.Generator) -> PairNoise:
    """What the run believes of a paired difference whose standard deviation is √2."""
    return PairNoise(standard_deviation=math.sqrt(2 * generator.chisquare(FREEDOM) / FREEDOM), freedom=FREEDOM)


def noises(generator: np.random.Generator) -> dict[str, Callable[[], Floats]]:
    """One run's noise of its paired differences, by name."""

    def skewed(share: float) -> Floats:
        return share * (generator.exponential(size=PAIRS) - 1) - (generator.exponential(size=PAIRS) - 1)

    return {
        "normal": lambda: math.sqrt(2) * generator.standard_normal(PAIRS),
        "half as noisy as pooled": lambda: math.sqrt(2) / 2 * generator.standard_normal(PAIRS),
        "1.5 times as noisy": lambda: math.sqrt(2) * 1.5 * generator.standard_normal(PAIRS),
        "twice as noisy": lambda: math.sqrt(2) * 2 * generator.standard_normal(PAIRS),
        "three times as noisy": lambda: math.sqrt(2) * 3 * generator.standard_normal(PAIRS),
        "heavy tails (t with 3)": lambda: math.sqrt(2 / 3) * generator.standard_t(3, PAIRS),
        "correlated pairs (0.5)": lambda: generator.standard_normal(PAIRS),
        "both arms skewed alike": lambda: skewed(1.0),
        "the candidate skewed, half of it in the other": lambda: skewed(0.5),
        "the candidate skewed, the other without noise": lambda: skewed(0.0),
    }


def milestone_errors(runs: int) -> dict[str, dict[str, float]]:
    """Share of false passes at level 0.05, with the pooled noise and without it."""
    generator = np.random.default_rng(1)
    found: dict[str, dict[str, float]] = {}
    for name, draw in noises(generator).items():
        found[name] = {}
        for known in (True, False):
            passed = 0
            for _ in range(runs):
                plan = MilestonePlan(level=0.05, most_pairs=PAIRS, noise=pooled(generator) if known else None)
                passed += isinstance(next_step(plan, draw()), Passed)
            found[name]["pooled" if known else "alone"] = round(passed / runs, 4)
    return found


def milestone_pairs(runs: int) -> list[dict[str, float]]:
    """Pairs until a pass, for gains in units of the seed noise."""
    generator, rows = np.random.default_rng(2), []
    for correlation in (0.0, 0.5):
        for alpha in (0.05, 0.025):
            for gain in (5.0, 3.0, 2.0, 1.0):
                pairs = []
                for _ in range(runs):
                    noise = pooled(generator)
                    known = noise.standard_deviation * math.sqrt(1 - correlation)
                    plan = MilestonePlan(
                        level=alpha,
                        most_pairs=PAIRS,
                        noise=PairNoise(standard_deviation=known, freedom=FREEDOM),
                    )
                    draws = gain + math.sqrt(2 * (1 - correlation)) * generator.standard_normal(PAIRS)
                    step = next_step(plan, draws)
                    pairs.append(step.pairs if isinstance(step, Passed) else math.inf)
                rows.append(
                    {
                        "gain_in_seed_noise": gain,
                        "correlation": correlation,
                        "level": alpha,
                        "median": float(np.median(pairs)),
                        "ninth_decile": float(np.quantile(pairs, 0.9, method="higher")),
                        "passed": float(np.mean(np.isfinite(pairs))),
                    }
                )
    return [{key: value if math.isfinite(value) else -1.0 for key, value in row.items()} for row in rows]


def oracle_pairs(runs: int) -> dict[str, float]:
    """Median pairs until Wald's test passes that knows the variance and a gain of one seed noise, by level."""
    gain = 1 / math.sqrt(2)
    paths = np.cumsum(gain + np.random.default_rng(6).standard_normal((runs, 4 * PAIRS)), axis=1)
    evidence = gain * paths - np.arange(1, 4 * PAIRS + 1) * gain**2 / 2
    return {
        f"{alpha:g}": float(np.median(np.argmax(evidence >= -math.log(alpha), axis=1) + 1)) for alpha in (0.05, 0.025)
    }


def run_errors(runs: int) -> float:
    """Share of runs with a false claim: three milestones without a gain among five, in random order."""
    generator, wrong = np.random.default_rng(3), 0
    for _ in range(runs):
        passed: list[bool] = []
        for gain in generator.permutation([0.0, 0.0, 0.0, 5.0, 5.0]):
            plan = MilestonePlan(level=level(0.05, passed), most_pairs=PAIRS, noise=pooled(generator))
            step = next_step(plan, gain + math.sqrt(2) * generator.standard_normal(PAIRS))
            passed.append(isinstance(step, Passed))
            if passed[-1] and gain == 0.0:
                wrong += 1
                break
    return wrong / runs


# --- estimates and noise --------------------------------------------------------------------------------------


def coverages(runs: int) -> dict[str, float]:
    """Of the estimate's interval, where the holdout is as noisy as pooled, and where it is noisier."""
    generator, found = np.random.default_rng(4), {}
    for ratio in (0.5, 1.0, 1.5, 2.0):
        for pairs in (3, 5, 10):
            inside = 0
            for _ in range(runs):
                interval = estimate(1 + ratio * math.sqrt(2) * generator.standard_normal(pairs), pooled(generator))
                assert interval.low is not None
                assert interval.high is not None
                inside += interval.low <= 1 <= interval.high
            found[f"{pairs} pairs, {ratio:g} times as noisy as pooled"] = round(inside / runs, 4)
    return found


def correlation_coverage(runs: int) -> dict[str, float]:
    """Of the pairing's interval: four arms of different sizes that share some seeds."""
    generator, found = np.random.default_rng(5), {}
    for correlation in (0.0, 0.3, 0.6, 0.9):
        inside = 0
        for _ in range(runs):
            shared = generator.standard_normal(8)
            arms = [
                {
                    seed: float(
                        math.sqrt(correlation) * shared[seed] + math.sqrt(1 - correlation) * generator.standard_normal()
                    )
                    for seed in seeds
                }
                for seeds in (range(8), range(5), range(2, 8), (0, 1, 7))
            ]
            interval = pairing(arms)
            assert interval is not None
            inside += interval.low <= correlation <= interval.high
        found[f"{correlation:g}"] = round(inside / runs, 4)
    return found


# --- blame ----------------------------------------------------------------------------------------------------


def blame(runs: int, trials: int = 40) -> list[dict[str, float]]:
    """Ten kept edits, of which three help by 1 on average, four do nothing and three harm; prior N(0.2, 1)."""
    rows = []
    for noise in (0.5, 1.0, 2.0, 4.0):
        before, after, best, used = [], [], [], []
        for run in range(runs):
            draws = random.Random(run)  # noqa: S311
            effects = [draws.expovariate(1) for _ in range(3)] + [0.0] * 4 + [-abs(draws.gauss(0, 1)) for _ in range(3)]
            draws.shuffle(effects)
            kept = tuple(KeptEdit(edit=number, mean=0.2, sd=1.0) for number in range(10))
            plan = BlamePlan(edits=kept, trials=trials, noise=noise, seed=run)
            answers: list[Answer] = []
            while isinstance(step := blame_step(plan, answers), Asks):
                for ask in step.asks:
                    if isinstance(ask, TryRemoval):
                        answers.append(Removal(ask=ask, applies=True))
                    else:
                        value = -sum(effects[edit] for edit in ask.edits) + noise * draws.gauss(0, 1)
                        answers.append(Trained(ask=ask, value=value))
            before.append(sum(effects))
            after.append(sum(effects) - sum(effects[edit] for edit in step.edits))
            best.append(sum(effect for effect in effects if effect > 0))
            used.append(step.trials)
        rows.append(
            {
                "seed_noise": noise,
                "gain_before": round(float(np.mean(before)), 3),
                "gain_after": round(float(np.mean(after)), 3),
                "oracle": round(float(np.mean(best)), 3),
                "trials": float(np.mean(used)),
            }
        )
    return rows


# --- attribution ----------------------------------------------------------------------------------------------


def effects_of(generator: np.random.Generator, count: int) -> Floats:
    """15% of edits help, exponentially with mean 1; 40% do nothing; 45% harm, half-normal with sd 4."""
    kind = generator.random(count)
    harm = -4 * np.abs(generator.standard_normal(count))
    return np.where(kind < 0.15, generator.exponential(size=count), np.where(kind < 0.55, 0.0, harm))


def kept_edits(generator: np.random.Generator, noise: float, count: int = 250) -> Floats:
    """Of `count` edits, each compared once with its parent, those whose posterior mean effect is positive."""
    effects, population = effects_of(generator, count), effects_of(generator, 20_000)
    seen = effects + math.sqrt(2) * noise * generator.standard_normal(count)
    weights = np.exp(-((seen[:, None] - population[None, :]) ** 2) / (4 * noise**2))
    return effects[(weights @ population > 0) & (seen > -2)]


def one_at_a_time(generator: np.random.Generator, effects: Floats, noise: float, trials: int) -> list[float]:
    """One-sided p-values with the same trials spent on each edit out alone, and on the incumbent."""
    each = trials // (len(effects) + 1)
    if each < 1:
        return [1.0] * len(effects)
    errors = noise * generator.standard_normal(len(effects) + 1) / math.sqrt(each)
    standard = (effects + errors[0] - errors[1:]) / (noise * math.sqrt(2 / each))
    return [0.5 * math.erfc(value / math.sqrt(2)) for value in standard]


def e_values(out: Floats, values: Floats, noise: float) -> Floats:
    """The half-normal mixture's e-value of each coefficient, at known noise: more than any valid test could know."""
    design = np.column_stack([np.ones(len(values)), -out])
    inverse = np.linalg.pinv(design.T @ design)
    mean, information = (inverse @ design.T @ values)[1:] / noise, 1 / np.diag(inverse)[1:]
    shrunk = mean * information / (1 + information)
    above = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in shrunk * np.sqrt(1 + information)])
    exponent = np.minimum(mean * information * shrunk / 2, 600.0)
    return np.asarray(2 * above * np.exp(exponent) / np.sqrt(1 + information))


def e_bh(evidence: Floats, rate: float) -> tuple[bool, ...]:
    """Wang and Ramdas (2022): the largest k with k e-values of at least K/(rate k)."""
    order = np.sort(evidence)[::-1]
    passing = [k for k in range(1, len(order) + 1) if order[k - 1] >= len(order) / (rate * k)]
    threshold = order[max(passing) - 1] if passing else math.inf
    return tuple(bool(value >= threshold) for value in evidence)


def attribution(runs: int) -> Iterator[dict[str, float | str]]:
    """Shares of the positive gain that is listed, and false discoveries, for three ways to spend the trials."""
    for noise in (0.5, 1.0, 2.0, 4.0):
        for trials in (150, 300, 600, 1200):
            generator = np.random.default_rng(int(10 * noise) + trials)
            shares: dict[str, list[float]] = {"regression": [], "regression, e-BH": [], "one at a time": []}
            false: dict[str, list[float]] = {name: [] for name in shares}
            counts = []
            for _ in range(runs):
                effects = kept_edits(generator, noise)
                if not (effects > 0).any():
                    continue
                counts.append(len(effects))
                out = (generator.random((trials, len(effects))) < REMOVED_SHARE).astype(float)
                values = noise * generator.standard_normal(trials) - out @ effects
                tests = [1.0 if effect is None else effect.p_value for effect in least_squares(out, values)]
                listed = {
                    "regression": discoveries(tests, 0.05 * LOOKS[-1][1]),
                    "regression, e-BH": e_bh(e_values(out, values, noise), 0.05),
                    "one at a time": discoveries(one_at_a_time(generator, effects, noise, trials), 0.05),
                }
                for name, chosen in listed.items():
                    which = np.array(chosen)
                    shares[name].append(float(effects[which].sum() / effects[effects > 0].sum()))
                    false[name].append(float((effects[which] <= 0).sum() / max(1, which.sum())))
            for name, of_gain in shares.items():
                yield {
                    "seed_noise": noise,
                    "trials": trials,
                    "how": name,
                    "kept_edits": round(float(np.mean(counts)), 1),
                    "gain_listed": round(float(np.mean(of_gain)), 3),
                    "false_discoveries": round(float(np.mean(false[name])), 4),
                }


def main() -> None:
    """Run all of it and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="a tenth of the runs, for a first look")
    share = 10 if arguments.parse_args().quick else 1
    figures = {
        "milestones": {
            "error": milestone_errors(3000 // share),
            "pairs": milestone_pairs(1000 // share),
            "oracle": oracle_pairs(5000),
        },
        "run": {"false_claims": run_errors(3000 // share)},
        "estimate": {"coverage": coverages(5000 // share)},
        "correlation": {"coverage": correlation_coverage(2000 // share)},
        "blame": blame(60 // share),
        "attribution": list(attribution(100 // share)),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
