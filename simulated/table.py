"""A study as a table that a person reads: a row a policy and noise, each number with its interval."""

from __future__ import annotations

from rich.table import Table

from simulated.study import Estimate, Results

COLUMNS = {
    "true_gain": "true gain",
    "of_greedy": "of greedy's",
    "certified_gain": "certified",
    "certified_of_true": "of true",
    "reported_minus_true": "reported less true",
    "false_claims": "false claims",
    "attributed_of_true": "listed of true",
    "attributed_idle": "listed idle",
    "provisional_minus_true": "provisional less true",
    "null_kept": "null kept",
    "trials_per_decision": "trials a decision",
}


def table(results: Results) -> Table:
    """Gains in multiples of the mean helpful effect, shares in percent; 95% intervals over runs in brackets."""
    shown = [name for name in COLUMNS if any(name in row.measured for row in results.rows)]
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("noise", "policy", *(COLUMNS[name] for name in shown)):
        found.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
    unit = results.study.surface.mean_help
    for row in results.rows:
        cells = (_cell(name, row.measured[name], unit) if name in row.measured else "" for name in shown)
        found.add_row(f"{row.level:g}x", row.policy, *cells)
    return found


def _cell(name: str, estimate: Estimate, unit: float) -> str:
    if name in {"false_claims", "null_kept", "certified_of_true", "attributed_of_true", "attributed_idle"}:
        scale, digits, sign = 100.0, 0, "%"
    elif name in {"of_greedy", "trials_per_decision"}:
        scale, digits, sign = 1.0, 2, ""
    else:
        scale, digits, sign = 1 / unit, 1, ""
    if estimate.value is None:
        return "none"
    text = f"{estimate.value * scale:.{digits}f}{sign}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} [{estimate.low * scale:.{digits}f}, {estimate.high * scale:.{digits}f}]"
