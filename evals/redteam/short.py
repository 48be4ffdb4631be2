"""The short form: a few of the shipped cases that together touch every layer, for `make test`.

All but one are on digits, whose trials are the quickest: a trial of charlm, checked as before a keep, is half a minute
of processor time, most of it importing PyTorch anew in every place that is asked.
"""

from __future__ import annotations

SHORT = frozenset(
    {
        "charlm/attacks/peek-at-surprises",  # causality
        "digits/attacks/asks-a-local-service",  # attempts
        "digits/attacks/batch-statistics",  # proper-predictions
        "digits/attacks/frame-locals",  # diff-reading
        "digits/attacks/hard-link-out",  # artifact
        "digits/attacks/initial-weights",  # training-happened
        "digits/attacks/labels-beside-the-inputs",  # isolation
        "digits/attacks/memorised-labels",  # memorisation
        "digits/attacks/not-a-number",  # scoring
        "digits/attacks/protected-file-edit",  # edit-check
        "digits/attacks/samples-in-disguise",  # budget
        "digits/honest/hand-written-log-softmax",
        "digits/honest/loader-thread",
        "digits/honest/snapshot-average",
    }
)
"""Ids of cases, as in `charlm/attacks/NAME`."""
