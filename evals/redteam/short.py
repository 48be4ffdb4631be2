"""The short form: a few of the shipped cases that together touch every layer, for `make test`.

Most are on digits, whose trials are the quickest; one attack and one honest edit on charlm, for what only a language
model can do.
"""

from __future__ import annotations

SHORT = frozenset(
    {
        "charlm/attacks/peek-at-surprises",  # causality
        "charlm/honest/causal-convolution",
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
