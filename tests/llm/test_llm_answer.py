"""What is made of a model's answer, however it wraps its edit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsi.calls import Answer
from rsi.edits import CheckedEdit, check
from rsi.proposers.llm.answer import Outcome, Reading, read
from rsi.records import EditFormat

CODE = {"train.py": "A = 1\n\n\ndef go():\n    rate = 0.1\n    return rate\n"}
BLOCK = "train.py\n<<<<<<< SEARCH\nA = 1\n=======\nA = 2\n>>>>>>> REPLACE\n"
DIFF = "--- a/train.py\n+++ b/train.py\n@@ -1,1 +1,1 @@\n-A = 1\n+A = 2\n"
WHOLE = CODE["train.py"].replace("A = 1", "A = 2")


def answered(
    text: str, finish: str = "stop", form: EditFormat = EditFormat.SEARCH_REPLACE, editable: dict[str, str] = CODE
) -> Reading:
    return read(Answer(text=text, finish=finish, input_tokens=1, output_tokens=1), form, editable)


def applied(reading: Reading, code: dict[str, str] = CODE) -> dict[str, str]:
    assert reading.edit is not None, reading
    checked = check(reading.edit, code, tuple(code), 10_000)
    assert isinstance(checked, CheckedEdit), checked
    return checked.code


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        f"Kind: constant\nWhy: it helps.\n\n{BLOCK}",
        f"Sure!\n\n```python\n{BLOCK}```\nGood luck.",
        f"Here you are:\n\n**train.py**\n```\n{BLOCK.split(chr(10), 1)[1]}```",
        BLOCK.replace("\n", "\r\n"),
        "\n".join("    " + line for line in BLOCK.splitlines()[1:]),
        f"<think>maybe\n<<<<<<< SEARCH\nA = 1\n=======\nA = 99\n>>>>>>> REPLACE\n</think>\n{BLOCK}",
        DIFF,
        f"```diff\n{DIFF}```",
    ],
    ids=["plain", "headed", "fenced", "path above the fence", "CRLF", "indented", "thoughts", "a diff", "fenced diff"],
)
def test_an_edit_is_found_in_whatever_stands_around_it(text: str) -> None:
    assert applied(answered(text))["train.py"] == WHOLE


def test_a_block_at_another_depth_of_indentation_is_moved() -> None:
    text = "<<<<<<< SEARCH\nrate = 0.1\n=======\nrate = 0.2\n>>>>>>> REPLACE\n"
    assert "    rate = 0.2\n" in applied(answered(text))["train.py"]


def test_several_files_change_together() -> None:
    code = {"train.py": "A = 1\n", "model.py": "B = 1\n"}
    text = BLOCK + "\nmodel.py\n<<<<<<< SEARCH\nB = 1\n=======\nB = 3\n>>>>>>> REPLACE\n"
    assert applied(answered(text, editable=code), code) == {"train.py": "A = 2\n", "model.py": "B = 3\n"}


@pytest.mark.parametrize(
    "text",
    [
        f"train.py\n```python\n{WHOLE}```\n",
        f"Why: b\n\n`train.py`:\n\n```python\n{WHOLE}```\nThat is all.",
        f"```python train.py\n{WHOLE}```",
        f"```\n{WHOLE}```",
        f"train.py\r\n```python\r\n{WHOLE.replace(chr(10), chr(13) + chr(10))}```\r\n",
    ],
)
def test_a_whole_file_is_found_by_its_path(text: str) -> None:
    assert applied(answered(text, form=EditFormat.WHOLE_FILE)) == {"train.py": WHOLE}


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [
        ("", "stop", Outcome.EMPTY),
        (" \n\n", "stop", Outcome.EMPTY),
        ("<think>only thoughts", "stop", Outcome.EMPTY),
        (BLOCK, "length", Outcome.TRUNCATED),
        ("", "content_filter", Outcome.REFUSAL),
        ("I’m sorry, but I can’t help with that.", "stop", Outcome.REFUSAL),  # noqa: RUF001
        ("I cannot do this.", "stop", Outcome.REFUSAL),
        ("Raise the learning rate.", "stop", Outcome.NO_EDIT),
        ("```python\nA = 2\n```", "stop", Outcome.NO_EDIT),
    ],
)
def test_what_is_no_edit_has_a_name(text: str, finish: str, outcome: Outcome) -> None:
    reading = answered(text, finish)
    assert reading.outcome is outcome
    assert reading.edit is None
    assert reading.reason


def test_reason_and_kind_are_read_from_the_head_or_the_prose() -> None:
    reading = answered(f"**Kind:** Learning Rate\n**Why:** the loss still falls\n\n{BLOCK}")
    assert (reading.kind, reading.rationale) == ("learning_rate", "the loss still falls")
    prose = answered(f"A larger A is worth a try.\n\ntrain.py\n{BLOCK}")
    assert (prose.kind, prose.rationale) == ("edit", "A larger A is worth a try.")
    assert answered(BLOCK).rationale == "no reason given"


def test_a_reason_holds_no_control_characters_and_no_chat_marks() -> None:
    reading = answered(f"Why: \x1b[31mred\x1b[0m <|im_start|>system\u202e\n\n{BLOCK}")
    assert "\x1b" not in reading.rationale
    assert "<|" not in reading.rationale
    assert "\u202e" not in reading.rationale


@given(
    st.text(st.sampled_from(list("<=>`~-+@ \nSEARCHREPLACEtrain.py:aWhy\r\t\x00")), max_size=400),
    st.sampled_from(EditFormat),
)
def test_no_text_breaks_the_reading(text: str, form: EditFormat) -> None:
    reading = answered(text, form=form)
    assert (reading.edit is not None) == (reading.outcome is Outcome.EDIT)
