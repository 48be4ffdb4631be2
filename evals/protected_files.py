"""What was mounted is what was hashed: the training's inputs, seen from outside, before and after.

The sandbox lists what it gave a training, hashed, and where it can looks at the same folder again when the last process
is gone. Code and protected files must be those of the frozen task and the commit, and nothing may have changed.

Proves that what was trained is what is on record. Does not prove what code did with it; where the folder could not be
looked at afterwards (a remote engine) it says so.
"""

from __future__ import annotations

import hashlib

from evals.asking import Reads
from rsi.course import Listing
from rsi.evidence import Inspection, Material, Purpose
from rsi.records import Finding, Severity


class ProtectedFiles(Reads):
    """Compares the files that lay in the sandbox with those on record."""

    name = "protected-files"
    grounded = True
    beside = True
    inspects_at: Purpose = "screen"
    of_code_alone = False

    def inspect(self, material: Material) -> Inspection:
        """Rejects where another file was given than is on record, or one was changed."""
        course = material.course
        if course is None or course.inputs is None:
            message = "nobody looked at what the training was given, so that it is as hashed is not known"
            return Inspection(findings=(_finding(Severity.NOTICE, "protected.unseen", message),))
        given, after = _digests(course.inputs), course.inputs_after
        wanted = {f"code/{path}": text for path, text in {**material.code, **material.protected}.items()}
        wrong = [path for path, text in sorted(wanted.items()) if given.get(path) != _digest(text.encode())]
        strange = sorted(path for path in given if path.startswith("code/") and path not in wanted)
        if wrong or strange:
            return _rejects(
                "protected.other", f"the training was given another {(wrong + strange)[0]} than is on record"
            )
        if after is None:
            message = "the inputs could not be looked at again after the training; that they are unchanged is not known"
            return Inspection(findings=(_finding(Severity.INFO, "protected.unseen", message),))
        changed = sorted(path for path in given | _digests(after) if given.get(path) != _digests(after).get(path))
        if changed or not after.complete:
            return _rejects("protected.changed", f"while it trained, {(changed or ['an input'])[0]} was changed")
        message = f"{len(given)} inputs are as they were hashed, before and after"
        return Inspection(findings=(_finding(Severity.INFO, "protected.held", message),))


def _digests(listing: Listing) -> dict[str, str]:
    return {seen.path: seen.sha256 or "" for seen in listing.files if seen.kind != "folder"}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _rejects(code: str, reason: str) -> Inspection:
    return Inspection(findings=(_finding(Severity.CRITICAL, code, reason),), rejects=reason)


def _finding(severity: Severity, code: str, message: str) -> Finding:
    return Finding(severity=severity, code=code, message=message, pointer="inputs")
