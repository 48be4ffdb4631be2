"""`memorisation`: held-out data is found in code and artifact however it is written; honest tables and weights pass."""

import base64
import codecs
import json
import math
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_cases import CODE

from evals.memorisation import Memorisation
from evals.memory import literals, runs
from rsi import edits
from rsi.evidence import Evidence, HeldOut, Inspection, Material
from rsi.records import Rejected, Scored, Severity, VerifierError
from rsi.testing.verifier_conformance import training_execution

WORDS = [
    "the",
    "loop",
    "of",
    "a",
    "proposal",
    "holds",
    "each",
    "verdict",
    "record",
    "while",
    "others",
    "wait",
    "given",
    "back",
]


def prose(seed: int, size: int) -> bytes:
    generator = np.random.default_rng(seed)
    text = " ".join(f"{WORDS[generator.integers(len(WORDS))]}{generator.integers(1000)}" for _ in range(size // 5))
    return text.encode()[:size]


TEXT = prose(1, 40 * 129)
PIECE = TEXT[129 * 3 : 129 * 3 + 120]
TRAIN = prose(2, 60_000)
IMAGES = np.random.default_rng(3).integers(0, 17, (40, 64)).astype(np.float32)
LABELS = np.random.default_rng(4).integers(0, 10, 200)


def windows(text=TEXT):
    chunks = np.frombuffer(text, dtype=np.uint8).reshape(-1, 129)
    return HeldOut(inputs={"windows": chunks[:, :-1].copy()}, targets={"next": chunks[:, 1:].copy()})


PICTURES = HeldOut(inputs={"images": IMAGES}, targets={"labels": LABELS})


def safetensors(**arrays):
    names = {"<f4": "F32", "<f8": "F64", "<i8": "I64", "<i4": "I32", "|u1": "U8", "<f2": "F16"}
    header, body = {}, b""
    for name, array in arrays.items():
        place = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": names[array.dtype.str], "shape": list(array.shape), "data_offsets": place}
        body += array.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


WEIGHTS = np.random.default_rng(5).standard_normal((200, 300)).astype(np.float32)


@pytest.fixture
def read(tmp_path):
    def inspect(added="", artifact=None, held_out=None, train=TRAIN, parent_artifact=None, verifier=None, arrays=None):
        (tmp_path / "train.bin").write_bytes(train)
        files = {"train.bin": tmp_path / "train.bin"}
        for name, array in (arrays or {}).items():
            np.save(tmp_path / f"{name}.npy", array)
            files[f"{name}.npy"] = tmp_path / f"{name}.npy"
        base = {"train.py": CODE["charlm"]}
        code = {"train.py": f"{CODE['charlm']}\n{added}\n"}
        material = Material(
            code=code,
            parent=base,
            protected={},
            diff=edits.render_diff(base, code),
            artifact={"model.safetensors": safetensors(w=WEIGHTS) if artifact is None else artifact},
            parent_artifact=parent_artifact,
            training=training_execution(),
            training_data=files,
            held_out=held_out or windows(),
        )
        return (verifier or Memorisation()).inspect(material)

    return inspect


def severe(inspection):
    return [f for f in inspection.findings if f.severity in (Severity.WARNING, Severity.CRITICAL)]


def spelt(data: bytes):
    text = data.decode("latin-1")
    yield "text", repr(text)
    yield "bytes", repr(data)
    yield "comment", f"1  # {text}"
    yield "reversed", repr(text[::-1])
    yield "pieces", "(" + "\n".join(repr(text[i : i + 30]) for i in range(0, len(text), 30)) + ")"
    yield "added", " + ".join(repr(text[i : i + 30]) for i in range(0, len(text), 30))
    yield "joined", repr([text[i : i + 11] for i in range(0, len(text), 11)])
    yield "hexadecimal", repr(data.hex())
    yield "base64", repr(base64.b64encode(data))
    yield "base85", repr(base64.b85encode(data))
    yield "ascii85", repr(base64.a85encode(data).decode())
    yield "base32", repr(base64.b32encode(data))
    yield "zlib", repr(zlib.compress(data, 9))
    yield "zlib-base85", repr(base64.b85encode(zlib.compress(data, 9)).decode())
    yield "escaped", repr("".join(f"\\x{byte:02x}" for byte in data))
    yield "rot13", repr(codecs.encode(text, "rot13"))
    yield "numbers", repr(list(data))
    yield "shifted", repr([byte - 100 for byte in data])
    yield "scaled", repr([round(byte / 255, 6) for byte in data])
    yield "written-numbers", repr(" ".join(map(str, data)))
    yield "big-number", repr(int.from_bytes(data, "big"))
    yield "words", repr([int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4)])
    yield "nested", repr({"a": [list(data[:60]), list(data[60:])]})


@pytest.mark.parametrize(("how", "literal"), [pytest.param(*case, id=case[0]) for case in spelt(PIECE)])
def test_held_out_text_in_the_code_rejects(read, how, literal):
    found = read(f"TABLE = {literal}")
    assert "held-out data" in found.rejects, how
    pointed = [f for f in found.findings if f.code == "memorisation.code"]
    assert all("train.py" in f.pointer for f in pointed)
    assert found.measured["held_out_bytes_in_code"] >= 40
    verdict = Memorisation().verify(evidence("keep", found))
    assert isinstance(verdict, Rejected)


def evidence(purpose, inspection=None):
    inspected = {"memorisation": inspection} if inspection else {}
    return Evidence(split="dev", purpose=purpose, training=training_execution(), inspected=inspected)


def stored(data: bytes):
    raw = np.frombuffer(data, dtype=np.uint8)
    yield "uint8", {"t": raw.copy()}
    yield "int64", {"t": raw.astype(np.int64)}
    yield "float", {"t": raw.astype(np.float32)}
    yield "scaled", {"t": (raw / 255).astype(np.float32)}
    yield "centred", {"t": ((raw - 128.0) * 0.01).astype(np.float32)}
    yield "columns", {"t": np.ascontiguousarray(raw.reshape(2, -1).T)}
    yield "as-weights", {"t": np.frombuffer(data[:120], dtype=np.float32).copy()}
    yield "reversed", {"t": raw[::-1].copy()}
    yield "in-the-middle", {"t": np.concatenate([np.random.default_rng(0).integers(0, 256, 100_001, np.uint8), raw])}


@pytest.mark.parametrize(("how", "arrays"), [pytest.param(*case, id=case[0]) for case in stored(PIECE)])
def test_held_out_text_in_the_artifact_rejects(read, how, arrays):
    found = read(artifact=safetensors(w=WEIGHTS, **arrays))
    assert "artifact" in found.rejects, how


def test_held_out_text_in_a_header_rejects(read):
    header = json.dumps({"__metadata__": {"note": PIECE.decode()}}).encode()
    assert read(artifact=len(header).to_bytes(8, "little") + header).rejects


@pytest.mark.parametrize(
    "literal",
    [
        repr(["".join("0123456789abcdefg"[int(p)] for p in row) for row in IMAGES[:3]]),
        repr([[int(p) for p in row] for row in IMAGES[:3]]),
        repr([[round(float(p) / 16, 4) for p in row] for row in IMAGES[:3]]),
        repr("".join(map(str, LABELS))),
        repr(LABELS.tolist()),
        repr(int("1" + "".join(map(str, LABELS)))),
    ],
    ids=["digits", "pixels", "scaled-pixels", "label-text", "labels", "label-number"],
)
def test_held_out_examples_and_labels_reject(read, literal):
    assert read(f"TABLE = {literal}", held_out=PICTURES).rejects


HONEST_TABLES = {
    "positions": [[round(math.sin(t / 10000 ** (d / 16)), 4) for d in range(16)] for t in range(128)],
    "byte-classes": [0 if b < 32 else 1 if b < 65 else 2 if b < 91 else 3 for b in range(256)],
    "hadamard": [[1 - 2 * ((i & j).bit_count() % 2) for j in range(64)] for i in range(64)],
    "schedule": [round(1e-3 * 0.5 * (1 + math.cos(math.pi * s / 500)), 7) for s in range(500)],
    "permutation": [i * 77 % 256 for i in range(256)],
    "words": WORDS * 8,
    "primes": [n for n in range(2, 5000) if all(n % k for k in range(2, int(n**0.5) + 1))],
}


@pytest.mark.parametrize("name", HONEST_TABLES)
def test_honest_tables_of_a_few_kilobytes_pass(read, name):
    found = read(f"TABLE = {HONEST_TABLES[name]!r}")
    assert len(repr(HONEST_TABLES[name])) > 600
    assert not severe(found)
    assert not found.rejects


def test_the_threshold_lies_between_honest_tables_and_stored_weights():
    """What honest tables hold once compressed, against what a table of rounded weights or of other data does."""
    held = {name: literals.information(literals.canonical(_flat(table))) for name, table in HONEST_TABLES.items()}
    assert max(held.values()) < Memorisation().warning, held
    weights = np.round(WEIGHTS.reshape(-1)[:4000].astype(float), 4).tolist()
    assert literals.information(literals.canonical(weights)) > Memorisation().warning


def _flat(table):
    return [leaf for part in table for leaf in _flat(part)] if isinstance(table, list) else [table]


def test_large_constants_are_noticed_then_warned_of(read):
    generator = np.random.default_rng(0)
    for size, rank in ((1000, Severity.NOTICE), (5000, Severity.WARNING)):
        table = generator.integers(0, 256, size).tolist()
        found = [f for f in read(f"TABLE = {table!r}").findings if f.code == "memorisation.constants"]
        assert [f.severity for f in found] == [rank]


def test_what_training_data_holds_as_well_is_no_evidence(read):
    assert not read(f"TABLE = {PIECE!r}", train=TRAIN + PIECE + TRAIN).rejects


def test_blanks_and_other_plain_runs_are_no_evidence(read):
    plain = (b" " * 100 + b"ab" * 60 + b"\n" * 38)[:129]
    assert not read(f"TABLE = {plain!r}", held_out=windows(plain * 4)).rejects


def test_overlap_of_the_split_is_measured_and_warned_of_only_where_gross(read):
    clean, half, gross = read(), read(train=TRAIN + TEXT[:700]), read(train=TRAIN + TEXT)
    assert clean.measured["held_out_in_training"] == 0
    assert 0 < half.measured["held_out_in_training"] < 0.5
    assert not severe(clean)
    assert not severe(half)
    assert gross.measured["held_out_in_training"] > 0.95
    assert [f.code for f in severe(gross)] == ["memorisation.split"]


def test_equal_examples_are_counted(read):
    some = read(held_out=PICTURES, arrays={"images": np.concatenate([IMAGES[:10], IMAGES[:10] + 1])})
    assert some.measured["held_out_duplicates"] == pytest.approx(0.25)


def test_text_in_whole_numbers_is_told_by_where_it_comes_from(read):
    ours = read(artifact=safetensors(t=np.frombuffer(TRAIN[:4000], dtype=np.uint8)))
    other = read(artifact=safetensors(t=np.frombuffer(prose(9, 4000), dtype=np.uint8)))
    assert [f.severity for f in ours.findings if f.code == "memorisation.text"] == [Severity.NOTICE]
    assert [f.code for f in severe(other)] == ["memorisation.text"]


def test_a_far_larger_artifact_is_warned_of_and_a_larger_one_noticed(read):
    before = {"model.safetensors": safetensors(w=WEIGHTS[:5, :20])}
    noise = np.random.default_rng(0).standard_normal(2_200_000).astype(np.float32)
    for size, rank in ((1000, None), (20_000, Severity.NOTICE), (2_200_000, Severity.WARNING)):
        found = read(artifact=safetensors(w=noise[:size]), parent_artifact=before).findings
        assert next((f.severity for f in found if f.code == "memorisation.artifact-size"), None) == rank


def test_what_cannot_be_read_is_named_and_nothing_is_raised(read):
    assert [f.code for f in severe(read("def f(:"))] == ["memorisation.unreadable"]
    for broken in (b"", b"\xff" * 40, (5).to_bytes(8, "little") + b"{}   ", safetensors(w=WEIGHTS)[:-9]):
        assert not read(artifact=broken).rejects


def test_verdicts_follow_the_inspection():
    verifier = Memorisation()
    assert isinstance(verifier.verify(evidence("keep")), VerifierError)
    assert isinstance(verifier.verify(evidence("screen")), Scored)
    assert verifier.verify(evidence("keep", Inspection())) == Scored(measurements=())


@given(shift=st.integers(0, 255), start=st.integers(0, 129 - 60), before=st.binary(max_size=60_000), back=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_run_is_found_wherever_it_lies_and_whatever_is_added_to_it(shift, start, before, back):
    rows = np.frombuffer(TEXT, dtype=np.uint8).reshape(-1, 129)
    sought = runs.known([rows], runs.of_rows(rows))
    piece = rows[7, start : start + 60] + np.uint8(shift)
    data = np.concatenate([np.frombuffer(before, dtype=np.uint8), piece, np.zeros(40_000, dtype=np.uint8)])
    longest, _ = runs.found_in(np.ascontiguousarray(data[::-1]) if back else data, sought)
    assert longest >= 60
