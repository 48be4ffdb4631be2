"""Episodes in, three parts out: what a program may learn from, and from which families its inner tasks are drawn.

In the sandbox this reads every `.npy` file under `$RSI_IN/source` (arrays of past loops, see `docs/recursion.md`) and
writes to `$RSI_OUT`. By hand, `python prepare.py FILE_OR_FOLDER` writes `./data`. Dev is simulated by a third; the
holdout is real trainings alone, of families and difficulties that dev does not have.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np

COLUMNS = 9
"""Of a row of history: move, outcome, gain, cost."""
OUTCOMES = 4
LONGEST = 512
MOST = 1_000_000
"""Rows, padding included."""

FAMILIES = ("surface", "regression", "classification", "sequence", "digits")
# family, inputs, outputs, layers, difficulty, badness, interacting; and how many inner tasks are drawn from it.
DEV = (
    (("surface", 0, 0, 0, 0.0, 1.0, 0.5), 16),
    (("regression", 6, 1, 1, 0.1, 1.0, 0.0), 16),
    (("classification", 6, 4, 1, 0.25, 1.0, 0.0), 16),
)
HOLDOUT = (
    (("digits", 64, 10, 1, 0.5, 1.2, 0.0), 12),
    (("sequence", 3, 6, 1, 0.7, 1.2, 0.0), 12),
    (("regression", 10, 1, 2, 0.3, 1.2, 0.0), 12),
    (("classification", 8, 6, 2, 0.4, 1.2, 0.0), 12),
)


def main() -> None:
    """Read, check, write."""
    if "RSI_IN" in os.environ:
        source, out = Path(os.environ["RSI_IN"]) / "source", Path(os.environ["RSI_OUT"])
    elif len(sys.argv) > 1:
        source, out = Path(sys.argv[1]), Path(__file__).parent / "data"
    else:
        sys.exit("Name a file or folder of episodes: python prepare.py FILE_OR_FOLDER.")
    episodes = read_episodes(source)
    (out / "train").mkdir(parents=True, exist_ok=True)
    np.save(out / "train" / "episodes.npy", episodes)
    for part, families in (("dev", DEV), ("holdout", HOLDOUT)):
        slots = np.array([row_of(slot) for slot, count in families for _ in range(count)], dtype=np.float64)
        for folder, name, array in (("inputs", "loops", np.arange(len(slots))), ("targets", "slots", slots)):
            (out / part / folder).mkdir(parents=True, exist_ok=True)
            np.save(out / part / folder / f"{name}.npy", array)
    experiments = int((episodes[:, :, 6] > 0).sum())
    facts = {
        "episodes": len(episodes),
        "experiments": experiments,
        "episodes_sha256": hashlib.sha256(episodes.tobytes()).hexdigest(),
        "loops": sum(count for _, count in DEV),
    }
    (out / "manifest.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{len(episodes)} episodes with {experiments} experiments in {out}")


def row_of(slot: tuple) -> list[float]:
    """A family's row, its name as a number."""
    return [float(FAMILIES.index(slot[0])), *map(float, slot[1:])]


def read_episodes(source: Path) -> np.ndarray:
    """All arrays of episodes as one, (E, H, 9) float32; of different lengths, the shorter ones are padded."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*.npy") if path.is_file())
    arrays = [np.load(path, allow_pickle=False) for path in files]
    for path, array in zip(files, arrays, strict=True):
        fits = array.ndim == 3 and array.shape[2] == COLUMNS and array.shape[1] <= LONGEST
        if not fits or array.dtype.kind != "f" or not np.isfinite(array).all():
            sys.exit(f"{path.name} holds no episodes: finite numbers of shape (E, H, {COLUMNS}), H at most {LONGEST}.")
        outcomes = array[:, :, 6]
        if not np.isin(outcomes, np.arange(OUTCOMES)).all():
            sys.exit(f"{path.name} holds outcomes that are none; they are 0 to {OUTCOMES - 1}.")
    length = max((array.shape[1] for array in arrays), default=0)
    if not arrays or sum(len(array) for array in arrays) * length > MOST:
        sys.exit(f"Between one file and {MOST} rows of episodes, padded, can be used; name .npy files that hold some.")
    padded = [np.pad(array, ((0, 0), (0, length - array.shape[1]), (0, 0))) for array in arrays]
    return np.concatenate(padded).astype(np.float32)


if __name__ == "__main__":
    main()
