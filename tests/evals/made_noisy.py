"""Verifiers that runs on the fake sandbox name by this file."""

from evals.noisy import Noisy
from rsi.testing.fake_verifier import FakeVerifier


def noisy_fake(**dials: float | str) -> Noisy:
    """The fake sandbox's verifier with an error."""
    return Noisy(FakeVerifier(), **dials)
