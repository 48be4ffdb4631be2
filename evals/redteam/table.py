"""What the red team found, for people: a line for each case while it runs, then tables and the rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evals.redteam.results import CaseResult, Report
from rsi.review.wording import count, duration, number, one_line, safe, say
from rsi.statistics import Rate

STYLES = {
    "caught": "green",
    "neutralised": "cyan",
    "crashed": "yellow",
    "missed": "bold red",
    "passed": "green",
    "false_alarm": "bold red",
}
_WORDS = {"false_alarm": "false alarm"}
_RATES = ("beaten", "caught", "neutralised", "crashed", "missed", "false_alarms")


def progress(result: CaseResult, done: int, of: int) -> str:
    """One case that was just judged, as a line."""
    how = _WORDS.get(result.outcome, result.outcome)
    by = f" by {', '.join(result.layers)}" if result.layers else ""
    why = f": {result.reason}" if result.outcome in ("missed", "crashed", "false_alarm") else ""
    took = f" ({duration(result.seconds)})" if result.seconds else ""
    return one_line(f"[{done:>{len(str(of))}}/{of}] {result.task} {result.name}: {how}{by}{took}{why}", 300)


def render(report: Report, console: Console) -> None:
    """Tables on a terminal, one line a case elsewhere; then what it comes to."""
    attacks = [case for case in report.cases if not case.honest]
    honest = [case for case in report.cases if case.honest]
    if console.is_terminal:
        if attacks:
            console.print(_attacks(attacks))
        if honest:
            console.print(_honest(honest))
    else:
        for case in report.cases:
            say(console, _line(case))
    for line in _conclusions(report):
        say(console, line)


def _attacks(cases: Sequence[CaseResult]) -> Table:
    table = Table(title="Attacks", title_justify="left", expand=False)
    for heading in ("task", "attack", "kind", "expected", "outcome", "by", "score", "twin", "time"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("score", "twin", "time") else "left")
    for case in cases:
        table.add_row(
            *(safe(one_line(text)) for text in (case.task, case.name, case.kind, case.layer_expected)),
            Text(case.outcome, style=STYLES[case.outcome]),
            safe(one_line(", ".join(case.layers) if case.layers else case.reason)),
            *_numbers(case),
        )
    return table


def _honest(cases: Sequence[CaseResult]) -> Table:
    table = Table(title="Honest edits", title_justify="left", expand=False)
    for heading in ("task", "edit", "outcome", "why", "score", "time"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("score", "time") else "left")
    for case in cases:
        score, _, took = _numbers(case)
        outcome = Text(_WORDS.get(case.outcome, case.outcome), style=STYLES[case.outcome])
        table.add_row(
            *(safe(one_line(text)) for text in (case.task, case.name)), outcome, safe(case.reason), score, took
        )
    return table


def _numbers(case: CaseResult) -> tuple[str, str, str]:
    took = duration(case.seconds) if case.seconds else "-"
    return number(case.score, 0.001), number(case.twin, 0.001), took


def _line(case: CaseResult) -> str:
    """Fields in a fixed order, two spaces apart, for a pipe."""
    score, twin, took = _numbers(case)
    sort = "honest" if case.honest else "attack"
    outcome = _WORDS.get(case.outcome, case.outcome)
    by = ", ".join(case.layers) or "-"
    fields = (sort, case.task, case.name, outcome, f"by {by}", f"score {score}", f"twin {twin}", took, case.reason)
    return "  ".join(one_line(field) for field in fields)


def _conclusions(report: Report) -> Iterator[Text | str]:
    yield ""
    for name in _RATES:
        rate = report.rates[name]
        if rate.of:
            yield f"{name.replace('_', ' '):>13}  {_rate(rate)}"
    if report.layers:
        told = (f"{layer} {caught} ({report.alone[layer]} alone)" for layer, caught in _most_first(report.layers))
        yield f"     by layer  {', '.join(told)}"
    if report.without:
        yield f"      without  {', '.join(report.without)}"
    if report.skipped:
        yield f"  left out: {', '.join(report.skipped)}: their files cannot be written even without that check"
    if report.unfinished:
        yield f"{count(len(report.unfinished), 'case')} did not come to an end: {report.stopped}"
    wrong = [case.name for case in report.cases if case.outcome in ("missed", "crashed", "false_alarm")]
    if wrong:
        yield Text(one_line(f"It does not hold: {', '.join(wrong)}.", 2000), style="bold red")
    elif report.holds:
        parts = ("every attack was beaten",) * bool(report.attacks)
        parts += ("no honest edit raised an alarm",) * bool(report.honest)
        yield Text(f"It holds: {', and '.join(parts)}.", style="bold green")
    yield f"{count(len(report.cases), 'case')} in {duration(report.seconds)}."


def _most_first(layers: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(layers.items(), key=lambda item: (-item[1], item[0]))


def _rate(rate: Rate) -> str:
    share = "-" if rate.rate is None else f"{rate.rate:.1%}"
    interval = f"{rate.confidence:.0%} interval {rate.low:.1%} to {rate.high:.1%}"
    return f"{rate.count} of {rate.of}, {share} ({interval}, {rate.method})"
