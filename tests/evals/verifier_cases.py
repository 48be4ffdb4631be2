"""One conformance case for each shipped verifier."""

import numpy as np
from stand_in_models import english, honest

from evals.classification import Classification
from evals.language_model import LanguageModel
from evals.likelihood import CLIP_BITS, CLIP_NATS
from evals.reported import Reported
from rsi.evidence import HeldOut
from rsi.testing.verifier_conformance import VerifierCase


def digits(examples: int = 40) -> HeldOut:
    generator = np.random.default_rng(1)
    images = generator.uniform(0, 16, (examples, 64)).astype(np.float32)
    return HeldOut(inputs={"images": images}, targets={"labels": generator.integers(0, 10, examples)})


CASES = {
    "language-model": VerifierCase(
        verifier=LanguageModel(cuts=8),
        metric="val_bpb",
        bounds=(0.0, CLIP_BITS),
        held_out=english(20),
        answer=honest,
        reference={"loss": np.full((20, 24), 9.0, dtype=np.float32)},
    ),
    "classification": VerifierCase(
        verifier=Classification(classes=10),
        metric="val_nll",
        bounds=(0.0, CLIP_NATS + 1e-6),
        held_out=digits(),
        answer=lambda challenge: challenge.inputs["images"][:, :10],
    ),
    "reported": VerifierCase(
        verifier=Reported(metric="val_loss"),
        metric="val_loss",
        bounds=(1.25, 1.25),
        stdout=b"step 1 loss 9.0\nval_loss: 2.0\nval_loss: 1.25\nbye\n",
    ),
}
