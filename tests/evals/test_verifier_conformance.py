"""Every shipped verifier runs the suite that a lab's own would."""

import pytest
from verifier_cases import CASES

from rsi import plugins
from rsi.protocols import Verifier
from rsi.testing.verifier_conformance import CHECKS
from rsi.verification import Together


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_keeps_the_contract(name, check):
    check(CASES[name])


@pytest.mark.parametrize("name", [name for name in CASES if name in plugins.names("verifiers")])
def test_is_registered_under_its_own_name(name):
    verifier = CASES[name].verifier
    assert plugins.load("verifiers", name) is type(verifier)
    assert verifier.name == name
    assert isinstance(verifier, Verifier)


def test_every_registered_verifier_is_put_through_the_suite():
    tested = set()
    for case in CASES.values():
        parts = (
            (case.verifier.first, *case.verifier.beside) if isinstance(case.verifier, Together) else (case.verifier,)
        )
        tested |= {part.name for part in parts}
    assert tested == set(plugins.names("verifiers"))
