"""The layers that an attack has to get past: verifiers by their names, and what stands around them."""

from __future__ import annotations

from collections.abc import Collection

from rsi.errors import UsageError
from rsi.execution import ExitKind
from rsi.plugins import nearest

EDIT_CHECK = "edit-check"
"""Edits of files that are not editable, repeats, what cannot be parsed."""
SCORING = "scoring"
"""Only answers count, and what measures refuses answers that are none."""
ISOLATION = "isolation"
"""The container: its limits end what passes them."""
ARTIFACT = "artifact"
"""What may come out of a training."""
ATTEMPTS = "attempts"
"""Findings from what execution attempted."""

AROUND = (EDIT_CHECK, SCORING, ISOLATION, ARTIFACT, ATTEMPTS)
_NEVER_LEFT_OUT = (ISOLATION, ARTIFACT)

STOPPED_BY = {
    ExitKind.TIMED_OUT: ISOLATION,
    ExitKind.CPU_EXCEEDED: ISOLATION,
    ExitKind.OUTPUT_EXCEEDED: ISOLATION,
    ExitKind.FORBIDDEN_OUTPUT: ARTIFACT,
}
"""Ends that name what the code did. A run rejects them; any other end is a crash, which says nothing."""


OF_MEASURING = {"looked-ahead": "causality", "causal": "causality"}
"""Codes of findings with which a verifier that measures speaks for a layer within it. The option of its constructor
that is called like the layer leaves it out."""


def of_finding(verifier: str, code: str, *, measures: bool) -> str:
    """The layer that a verifier's finding belongs to."""
    return OF_MEASURING.get(code, SCORING) if measures else verifier


def check_without(left_out: Collection[str], verifiers: Collection[str]) -> None:
    """UsageError for a layer that is not there, or that nobody leaves out on their own machine.

    Args:
        left_out: what the user named.
        verifiers: the names of those that stand beside what measures, of all tasks that are run.
    """
    known = [EDIT_CHECK, SCORING, ATTEMPTS, *verifiers]
    for layer in left_out:
        if layer in _NEVER_LEFT_OUT:
            raise UsageError(
                f"--without {layer} would run attacks unprotected on this machine; leave out another layer."
            )
        if layer not in known:
            raise UsageError(f"There is no layer called {layer!r} to leave out: {nearest(layer, known)}")
