"""An edit that does nothing but move the random stream: it draws numbers and throws them away.

After every statement that seeds a random stream or makes a generator, one statement is added that draws from it. The
result differs from the parent's as another seed's would, so its difference is noise, and the true effect is zero. That
holds for code whose randomness is exchangeable over seeds and that does not read or rewrite its own text; code that
could (`exec`, `setattr`, a rebound `torch`) is left alone.
"""

from __future__ import annotations

from rsi import confined
from rsi.edits import render_diff
from rsi.records import CodeFiles, Edit, EditFormat

_SECONDS = 10.0


def null_edit(code: CodeFiles, seed: int) -> Edit | None:
    """A null edit of the code, another for another seed; None where no statement is known to seed a stream.

    The code is read in a confined child, which also checks the result: without the added statements its syntax tree is
    the one before.
    """
    try:
        new = confined.call("rsi.claims.null_edit_child:draw_and_drop", {"code": code, "seed": seed}, seconds=_SECONDS)
    except confined.TargetRaised:
        raise
    except confined.ConfinedError:
        return None
    if new is None:
        return None
    return Edit(format=EditFormat.UNIFIED_DIFF, text=render_diff(code, {**code, **new}))
