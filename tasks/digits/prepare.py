"""scikit-learn's scanned 8 by 8 digits in, three parts out: training images and labels, dev, holdout.

In the sandbox this reads the table under `$RSI_IN/source` and writes to `$RSI_OUT`. By hand, `python prepare.py` reads
the copy that comes with scikit-learn (found, not imported) and writes `./data`. A row's part is decided by the hash of
the row, so the same table always gives the same parts.
"""

import gzip
import hashlib
import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np

HELD_OUT = 300
"""Rows of dev and of holdout each."""
PIXELS = 64


def main() -> None:
    """Read, split, write."""
    if "RSI_IN" in os.environ:
        source, out = Path(os.environ["RSI_IN"]) / "source", Path(os.environ["RSI_OUT"])
    else:
        source, out = installed_table(), Path(__file__).parent / "data"
    rows = read_rows(source)
    parts = split(rows)
    for part, chosen in parts.items():
        table = np.array([line.split(b",") for line in chosen], dtype=np.int64)
        write(out, part, table[:, :PIXELS].astype(np.float32), table[:, PIXELS])
    facts = {"corpus_sha256": hashlib.sha256(b"\n".join(rows)).hexdigest()}
    sizes = {f"{part}_examples": len(chosen) for part, chosen in parts.items()}
    (out / "manifest.json").write_text(json.dumps(facts | sizes, indent=2) + "\n")
    print(", ".join(f"{part} {len(chosen)} examples" for part, chosen in parts.items()), f"in {out}")


def installed_table() -> Path:
    """The file of digits that comes with scikit-learn."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        sys.exit("The digits come with scikit-learn, which is not installed: pip install scikit-learn.")
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"


def read_rows(source: Path) -> list[bytes]:
    """Distinct lines of 64 pixels (0 to 16) and a label, compressed or not, in the order of their hashes."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    rows: set[bytes] = set()
    for path in files:
        content = path.read_bytes()
        rows.update((gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content).split())
    good = [row for row in rows if row.count(b",") == PIXELS]
    if len(good) != len(rows) or len(good) < 4 * HELD_OUT:
        sys.exit(
            f"The table must hold at least {4 * HELD_OUT} different rows of {PIXELS} pixels and a label, and nothing "
            f"else; {len(good)} of its {len(rows)} rows are such."
        )
    return sorted(good, key=lambda row: hashlib.sha256(row).hexdigest())


def split(rows: list[bytes]) -> dict[str, list[bytes]]:
    """Rows in the order of their hashes → the three parts."""
    return {"dev": rows[:HELD_OUT], "holdout": rows[HELD_OUT : 2 * HELD_OUT], "train": rows[2 * HELD_OUT :]}


def write(out: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Training files lie side by side; held-out inputs and targets lie apart, because only inputs leave the host."""
    for folder, name, array in (("inputs", "images", images), ("targets", "labels", labels)):
        place = out / part if part == "train" else out / part / folder
        place.mkdir(parents=True, exist_ok=True)
        np.save(place / f"{name}.npy", array)


if __name__ == "__main__":
    main()
