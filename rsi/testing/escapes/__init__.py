"""The escape suite: bounded attempts to get out of a sandbox, each judged from outside.

An attempt that is stopped proves little by itself: it may be broken. So every attempt names what stops it, and a
sandbox's own test shows that it has its effect once just that is taken away.
"""

from rsi.testing.escapes import exhausting, leaving, reaching, rights
from rsi.testing.escapes.attempt import LOOK, Attempt, Protection
from rsi.testing.escapes.scene import Process, Scene

ATTEMPTS: tuple[Attempt, ...] = (*reaching.ATTEMPTS, *rights.ATTEMPTS, *exhausting.ATTEMPTS, *leaving.ATTEMPTS)
"""All of them, by distinct names."""

__all__ = ["ATTEMPTS", "LOOK", "Attempt", "Process", "Protection", "Scene"]
