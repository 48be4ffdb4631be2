"""When a recorded value and one derived again count as the same: exactly, but for the rounding of another processor."""

from __future__ import annotations

import math

from rsi.records import Rejected, Scored, Verdict
from rsi.statistics import Interval


def same_verdict(recorded: Verdict, derived: Verdict) -> bool:
    """Whether two verdicts say the same, but for what another processor's rounding does to a sum."""
    if recorded.kind != derived.kind or recorded.findings != derived.findings:
        return False
    if isinstance(recorded, Scored) and isinstance(derived, Scored):
        pairs = list(zip(recorded.measurements, derived.measurements, strict=False))
        return len(recorded.measurements) == len(derived.measurements) and all(
            a.name == b.name and close(a.value, b.value) and close(a.standard_error, b.standard_error) for a, b in pairs
        )
    return recorded == derived


def verdict_words(verdict: Verdict) -> str:
    """A verdict in half a sentence."""
    match verdict:
        case Scored():
            return ", ".join(f"{m.name} {m.value:.6g}" for m in verdict.measurements)
        case Rejected():
            return f"a rejection ({verdict.reason})"
        case _:
            return f"an error of the verifier ({verdict.message})"


def same_interval(a: Interval | None, b: Interval | None) -> bool:
    """Whether two intervals are the same, but for rounding."""
    if a is None or b is None:
        return a is b
    bounds = all(close(x, y) for x, y in ((a.estimate, b.estimate), (a.low, b.low), (a.high, b.high)))
    return bounds and (a.n, a.confidence, a.method) == (b.n, b.confidence, b.method)


def close(a: float | None, b: float | None) -> bool:
    """Whether two numbers are the same, but for rounding; None is only itself."""
    if a is None or b is None:
        return a is b
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
