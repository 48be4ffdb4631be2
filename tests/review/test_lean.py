"""Sharing what is equal changes nothing that is compared or shown."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from rsi.records import Observation, Provenance, Record
from rsi.review.lean import Lean

FLOATS = st.sampled_from([0.0, -0.0, 1.0, 1, True, 1.5, 2**53, float(2**53)])


class Holder(Record):
    """What holds several."""

    seen: tuple[Observation, ...]
    provenance: Provenance
    words: tuple[str, ...] = ()
    name: str = ""


def holder(value: float, other: float, words: tuple[str, ...]) -> Holder:
    seen = [
        Observation(trial="1.1", seed=1, measurements={"loss": value, "more": other}),
        Observation(trial="1.1", seed=1, measurements={"more": other, "loss": value}),
        Observation(trial="1.1", seed=1, measurements={"loss": other}),
    ]
    provenance = Provenance(proposer="0.0", cost_usd=abs(value) * (1 if other else -0.0))
    return Holder(seen=tuple(seen), provenance=provenance, words=words, name="-0.0")


@given(st.lists(st.tuples(FLOATS, FLOATS, st.sampled_from([(), ("a",), ("1.1", "0.0")])), min_size=1, max_size=12))
def test_a_shared_record_is_to_the_letter_what_it_was(made: list[tuple[float, float, tuple[str, ...]]]) -> None:
    lean = Lean()
    for parts in made:
        record = holder(*parts)
        before = json.dumps(record.model_dump(mode="json"))
        lean.share(record)
        assert json.dumps(record.model_dump(mode="json")) == before
