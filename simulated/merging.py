"""The three-way merge of simulated code, quickly: most changes are one line whose neighbours still stand together."""

from __future__ import annotations

from rsi.edits.transplant import merged as merge_fully
from rsi.records import CodeFiles

_START, _END = "\0start", "\0end"


def merged(before: CodeFiles, after: CodeFiles, onto: CodeFiles) -> CodeFiles:
    """`rsi.edits.transplant.merged`; that itself wherever the short way does not see at once how it ends."""
    code = {path: _one_place(before.get(path, ""), after.get(path, ""), text) for path, text in onto.items()}
    found = {path: text for path, text in code.items() if text is not None}
    return found if len(found) == len(code) else merge_fully(before, after, onto)


def _one_place(before: str, after: str, onto: str) -> str | None:
    """None unless what changed stands in `onto` between the same two lines, each of which is there once."""
    if before == after:
        return onto
    base, there, here = ([_START, *text.splitlines(keepends=True), _END] for text in (before, after, onto))
    shortest = min(len(base), len(there))
    start = next(at for at in range(shortest) if base[at] != there[at])
    tail = next((at for at in range(shortest - start) if base[-1 - at] != there[-1 - at]), shortest - start)
    old, new = base[start : len(base) - tail], there[start : len(there) - tail]
    above, below = base[start - 1], base[len(base) - tail]
    if any(lines.count(line) != 1 for lines in (base, here) for line in (above, below)):
        return None
    at = here.index(above) + 1
    if here[at : at + len(old) + 1] != [*old, below]:
        return None
    return "".join([*here[1:at], *new, *here[at + len(old) : -1]])
