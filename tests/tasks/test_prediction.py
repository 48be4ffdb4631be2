"""Both sides of the prediction protocol."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from task_programs import predict

from rsi.evidence import Challenge
from rsi.prediction import MalformedAnswer, decode_array, encode_array, job_inputs, read_answer

CHALLENGE = Challenge(
    name="examples",
    inputs={"images": np.arange(6, dtype=np.float32).reshape(3, 2)},
    answer_shape=(3, 2),
    context={"labels": np.array([1, 0, 1])},
)
DOUBLE = 'import numpy as np\ndef predict(artifact, inputs):\n    return inputs["images"] * 2\n'


def exchange(code, folder, artifact=None, protected=None):
    done = predict(job_inputs({"train.py": code}, protected or {}, artifact or {}, CHALLENGE), folder)
    return done, {path.name: path.read_bytes() for path in (folder / "out").iterdir()}


def test_an_answer_comes_back_as_it_was_given(tmp_path):
    done, outputs = exchange(DOUBLE, tmp_path)
    assert done.returncode == 0, done.stderr
    answer = read_answer(outputs, CHALLENGE)
    np.testing.assert_array_equal(answer, CHALLENGE.inputs["images"] * 2)
    assert answer.dtype == np.float32


def test_context_stays_at_home():
    files = job_inputs({"train.py": DOUBLE}, {}, {"w.safetensors": b"w"}, CHALLENGE)
    assert sorted(files) == ["artifact/w.safetensors", "code/train.py", "inputs/images.npy", "request.json"]
    assert b"labels" not in b"".join(files.values())


def test_protected_files_win_over_the_candidates():
    files = job_inputs({"train.py": DOUBLE, "tensors.py": "evil"}, {"tensors.py": "good"}, {}, CHALLENGE)
    assert files["code/tensors.py"] == b"good"


def test_the_artifact_and_the_protected_files_are_there(tmp_path):
    code = "import helper, numpy as np\ndef predict(artifact, inputs):\n    return helper.read(artifact)\n"
    helper = "import numpy as np\ndef read(p):\n    return np.frombuffer((p / 'w').read_bytes(), 'f4').reshape(3, 2)\n"
    weights = np.arange(6, dtype=np.float32).tobytes()
    done, outputs = exchange(code, tmp_path, {"w": weights}, {"helper.py": helper})
    assert done.returncode == 0, done.stderr
    assert outputs["answer.bin"] == weights


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("inputs['images'][:2]", "returned shape (2, 2), asked for (3, 2)"),
        ("inputs['images'].T", "returned shape (2, 3), asked for (3, 2)"),
        ("np.zeros((3, 2), dtype=int)", "floating-point numbers, not int64"),
        ("np.zeros((3, 2), dtype=complex)", "floating-point numbers, not complex128"),
        ("None", "floating-point numbers, not object"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_wrong_answer_is_a_clear_error_and_no_file(tmp_path, returned, message):
    done, outputs = exchange(f"import numpy as np\ndef predict(artifact, inputs):\n    return {returned}\n", tmp_path)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert outputs == {}


@pytest.mark.parametrize(
    "returned", ["x.astype('f8')", "np.asfortranarray(x)", "x.astype('>f4')", "x.astype('f2')", "x.tolist()"]
)
def test_other_kinds_of_floats_are_cast(tmp_path, returned):
    code = f"import numpy as np\ndef predict(artifact, inputs):\n    x = inputs['images']\n    return {returned}\n"
    done, outputs = exchange(code, tmp_path)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read_answer(outputs, CHALLENGE), CHALLENGE.inputs["images"])


def test_what_is_too_large_for_float32_becomes_infinite(tmp_path):
    done, outputs = exchange(DOUBLE.replace("* 2", "* 1e300"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.isinf(read_answer(outputs, CHALLENGE)).any()


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "left no answer.bin"),
        ({"answer.bin": b"x" * 24, "more": b""}, "left 1 more file"),
        ({"answer.bin": b"x" * 23}, "holds 23 bytes instead of the 24"),
        ({"answer.bin": b"x" * 48}, "holds 48 bytes instead of the 24"),
    ],
)
def test_anything_but_one_file_of_that_length_is_malformed(outputs, message):
    with pytest.raises(MalformedAnswer, match=message):
        read_answer(outputs, CHALLENGE)


def test_values_are_not_looked_at():
    answer = read_answer({"answer.bin": np.full(6, np.nan, dtype="<f4").tobytes()}, CHALLENGE)
    assert np.isnan(answer).all()


DTYPES = st.sampled_from(["?", "|i1", "|u1", "<i2", "<u4", "<i8", "<f2", "<f4", "<f8"]).map(np.dtype)


@given(DTYPES.flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=3, min_side=0))), st.booleans())
def test_arrays_survive_the_trip_and_numpy_reads_them(array, fortran):
    array = np.asarray(array, order="F" if fortran else "C")
    again = decode_array(encode_array(array))
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
    np.testing.assert_array_equal(np.load(io.BytesIO(encode_array(array)), allow_pickle=False), array)


@given(arrays(np.float32, array_shapes(max_dims=3)), st.booleans())
def test_what_numpy_saves_can_be_decoded(array, fortran):
    stream = io.BytesIO()
    np.save(stream, np.asarray(array, order="F" if fortran else "C"))
    np.testing.assert_array_equal(decode_array(stream.getvalue()), array)


def npy(header: bytes, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"12345678"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 999999999999), }\n", b"1234"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 0), }\n"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n", b"1234"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", b"1234"),
        npy(b"(" * 5000),
        npy(b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", b"1234"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", b"1234") + b"more",
    ],
)
def test_what_is_no_plain_array_is_refused_before_anything_is_allocated(content):
    with pytest.raises(ValueError, match="array"):
        decode_array(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_array_or_a_value_error(content):
    for candidate in (content, npy(content)):
        try:
            decode_array(candidate)
        except ValueError:
            continue


def test_an_array_of_objects_is_not_stored():
    with pytest.raises(TypeError):
        encode_array(np.array([object()]))
