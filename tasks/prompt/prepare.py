"""Families in, two held-out parts out: from which families the inner tasks of a trial are drawn.

In the sandbox this reads the one `.toml` file under `$RSI_IN/source` and writes to `$RSI_OUT`. By hand, `python
prepare.py FILE` writes `./data`. Nothing is trained in A, so the training part says just that.
"""

import json
import os
import sys
import tomllib
from pathlib import Path

import numpy as np

FAMILIES = ("surface", "regression", "classification", "sequence", "digits")
COLUMNS = 7
MOST = 64
"""Inner tasks of a part: each is asked about in every round."""


def main() -> None:
    """Read, check, write."""
    if "RSI_IN" in os.environ:
        files, out = sorted((Path(os.environ["RSI_IN"]) / "source").glob("*.toml")), Path(os.environ["RSI_OUT"])
    elif len(sys.argv) > 1:
        files, out = [Path(sys.argv[1])], Path(__file__).parent / "data"
    else:
        sys.exit("Name a file of families: python prepare.py families.toml.")
    if len(files) != 1:
        sys.exit(f"There are {len(files)} files of families (.toml); give one.")
    parts = read_families(files[0])
    (out / "train").mkdir(parents=True, exist_ok=True)
    (out / "train" / "nothing.txt").write_text("Nothing is trained in this task.\n")
    for part, slots in parts.items():
        for folder, name, array in (("inputs", "loops", np.arange(len(slots))), ("targets", "slots", slots)):
            (out / part / folder).mkdir(parents=True, exist_ok=True)
            np.save(out / part / folder / f"{name}.npy", array)
    facts = {"loops": len(parts["dev"])}
    (out / "manifest.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(f"{len(parts['dev'])} inner tasks a part in {out}")


def read_families(path: Path) -> dict[str, np.ndarray]:
    """Part → its slots, (T, COLUMNS) float64; both parts have as many."""
    try:
        told = tomllib.loads(path.read_text())
        parts = {
            part: np.array(
                [row_of(entry["slot"]) for entry in told[part] for _ in range(int(entry["count"]))], dtype=np.float64
            )
            for part in ("dev", "holdout")
        }
    except (ValueError, TypeError, KeyError) as error:
        sys.exit(f"{path.name} holds no families ({type(error).__name__}: {error}); see the one that ships.")
    counts = {part: len(slots) for part, slots in parts.items()}
    whole = all(slots.shape[1:] == (COLUMNS,) and np.isfinite(slots).all() for slots in parts.values())
    if not whole or counts["dev"] != counts["holdout"] or not 2 <= counts["dev"] <= MOST:
        sys.exit(f"{path.name} must hold as many inner tasks for dev as for holdout, 2 to {MOST}, each {COLUMNS} wide.")
    return parts


def row_of(slot: list) -> list[float]:
    """A family's row, its name as a number."""
    return [float(FAMILIES.index(slot[0])), *map(float, slot[1:])]


if __name__ == "__main__":
    main()
