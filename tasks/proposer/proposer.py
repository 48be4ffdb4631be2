"""What to try next: a program that ranks the edits that a loop could make, given what came of earlier ones.

Two things are asked of any edited version:

- run as a script, it learns from past loops of other tasks, RSI_DATA/episodes.npy, float32 (E, H, 9), and leaves
  `model.safetensors` in RSI_OUT;
- imported, it offers `predict`, which a fresh process calls before every round of many loops at once.

As it is, it tries whatever the dice say. The switches and names below turn on what is written out further down.
"""

import os
from pathlib import Path

import numpy as np
import tensors

# --- in what order; a choice names an entry of the table below it -----------------------------------------------

ORDER = "uniform"
EXPLORATION = 1.0  # how much the dice weigh beside everything else
LUCKY = 8.0  # a gain above so many standard deviations of the noise counts as this
MEMORY = 12.0  # experiments after which a result weighs 1/e
BELIEF = 2.0  # so many experiments is what is believed beforehand worth

# --- what to make of what was tried, and how far to go ------------------------------------------------------------

FOLLOW_WHAT_PAID = False  # the same thing in the same direction again
TURN_AROUND = False  # the other way, where one way was worse
AVOID_NEIGHBOURS = False  # nothing near to what failed: the same thing in the same direction
LEAVE_WHAT_WAS_TRIED = False  # other things before the same one again
BOLD_STEPS = False  # far before near
CAREFUL_STEPS = False  # near before far
THRIFTY = False  # nothing that makes training dearer
EMPHASIS = 1.0  # how much all that weighs

# --- learning from other loops -----------------------------------------------------------------------------------

AIM = "useful"
SHRINKAGE = 30.0  # ridge penalty

# --- where things are; the harness sets these --------------------------------------------------------------------

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("RSI_DATA", HERE / "data" / "train"))
OUT = Path(os.environ.get("RSI_OUT", HERE / "artifact"))
BUDGET = int(os.environ.get("RSI_BUDGET", "40000"))  # experiments to learn from

# --- what the columns hold (docs/recursion.md) -------------------------------------------------------------------

KIND, ARM, DIRECTION, STEP, VALUE, CHOICE = range(6)  # of an option and of an experiment
AVAILABLE, DICE = 6, 7  # of an option
OUTCOME, GAIN, COST = 6, 7, 8  # of an experiment
KEPT, DISCARDED, FAILED = 1, 2, 3
WORST = -LUCKY / 2  # what a failure counts as
KIND_CLASSES = 27
CHOICE_CLASSES = 25  # and 0 for none
NOTHING = np.log(2e-9)  # a value below stands for 0
DEARER = (3, 4)  # width and depth: the kinds that make training dearer


class View:
    """What is known when the next move is chosen: for every option, which experiments were like it.

    `same[relation]` is (T, O, H): how much each experiment weighs for each option; `gain` (T, 1, H) is what it gained.
    """

    def __init__(self, options, history, done):
        options, history = options[..., :, None, :], history[..., None, :, :]
        real = history[..., OUTCOME] > 0
        number = np.cumsum(real, axis=-1)
        weight = real * np.exp((number - number[..., -1:]) / MEMORY)
        self.gain = np.clip(history[..., GAIN], -LUCKY, LUCKY)
        self.gain = np.where(history[..., OUTCOME] == FAILED, WORST, self.gain)
        arm = options[..., ARM] == history[..., ARM]
        along = way(options) == way(history)
        self.same = {
            "any": weight * np.ones_like(arm),
            "kind": weight * (options[..., KIND] == history[..., KIND]),
            "arm": weight * arm,
            "along": weight * arm * along,
            "against": weight * arm * ~along,
            "kept": weight * arm * along * (history[..., OUTCOME] == KEPT),
            "near": weight * arm * along * (history[..., OUTCOME] != KEPT),
        }
        self.options, self.done = options[..., 0, :], done

    def count(self, relation):
        """(T, O): how many experiments were like each option, older ones counting less."""
        return self.same[relation].sum(axis=-1)

    def mean(self, relation, gain=None, prior=0.0):
        """(T, O): what they gained on the average, drawn towards what is believed beforehand."""
        gain = self.gain if gain is None else gain
        weight = self.same[relation]
        return ((weight * gain).sum(axis=-1) + BELIEF * prior) / (weight.sum(axis=-1) + BELIEF)


def way(move):
    """Down, up or neither; for a choice or a switch each setting is a way of its own."""
    return move[..., DIRECTION] + 10 * move[..., CHOICE]


# --- orders ------------------------------------------------------------------------------------------------------


def uniform(view, _):
    """No order: the dice decide."""
    return 0.0 * view.options[..., KIND]


def learned(view, model):
    """What loops on other tasks lead one to expect: the belief that a loop begins with."""
    return features(view) @ model["weights"]


def by_kind(view, model):
    """The same, moved by what this loop gained with moves of the kind."""
    return view.mean("kind", np.maximum(view.gain, 0), learned(view, model))


def by_arm(view, model):
    """The same, moved by what this loop gained with the same thing in the same direction."""
    return view.mean("along", np.maximum(view.gain, 0), learned(view, model))


def thompson(view, model):
    """A draw from that belief, wide where little is known (Thompson, 1933)."""
    dice = np.clip(view.options[..., DICE], 1e-4, 1 - 1e-4)
    normal = np.log(dice / (1 - dice)) / 1.7  # nearly normal
    return by_arm(view, model) + EXPLORATION * normal / np.sqrt(1 + view.count("along"))


ORDERS = {"uniform": uniform, "learned": learned, "by_kind": by_kind, "by_arm": by_arm, "thompson": thompson}


def preferences(view, model):
    """(T, O): the order, the dice, and what the switches add."""
    step = np.minimum(np.abs(view.options[..., STEP]), 2)
    added = np.zeros_like(step)
    if FOLLOW_WHAT_PAID:
        added = added + 2 * view.count("kept")
    if TURN_AROUND:
        added = added - view.mean("against", np.minimum(view.gain, 0)) / 2
    if AVOID_NEIGHBOURS:
        added = added - view.count("near")
    if LEAVE_WHAT_WAS_TRIED:
        added = added - view.count("arm") / 2
    if BOLD_STEPS:
        added = added + step / 2
    if CAREFUL_STEPS:
        added = added - step / 2
    if THRIFTY:
        added = added - (np.isin(view.options[..., KIND], DEARER) & (view.options[..., DIRECTION] > 0)) / 2
    return ORDERS[ORDER](view, model) + EXPLORATION * view.options[..., DICE] + EMPHASIS * added


# --- learning ----------------------------------------------------------------------------------------------------

AIMS = {
    "useful": lambda gain: np.clip(gain, 0, LUCKY),
    "any_gain": lambda gain: (gain > 1).astype(np.float32),
    "signed": lambda gain: np.clip(gain, -2, LUCKY),
}


def features(view):
    """(T, O, F): the kind of move, from where and how far, and what came of moves like it."""
    kind = view.options[..., KIND].astype(int)
    direction = view.options[..., DIRECTION].astype(int) + 1
    kinds, step = np.eye(KIND_CLASSES)[kind], view.options[..., STEP]
    value = np.where(view.options[..., VALUE] > NOTHING, view.options[..., VALUE], 0)
    parts = [
        np.eye(3 * KIND_CLASSES)[3 * kind + direction],
        np.eye(CHOICE_CLASSES)[np.clip(view.options[..., CHOICE].astype(int), 0, CHOICE_CLASSES - 1)],
        kinds * np.abs(step)[..., None],
        kinds * (step**2)[..., None],
        kinds * (value * step)[..., None],
    ]
    for relation in ("kind", "arm", "along", "against", "kept", "near"):
        parts.append(view.count(relation)[..., None])
        parts.append(view.mean(relation)[..., None])
        parts.append(view.mean(relation, np.maximum(view.gain, 0))[..., None])
    parts.append(np.broadcast_to(np.asarray(view.done)[..., None], (*kind.shape, 1)))
    return np.concatenate(parts, axis=-1).astype(np.float32)


def learn(episodes):
    """Ridge regression from features to gain over all experiments of past loops → {"weights": (F,)}."""
    experiments = np.cumsum((episodes[..., OUTCOME] > 0).sum(axis=1))
    episodes = episodes[: max(1, int(np.searchsorted(experiments, BUDGET, side="right")))]
    length = episodes.shape[1]
    gram, moment = 0.0, 0.0
    for number in range(length):
        now = episodes[:, number]
        chosen = now[:, OUTCOME] > 0
        if not chosen.any():
            continue
        past = episodes[chosen, : max(1, number)] * (number > 0)
        view = View(now[chosen][:, None, :], past, np.full((int(chosen.sum()), 1), np.log1p(number)))
        x = features(view)[:, 0].astype(np.float64)
        gain = np.where(now[chosen, OUTCOME] == FAILED, WORST, now[chosen, GAIN])
        gram, moment = gram + x.T @ x, moment + x.T @ AIMS[AIM](gain)
    if np.ndim(gram) == 0:
        return {"weights": np.zeros(features_of_nothing(), dtype=np.float32)}
    weights = np.linalg.solve(gram + SHRINKAGE * np.eye(len(gram)), moment)
    return {"weights": weights.astype(np.float32)}


def features_of_nothing():
    """How many features there are."""
    view = View(np.zeros((1, 1, 9)), np.zeros((1, 1, 9)), np.zeros((1, 1)))
    return features(view).shape[-1]


# --- prediction --------------------------------------------------------------------------------------------------


def predict(artifact, inputs):
    """Preferences (T, O), float32: in each loop the highest one that is available is tried, NaN never.

    `inputs["options"]` is float32 (T, O, 8), `inputs["history"]` (T, H, 9), `inputs["situation"]` (T, 3); `artifact` is
    the folder with what was learned.
    """
    model = tensors.load(Path(artifact) / "model.safetensors")
    options, history = inputs["options"], inputs["history"]
    done = np.log1p(inputs["situation"][:, 1:2]) + 0 * options[..., KIND]
    return preferences(View(options, history, done), model).astype(np.float32)


if __name__ == "__main__":
    past = np.load(DATA / "episodes.npy", allow_pickle=False)
    model = learn(past)
    tensors.save(OUT / "model.safetensors", model)
    print(f"learned from {int((past[..., OUTCOME] > 0).sum())} experiments of {len(past)} loops")
