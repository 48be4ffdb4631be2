"""Why a move was made, in a sentence that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rsi.proposers.mutation.choice import components
from rsi.records import Brief, ExperimentStatus

_REASONS: dict[tuple[str, str] | str, str] = {
    ("learning_rate", "up"): "in a short training the loss still falls steeply when the budget ends",
    ("learning_rate", "down"): "steps that are too long keep the loss from settling",
    ("batch_size", "down"): "more, noisier steps learn more from a small budget than few exact ones",
    ("batch_size", "up"): "less noise in each gradient allows longer steps",
    ("width", "down"): "a smaller model learns faster from a small budget",
    ("width", "up"): "a wider model can fit more",
    ("depth", "down"): "fewer layers are easier to train in few steps",
    ("depth", "up"): "more layers can express more",
    ("betas", "down"): "a shorter memory follows the gradient sooner when there are few steps",
    ("betas", "up"): "a longer memory evens out noisy gradients",
    ("heads", "up"): "more heads can attend to more things at once",
    ("heads", "down"): "wider heads tell more positions apart",
    "betas": "the length of the optimiser's memory should fit the number of steps",
    "mlp_ratio": "the balance between attention and the position-wise part may be off",
    "schedule": "a gentle start allows a higher rate, and a falling rate settles at the end",
    "warmup": "a gentle start keeps the first, badly scaled steps from doing damage",
    "decay": "a rate that falls towards the end lets the weights settle",
    "clip": "one rare, large gradient should not undo many steps",
    "optimizer": "another rule of descent may suit this loss better",
    "eps": "it limits how far rarely used weights move",
    "activation": "another non-linearity may train faster",
    "normalisation": "scaling alone is cheaper than centring as well, and mostly as good",
    "norm_placement": "where the normalisation stands changes how the layers' scales develop",
    "initialisation": "the scale of the first weights decides how the first steps go",
    "output_initialisation": "each block should begin close to the identity",
    "bias": "biases beside a normalisation may be superfluous",
    "tying": "reading and writing a symbol can share what they learn about it",
    "shape": "at about equal cost the other balance of depth and width may learn faster",
    "weight_decay": "the pull towards zero should fit the length of the training",
    "dropout": "how much noise the activations bear depends on how often the data is seen",
    "regularisation": "it decides between fitting and generalising",
    "choice": "the table offers it, and it has not been tried on this code",
    "switch": "the other setting has not been tried on this code",
    "constant": "nobody knows that the present value is the best one",
}

_VERBS = {"up": "Raise", "down": "Lower"}


def sentence(moves: Sequence[dict[str, Any]], brief: Brief) -> str:
    """One move: what and why; several: both, joined."""
    if len(moves) > 1:
        first, *others = (what(move) for move in moves)
        joined = " and ".join([first, *(text[0].lower() + text[1:] for text in others)])
        return f"{joined}: each is worth trying, and they may help each other"
    move = moves[0]
    kind, direction = move["kind"], str(move["detail"].get("direction", ""))
    reason = _REASONS.get((kind, direction), _REASONS.get(kind, "it has not been tried on this code"))
    return f"{what(move)}: {_experience(move, brief) or reason}"


def what(move: dict[str, Any]) -> str:
    """The move itself in words, without why."""
    detail = move["detail"]
    kind, name, old, new = move["kind"], detail.get("name"), detail.get("from"), detail.get("to")
    verb = _VERBS.get(str(detail.get("direction", "")), "Change")
    special = {
        "schedule": f"Warm up over {detail.get('warmup', 0):.0%} of the steps, then let the learning rate fall ({new})",
        "tying": f"Tie the weights of {name}" if new == "tied" else f"Untie the weights of {name}",
        "bias": "Give every linear layer a bias" if new else "Drop the biases of the linear layers",
        "output_initialisation": f"Start the output projections at {'zero' if new == 'zero' else 'half their scale'}",
        "shape": f"Trade depth for width, {name} from {old} to {new}",
        "norm_placement": f"Normalise {new} instead of {old}",
    }
    if kind in special:
        return special[kind]
    if kind == "clip" and old is None:
        return f"Clip the gradient's norm at {new}"
    if kind == name == "decay":
        return f"Change how the learning rate falls from {old} to {new}"
    if name == kind and kind in ("optimizer", "activation", "normalisation"):
        return f"Use {new} instead of {old}"
    return f"{verb} {name} from {_number(old)} to {_number(new)}"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _experience(move: dict[str, Any], brief: Brief) -> str:
    """What the run has seen that speaks for it: the same thing moved the same way and kept."""
    detail = move["detail"]
    if "direction" not in detail:
        return ""
    for entry in reversed(brief.history):
        if entry.status is ExperimentStatus.KEPT:
            for part in components(entry):
                same = all(part["detail"].get(key) == detail.get(key) for key in ("name", "direction"))
                if same and part["kind"] == move["kind"]:
                    return f"the same direction paid in experiment {entry.experiment}"
    return ""
