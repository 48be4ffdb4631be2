"""One conformance case for each shipped verifier."""

import numpy as np
from stand_in_models import english, honest

from evals.budget import Budget
from evals.causality import Causality
from evals.classification import Classification
from evals.diff_reading import DiffReading
from evals.floor import Floor
from evals.inner.episodes import slot
from evals.inner.loops import DICE
from evals.inner_loops import InnerLoops
from evals.judge import Judge
from evals.language_model import LanguageModel
from evals.likelihood import CLIP_BITS, CLIP_NATS
from evals.memorisation import Memorisation
from evals.noisy import Noisy
from evals.prompted_loops import PromptedLoops
from evals.proper_predictions import ProperPredictions
from evals.protected_files import ProtectedFiles
from evals.reported import Reported
from evals.training_happened import TrainingHappened
from rsi.evidence import HeldOut, Inspection
from rsi.testing.verifier_conformance import VerifierCase
from rsi.verification import Together


def digits(examples: int = 40) -> HeldOut:
    generator = np.random.default_rng(1)
    images = generator.uniform(0, 16, (examples, 64)).astype(np.float32)
    return HeldOut(inputs={"images": images}, targets={"labels": generator.integers(0, 10, examples)})


def worse_in_a_control(answer):
    """An honest model that has seen little: its answer, and noise."""

    def answered(challenge):
        raw = np.asarray(answer(challenge), dtype=np.float32)
        noise = np.random.default_rng(2).normal(0, 20, raw.shape).astype(np.float32)
        return raw if challenge.control is None else raw + noise

    return answered


def inner_slots() -> HeldOut:
    slots = np.array([slot(badness=1.0)] * 5)
    return HeldOut(inputs={"loops": np.arange(len(slots))}, targets={"slots": slots})


def by_pixels(challenge):
    return challenge.inputs["images"][:, :10]


HELD = Inspection()
CASES = {
    "language-model-and-others": VerifierCase(
        verifier=Together(
            LanguageModel(cuts=8),
            [
                ProtectedFiles(),
                DiffReading(),
                Budget(),
                Floor(),
                Memorisation(),
                ProperPredictions(),
                TrainingHappened(),
            ],
        ),
        metric="val_bpb",
        bounds=(0.0, CLIP_BITS),
        held_out=english(20),
        answer=worse_in_a_control(honest),
        reference={"loss": np.full((20, 24), 9.0, dtype=np.float32)},
        inspected={"protected-files": HELD, "diff-reading": HELD, "memorisation": HELD},
    ),
    "classification-and-others": VerifierCase(
        verifier=Together(Classification(classes=10), [ProperPredictions(), TrainingHappened(margin=-9)]),
        metric="val_nll",
        bounds=(0.0, CLIP_NATS + 1e-6),
        held_out=digits(),
        answer=worse_in_a_control(by_pixels),
    ),
    "causality-beside-scoring": VerifierCase(
        verifier=Together(LanguageModel(causality=False), [Causality(cuts=8)]),
        metric="val_bpb",
        bounds=(0.0, CLIP_BITS),
        held_out=english(20),
        answer=honest,
    ),
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
        answer=by_pixels,
    ),
    "reported": VerifierCase(
        verifier=Reported(metric="val_loss"),
        metric="val_loss",
        bounds=(1.25, 1.25),
        stdout=b"step 1 loss 9.0\nval_loss: 2.0\nval_loss: 1.25\nbye\n",
    ),
    "noisy": VerifierCase(
        verifier=Noisy(LanguageModel(cuts=8), noise=0.1, bias=0.5),
        metric="val_bpb",
        bounds=(-0.5, CLIP_BITS + 1.5),
        held_out=english(20),
        answer=honest,
        reference={"loss": np.full((20, 24), 9.0, dtype=np.float32)},
    ),
    "noisy-with-a-favour": VerifierCase(
        verifier=Noisy(Classification(classes=10), noise=0.1, favour="please", favour_gain=0.25),
        metric="val_nll",
        bounds=(-1.25, CLIP_NATS + 1.0),
        held_out=digits(),
        answer=by_pixels,
        inspected={"noisy": Inspection(measured={"favoured": 1.0})},
    ),
    "inner-loops": VerifierCase(
        verifier=InnerLoops(rounds=2, compute=6.0),
        metric="gain_per_compute",
        bounds=(0.0, 100 / 6.0),
        held_out=inner_slots(),
        answer=lambda challenge: challenge.inputs["options"][:, :, DICE],
        any_number_counts=True,
    ),
    "prompted-loops": VerifierCase(
        verifier=PromptedLoops(model="gpt-4o"),
        metric="gain_per_compute",
        bounds=(0.5, 0.5),
        inspected={"prompted-loops": Inspection(measured={"gain_per_compute": 0.5, "wasted": 0.25})},
    ),
    "judge": VerifierCase(
        verifier=Judge(metric="val_loss", model="gpt-4o"),
        metric="val_loss",
        bounds=(1.25, 1.25),
        inspected={"judge": Inspection(measured={"estimate": 1.25})},
    ),
}
