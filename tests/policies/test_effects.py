"""The learned prior over effects, and beliefs along the chain of keeps, against plain numerical integration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsi.policies.belief import Belief, after_child, child, error_of, estimate
from rsi.policies.effects import Effects
from rsi.policies.stopping import MORE, price, worth

ESTIMATES = st.floats(-20, 20)
ERRORS = st.floats(0.05, 5)


def numeric(effects: Effects, seen: float, error: float) -> tuple[float, float, float]:
    """Posterior mean, variance and expected positive part, by brute force on a fine grid."""
    edges = np.linspace(-150, 150, 30_001)
    middle = (edges[1:] + edges[:-1]) / 2
    weight = effects.cells(edges) * np.exp(-0.5 * ((middle - seen) / error) ** 2)
    spike = effects.weights[0] * math.exp(-0.5 * (seen / error) ** 2)
    total = weight.sum() + spike
    mean = (weight @ middle) / total
    return mean, (weight @ middle**2) / total - mean**2, (weight @ np.maximum(middle, 0)) / total


@settings(max_examples=25, deadline=None)
@given(seen=ESTIMATES, error=ERRORS)
def test_the_posterior_of_an_effect_is_what_integration_gives(seen: float, error: float) -> None:
    effects = Effects(1.0)
    found = effects.posterior(seen, error)
    mean, variance, helpful = numeric(effects, seen, error)
    tolerance = 2e-3 * (abs(seen) + error)
    assert found.mean == pytest.approx(mean, abs=tolerance)
    assert found.helpful == pytest.approx(helpful, abs=tolerance)
    assert math.sqrt(found.variance) == pytest.approx(math.sqrt(max(variance, 0)), abs=3e-2 * error)


@given(seen=ESTIMATES, error=ERRORS, more=st.floats(0.01, 5))
def test_a_greater_estimate_is_a_greater_effect(seen: float, error: float, more: float) -> None:
    effects = Effects(1.0)
    assert effects.posterior(seen + more, error).mean >= effects.posterior(seen, error).mean - 1e-9


@settings(deadline=None)
@given(seen=st.lists(st.tuples(ESTIMATES, ERRORS), max_size=8), factor=st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**30]))
def test_effects_are_learned_alike_in_any_units(seen: list[tuple[float, float]], factor: float) -> None:
    plain, scaled = Effects(1.0), Effects(factor)
    for effect, error in seen:
        plain, scaled = plain.after(effect, error), scaled.after(effect * factor, error * factor)
    assert scaled.weights == pytest.approx(plain.weights, rel=1e-9)
    assert plain.weights.sum() == pytest.approx(1.0)
    assert scaled.posterior(0.7 * factor, factor).mean == pytest.approx(plain.posterior(0.7, 1.0).mean * factor)


@pytest.mark.parametrize(("seen", "error"), [(1e60, 1e-60), (-1e60, 1e-60), (0.0, 1e-90), (1e-90, 1e90), (50.0, 0.01)])
def test_extreme_estimates_give_finite_posteriors(seen: float, error: float) -> None:
    found = Effects(1.0).after(seen, error).posterior(seen, error)
    assert math.isfinite(found.mean)
    assert math.isfinite(found.variance)
    assert found.variance >= 0


def test_what_helps_more_often_is_learned() -> None:
    random = np.random.default_rng(1)
    often, never = Effects(1.0), Effects(1.0)
    for _ in range(150):
        helps = random.random() < 0.5
        often = often.after(float(random.exponential(2.0) * helps + random.normal() * 0.5), 0.5)
        never = never.after(float(-random.exponential(2.0) * helps + random.normal() * 0.5), 0.5)
    helpful = slice(1, 1 + len(often.scales))
    assert 0.25 < often.weights[helpful].sum() < 0.6
    assert never.weights[helpful].sum() < 0.05


# --- beliefs ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    alone=st.lists(st.floats(-3, 3), max_size=4),
    pairs=st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), max_size=4),
    variance=st.floats(0.01, 4),
    rho=st.floats(0, 0.9),
)
def test_the_estimate_is_generalised_least_squares(
    alone: list[float], pairs: list[tuple[float, float]], variance: float, rho: float
) -> None:
    if not alone and not pairs:
        return
    noise, parent = 0.7, Belief(0.4, variance)
    found = estimate(parent, alone, pairs, noise, rho)
    # Unknowns (effect, parent); the belief is one more observation of the parent.
    rows = [(1.0, 1.0)] * len(alone) + [(1.0, 1.0 - rho)] * len(pairs) + [(0.0, 1.0)]
    seen = [*alone, *(c - rho * r for c, r in pairs), parent.value]
    variances = [noise**2] * len(alone) + [noise**2 * (1 - rho**2)] * len(pairs) + [variance]
    design, weights = np.array(rows), np.diag(1 / np.array(variances))
    covariance = np.linalg.inv(design.T @ weights @ design)
    effect, value = covariance @ design.T @ weights @ np.array(seen)
    assert found.effect == pytest.approx(effect, abs=1e-6)
    assert found.error == pytest.approx(math.sqrt(covariance[0, 0]), rel=1e-6)
    assert found.parent == pytest.approx(value, abs=1e-6)
    assert -found.slope == pytest.approx(covariance[0, 1] / covariance[0, 0], abs=1e-6)
    assert error_of(variance, len(alone), len(pairs), noise, rho) == pytest.approx(found.error)


def test_a_kept_childs_belief_shrinks_its_luck() -> None:
    parent = Belief(0.0, 0.1)
    effects = Effects(1.0)
    found = estimate(parent, [2.0], [], 1.0, 0.0)
    effect = effects.posterior(found.effect, found.error)
    kept = child(parent, found, effect)
    assert 0 < kept.gain < 1.0
    assert kept.value < 1.2
    assert kept.gain_variance > 0
    assert after_child(parent, found, effect).value > parent.value, "a lucky child speaks for its parent too"


def test_the_believed_gain_follows_what_is_learned_later() -> None:
    parent = Belief(0.0, 0.1)
    found = estimate(parent, [2.0], [], 1.0, 0.0)
    kept = child(parent, found, Effects(1.0).posterior(found.effect, found.error))
    disappointed = kept.measured([kept.value - 1.0] * 5, 1.0)
    assert disappointed.gain < kept.gain
    assert disappointed.variance < kept.variance


def test_children_cannot_talk_a_well_measured_parent_down() -> None:
    """Edits that all harm alike look, one by one, like a parent that is worth less."""
    parent = Belief(0.0, 1.0).measured([0.1, -0.1, 0.3, -0.3, 0.0], 1.0)
    effects = Effects(1.0)
    _, own_variance = parent.alone
    for _ in range(200):
        found = estimate(parent, [-1.5], [], 1.0, 0.0)
        parent = after_child(parent, found, effects.posterior(found.effect, found.error))
    assert parent.alone[1] == own_variance
    assert parent.value >= -3.0 * math.sqrt(own_variance) - 1e-12
    assert parent.variance >= 0.1 * own_variance
    assert abs(parent.measured([0.0] * 50, 1.0).alone[0]) < 0.1, "its own trials count as before"


# --- stopping -----------------------------------------------------------------------------------------------------


def taught(seed: int = 0) -> Effects:
    effects, random = Effects(1.0), np.random.default_rng(seed)
    for _ in range(60):
        effects = effects.after(float(random.normal() - 1), 1.0)
    return effects


@settings(deadline=None, max_examples=15)
@given(seen=st.floats(-4, 6), cost=st.floats(-0.3, 0.3), falls=st.floats(0.3, 0.95))
def test_information_is_worth_what_simulated_trials_bring(seen: float, cost: float, falls: float) -> None:
    effects, error = taught(), 1.0
    later = error * falls
    found = worth(effects, seen, error, cost, [later])[0]
    now = max(effects.posterior(seen, error).mean - cost, 0.0)
    assert found >= now - 5e-3 * (1 + abs(seen)), "information is never worth less than nothing"
    # The same by brute force: over what an independent estimate could say, the better of both decisions.
    gap = (later**-2 - error**-2) ** -0.5
    edges = np.linspace(-60, 60, 1201)
    middle = np.append((edges[1:] + edges[:-1]) / 2, 0.0)
    weight = np.append(effects.cells(edges), effects.weights[0]) * np.exp(-0.5 * ((middle - seen) / error) ** 2)
    weight /= weight.sum()
    points = np.linspace(-40, 40, 401)
    kernel = np.exp(-0.5 * ((points[None, :] - middle[:, None]) / gap) ** 2) / (gap * math.sqrt(2 * math.pi))
    brute = float(np.maximum((weight * (middle - cost)) @ kernel, 0).sum() * (points[1] - points[0]))
    assert found == pytest.approx(brute, abs=0.012 * (1 + abs(seen)))


def test_more_trials_are_worth_more_and_a_trial_has_a_price() -> None:
    effects = taught()
    errors = [math.sqrt(1 / n + 0.2) for n in (1, *(1 + more for more in MORE))]
    values = worth(effects, 0.5, errors[0], 0.0, errors[1:])
    assert values == sorted(values)
    assert price(effects, errors) > 0
    better_known = [math.sqrt(1 / n + 0.01) for n in (1, *(1 + more for more in MORE))]
    assert price(effects, better_known) > price(effects, errors), "a better known incumbent makes trials worth more"


def test_the_price_of_a_trial_is_what_fresh_candidates_gain_at_that_price() -> None:
    effects = taught()
    errors = [math.sqrt(1 / n + 0.2) for n in (1, *(1 + more for more in MORE))]
    found = price(effects, errors)
    seen = np.linspace(-8, 30, 381)
    centres = np.append(np.linspace(-60, 60, 2401)[1:] - 0.025, 0.0)
    prior = np.append(effects.cells(np.linspace(-60, 60, 2401)), effects.weights[0])
    likelihood = np.exp(-0.5 * ((seen[:, None] - centres) / errors[0]) ** 2) / (errors[0] * math.sqrt(2 * math.pi))
    density = likelihood @ prior
    best = np.array(
        [
            max(
                0.0,
                *(
                    value - found * more
                    for value, more in zip(worth(effects, one, errors[0], 0.0, errors), (0, *MORE), strict=True)
                ),
            )
            for one in map(float, seen)
        ]
    )
    assert float((density * best).sum() * (seen[1] - seen[0])) == pytest.approx(found, rel=0.05)
