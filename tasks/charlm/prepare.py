"""Text in, three parts out: training bytes, and dev and holdout windows that hardly repeat the training text.

In the sandbox this reads every file under `$RSI_IN/source` and writes to `$RSI_OUT`. By hand, `python prepare.py` reads
the interpreter's own documentation and writes `./data`; `python prepare.py FILE_OR_FOLDER` reads that text instead.

Documents (a topic of the documentation, or a section of a file) go to one part whole, by the hash of their name, so
that the same text always gives the same parts. No randomness anywhere.
"""

import ast
import hashlib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import numpy as np

WINDOW = 129
"""Bytes of a held-out window: 128 to read, and for each of them the byte that follows."""
WINDOWS = 256
"""Of dev and of holdout each, where the text is large enough."""
FEWEST_WINDOWS = 16
SHARE = 10
"""At most one byte in this many goes to dev, and one to holdout."""
RUN = 40
"""A run of this many bytes found in two parts counts as repeated text."""
SECTION = 4096
"""Bytes after which a file that is no documentation is cut into a further section, at the end of a paragraph."""
LONGEST_PARAGRAPH = 2048

Documents = dict[str, list[bytes]]


def main() -> None:
    """Read, split, write."""
    if "RSI_IN" in os.environ:
        source, out = Path(os.environ["RSI_IN"]) / "source", Path(os.environ["RSI_OUT"])
    else:
        source, out = Path(sys.argv[1]) if len(sys.argv) > 1 else interpreter_topics(), Path(__file__).parent / "data"
    documents = deduplicate(read_documents(source))
    train, held_out, count = split(documents)
    write(out, train, held_out, count, facts(documents))
    print(f"train {len(train)} bytes, dev and holdout {count} windows of {WINDOW} bytes each, in {out}")


def interpreter_topics() -> Path:
    """The documentation that comes with the interpreter, found without importing it."""
    spec = importlib.util.find_spec("pydoc_data.topics")
    if spec is None or spec.origin is None:
        sys.exit("This interpreter has no pydoc_data.topics; name a text: python prepare.py FILE_OR_FOLDER.")
    return Path(spec.origin)


# --- reading ---------------------------------------------------------------------------------------------------


def read_documents(source: Path) -> Documents:
    """Name of a topic or section → its paragraphs, for every text file there is."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    documents: Documents = {}
    for path in files:
        content = path.read_bytes()
        name = path.name if path == source else path.relative_to(source).as_posix()
        if b"\0" in content:
            print(f"{name} is left out: it holds zero bytes, so it is not text")
            continue
        topics = topics_of(content) if path.suffix == ".py" else None
        if topics is not None:
            documents |= {f"topic {topic}": paragraphs(text.encode()) for topic, text in topics.items()}
        else:
            documents |= sections(name, paragraphs(content))
    return documents


def topics_of(content: bytes) -> dict[str, str] | None:
    """The dictionary of a `pydoc_data/topics.py`, by its form: one literal called `topics`; None for other text."""
    if not re.search(rb"^topics = \{", content, re.MULTILINE):
        return None
    try:
        statements = ast.parse(content).body
        values = [ast.literal_eval(statement.value) for statement in statements if isinstance(statement, ast.Assign)]
    except (SyntaxError, ValueError):
        return None
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else None


def paragraphs(text: bytes) -> list[bytes]:
    """What blank lines separate; a paragraph beyond any reading length is cut."""
    blocks = re.split(rb"\n(?:[ \t]*\n)+", text.replace(b"\r\n", b"\n").strip(b"\n"))
    pieces = [
        block[start : start + LONGEST_PARAGRAPH]
        for block in blocks
        for start in range(0, len(block), LONGEST_PARAGRAPH)
    ]
    return [piece for piece in pieces if piece.strip()]


def sections(name: str, blocks: list[bytes]) -> Documents:
    """Consecutive paragraphs of one file, some `SECTION` bytes together."""
    documents: Documents = {}
    size = 0
    for block in blocks:
        documents.setdefault(f"file {name} {size // SECTION}", []).append(block)
        size += len(block)
    return documents


def deduplicate(documents: Documents) -> Documents:
    """Each paragraph once, in the first document that has it; white space does not make it another."""
    seen: set[bytes] = set()
    unique: Documents = {}
    for name, blocks in documents.items():
        for block in blocks:
            key = b" ".join(block.split())
            if key not in seen:
                seen.add(key)
                unique.setdefault(name, []).append(block)
    return unique


# --- splitting -------------------------------------------------------------------------------------------------


def split(documents: Documents) -> tuple[bytes, dict[str, bytes], int]:
    """Training bytes, the bytes of `dev` and `holdout`, and the number of windows in each of those."""
    texts = {name: b"\n\n".join(blocks) + b"\n\n" for name, blocks in documents.items()}
    total = sum(len(text) for text in texts.values())
    count = min(WINDOWS, total // (SHARE * WINDOW))
    if count < FEWEST_WINDOWS:
        sys.exit(
            f"The text holds {total} bytes once repeated paragraphs are dropped, too few to measure on; "
            f"name a text of at least {FEWEST_WINDOWS * SHARE * WINDOW} bytes."
        )
    order = sorted(texts, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    taken: set[str] = set()
    held_out = {part: take(texts, order, taken, count * WINDOW) for part in ("dev", "holdout")}
    known = {text[start : start + RUN] for text in held_out.values() for start in range(len(text) - RUN + 1)}
    kept = [block for name in order if name not in taken for block in documents[name] if not repeats(block, known)]
    return b"\n\n".join(kept) + b"\n", held_out, count


def take(texts: dict[str, bytes], order: list[str], taken: set[str], size: int) -> bytes:
    """The next documents in order that are not taken yet, up to so many bytes together; marks them as taken."""
    part = b""
    for name in order:
        # A document that would fill most of a part by itself would make the part speak of one thing only.
        if len(part) < size and name not in taken and len(texts[name]) <= max(size // 3, 2 * SECTION):
            part += texts[name]
            taken.add(name)
    if len(part) < size:
        sys.exit(
            f"The text cannot be split: {size} bytes of smaller documents are needed for dev and for holdout each, and "
            "there are not so many. Name a folder of several files, or a plain text."
        )
    return part[:size]


def repeats(block: bytes, known: set[bytes]) -> bool:
    """Whether some run of `RUN` bytes of a training paragraph stands in dev or holdout, word for word."""
    return any(block[start : start + RUN] in known for start in range(len(block) - RUN + 1))


# --- writing ---------------------------------------------------------------------------------------------------


def facts(documents: Documents) -> dict[str, object]:
    """What the record should know of the text."""
    state = hashlib.sha256()
    for name in sorted(documents):
        state.update(f"{name}\n".encode() + b"\n\n".join(documents[name]) + b"\0")
    size = sum(len(block) for blocks in documents.values() for block in blocks)
    return {"corpus_sha256": state.hexdigest(), "corpus_bytes": size, "documents": len(documents)}


def write(out: Path, train: bytes, held_out: dict[str, bytes], count: int, known: dict[str, object]) -> None:
    """The layout that the harness expects; dev and holdout look alike but for their content."""
    (out / "train").mkdir(parents=True, exist_ok=True)
    (out / "train" / "train.bin").write_bytes(train)
    for part, text in held_out.items():
        chunks = np.frombuffer(text, dtype=np.uint8).reshape(count, WINDOW)
        for folder, name, array in (("inputs", "windows", chunks[:, :-1]), ("targets", "next", chunks[:, 1:])):
            (out / part / folder).mkdir(parents=True, exist_ok=True)
            np.save(out / part / folder / f"{name}.npy", np.ascontiguousarray(array))
    sizes = {"train_bytes": len(train), "windows": count, "window_bytes": WINDOW}
    hashes = {f"{part}_sha256": hashlib.sha256(text).hexdigest() for part, text in held_out.items()}
    hashes["train_sha256"] = hashlib.sha256(train).hexdigest()
    (out / "manifest.json").write_text(json.dumps(known | sizes | hashes, indent=2) + "\n")


if __name__ == "__main__":
    main()
