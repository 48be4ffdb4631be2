"""Derive again what the record claims of a proposer's program: what it left when it learned, what it answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rsi import artifact
from rsi import events as e
from rsi.programs.front import LEARNING, RANKING
from rsi.trial import failure_reason

Claim = tuple[str, str]
"""(kind of problem, sentence)."""
GetBlob = Callable[[str], bytes]


def learned(body: e.ProgramLearned, get_blob: GetBlob) -> Iterator[Claim]:
    """What it learned is what came out of the sandbox, and a reason not to use it is the execution's own."""
    left = {file.path: file.sha256 for file in body.execution.files}
    if not body.problem and body.artifact != left:
        yield "artifact", "what the program learned is not what came out of the sandbox"
    reason = failure_reason(body.execution, LEARNING)
    if reason and body.problem != reason:
        yield "program", "its problem is not that of its execution"
    kept = {path: get_blob(digest) for path, digest in body.artifact.items()}
    wrong = artifact.problem(kept) if kept else None
    if wrong:
        yield "artifact", f"what the program learned cannot be used: {wrong}"


def answered(body: e.ProgramAnswered, get_blob: GetBlob) -> Iterator[Claim]:
    """An answer is the file that came out of the sandbox, a number for each option; no answer has its reason.

    Whether its numbers choose anything, and which move that is, `rsi replay` derives, which knows the options.
    """
    reason = failure_reason(body.execution, RANKING)
    if reason and body.problem != reason:
        yield "program", "its problem is not that of its execution"
    if body.answer is None:
        if not body.problem:
            yield "program", "it has neither an answer nor a reason why there is none"
        return
    if len(get_blob(body.answer)) != 4 * body.options:
        yield "program", "its answer is not one number for each option"
    if [file.sha256 for file in body.execution.files] != [body.answer]:
        yield "program", "its answer is not the file that came out of the sandbox"
