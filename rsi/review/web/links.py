"""Where things are on a page, and how to get there: the same anchors in a report and in `rsi view`."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import quote

from rsi.review.findings import Found

_PLAIN = re.compile(r"[^A-Za-z0-9.]+")


class Links(Protocol):
    """Addresses of a run's pages; none is ever made of a run's own words, but for its name, which is quoted."""

    home: str
    findings: str
    integrity: str
    experiments: str
    """What stands before an experiment's number."""

    def experiment(self, number: int, anchor: str = "") -> str:
        """Of an experiment's page, or of an anchor on it."""
        ...


class ReportLinks:
    """Within one file."""

    home = "#overview"
    findings = "#findings"
    integrity = "#integrity"
    experiments = "#experiment-"

    def experiment(self, number: int, anchor: str = "") -> str:
        """Of an experiment's section, or of an anchor in it."""
        return f"#{anchor}" if anchor else f"#experiment-{number}"


class ViewLinks:
    """On the server of `rsi view`."""

    def __init__(self, run: str) -> None:
        base = f"/runs/{quote(run, safe='')}"
        self.home = base
        self.findings = f"{base}/findings"
        self.integrity = f"{base}/integrity"
        self.experiments = f"{base}/experiments/"

    def experiment(self, number: int, anchor: str = "") -> str:
        """Of an experiment's page, or of an anchor on it."""
        return f"{self.experiments}{number}" + (f"#{anchor}" if anchor else "")


def diff_anchor(experiment: int, line: int) -> str:
    """Of a line of an experiment's diff, from 1: `e3-diff-12`."""
    return f"e{experiment}-diff-{line}"


def execution_anchor(experiment: int, trial: str, stage: str) -> str:
    """Of an execution: `e3-t3.1-train`; names from the record are reduced to letters, digits and points."""
    return f"e{experiment}-t{_PLAIN.sub('-', trial[:40])}-{_PLAIN.sub('-', stage[:60])}"


def event_anchor(experiment: int | None, seq: int) -> str:
    """Of an event in an experiment's list of them: `e3-event-55`."""
    return f"e{experiment}-event-{seq}"


def where(found: Found) -> str:
    """The anchor that a finding points to, on its experiment's page; empty for one of the run as a whole."""
    if found.experiment is None:
        return ""
    place = found.place
    if place.diff_line:
        return diff_anchor(found.experiment, place.diff_line)
    if place.kind == "stream" and found.trial:
        # Numbered as in the stream that is named; the page shows both streams, in the order in which they came.
        stage = found.stage if found.stage not in {"verdict", "inspect"} else "train"
        return f"{execution_anchor(found.experiment, found.trial, stage)}-{place.file}-{place.line}"
    return event_anchor(found.experiment, found.seq)
