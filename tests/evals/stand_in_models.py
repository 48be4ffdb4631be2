"""Small stand-ins for language models, as functions from a challenge to logits; and held-out data for them."""

import numpy as np

from rsi.evidence import Array, Challenge, HeldOut

WORDS = (b"the ", b"loop ", b"keeps ", b"what ", b"holds, ", b"and ", b"a ", b"verifier ", b"says ", b"so.\n")


def english(windows: int, length: int = 24, seed: int = 0) -> HeldOut:
    """Word salad, cut into windows of `length` bytes and the byte after each."""
    generator = np.random.default_rng(seed)
    need = windows * (length + 1)
    text = b"".join(WORDS[number] for number in generator.integers(len(WORDS), size=need))[:need]
    chunks = np.frombuffer(text, dtype=np.uint8).reshape(windows, length + 1)
    return HeldOut(inputs={"windows": chunks[:, :-1].copy()}, targets={"next": chunks[:, 1:].copy()})


def logits_of_bytes(bytes_seen: Array, seed: int = 0) -> Array:
    """Logits (…, 256) that depend on one byte (…,): what an honest bigram model says."""
    table = np.random.default_rng(seed).standard_normal((256, 256)).astype(np.float32)
    return table[bytes_seen]


def honest(challenge: Challenge) -> Array:
    """Causal, and with the rounding noise of another batch size: other noise for every shape."""
    logits = logits_of_bytes(challenge.inputs["windows"])
    noise = np.random.default_rng(len(logits)).uniform(-3e-5, 3e-5, logits.shape)
    return (logits + noise).astype(np.float32)


def peeking(boost: float, where: Array | None = None, distance: int = 1):
    """Looks `distance` bytes ahead and favours that byte by `boost` nats, at all positions or where a mask says."""

    def answer(challenge: Challenge) -> Array:
        windows = challenge.inputs["windows"]
        logits = logits_of_bytes(windows).copy()
        rows, positions = np.indices((len(windows), windows.shape[1] - distance))
        ahead = windows[:, distance:]
        applies = np.ones(ahead.shape, dtype=bool) if where is None else where[ahead]
        logits[rows, positions, ahead] += np.float32(boost) * applies
        return logits

    return answer
