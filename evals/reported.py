"""The ungrounded verifier: takes the number that the training code printed about itself, and is marked as such."""

from __future__ import annotations

import math
import re

from evals.asking import AsksNothing
from rsi.configuration import Options
from rsi.evidence import Evidence
from rsi.records import Finding, Measurement, Rejected, Scored, Severity, Verdict
from rsi.task import TaskSpec


class Reported(AsksNothing):
    """The last `metric: value` line that training printed. Good for wrapping what exists, worth nothing as proof."""

    name = "reported"
    grounded = False

    def __init__(self, metric: str) -> None:
        self.metric = metric

    @classmethod
    def options_for(cls, spec: TaskSpec) -> Options:
        """To believe what training prints of that task's objective."""
        return {"metric": spec.objective.metric}

    def verify(self, evidence: Evidence) -> Verdict:
        """Scored with the candidate's own word, and a finding that says so; Rejected where no number was printed."""
        value, line = self._last_value(evidence.training_stdout)
        if value is None:
            return Rejected(reason=f"training printed no line of the form `{self.metric}: NUMBER`")
        if not math.isfinite(value):
            return Rejected(reason=f"training printed {value} for {self.metric}, which is not a finite number")
        finding = Finding(
            severity=Severity.NOTICE,
            code="ungrounded",
            message=f"{self.metric} is what the candidate printed; nobody else measured it",
            pointer=f"stdout:{line}",
        )
        return Scored(measurements=(Measurement(name=self.metric, value=value),), findings=(finding,))

    def _last_value(self, stdout: bytes) -> tuple[float | None, int]:
        """The number on the last line that begins with the metric's name, and that line's number."""
        # A number has bounded length, so that no line makes the expression, or float(), slow.
        number = r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,4})?|[+-]?(?:nan|inf(?:inity)?)"
        pattern = re.compile(
            rf"\s{{0,40}}{re.escape(self.metric)}\s{{0,40}}[:=]\s{{0,40}}({number})(?![\w.])", re.IGNORECASE
        )
        lines = stdout.decode("utf-8", "replace").splitlines()
        for index in range(len(lines) - 1, -1, -1):
            found = pattern.match(lines[index])
            if found:
                return float(found[1]), index + 1
        return None, 0
