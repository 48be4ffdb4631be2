"""Redaction: a secret is gone in every form it is commonly written in, and nothing else is."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rsi.redaction import Redactor, is_secret_value

SECRETS = st.text(min_size=8, max_size=40).map(str.strip).filter(is_secret_value)
SECRET = 'sk-Ab"1/2+3\\4 5=='


@given(secret=SECRETS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_secret_is_gone_from_text_and_bytes(secret: str, before: str, after: str) -> None:
    redactor = Redactor({"API_KEY": secret})
    assume("[redacted" not in before + secret + after and secret not in before + after)
    text = redactor.text(before + secret + after)
    assert text.count("[redacted API_KEY]") == 1
    assert secret not in text.replace("[redacted API_KEY]", "\0")
    data = redactor.data((before + secret + after).encode())
    assert data.decode().count("[redacted API_KEY]") == 1


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        repr(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower().replace("sk-ab", "sk-Ab"),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
        *(base64.b64encode(user + SECRET.encode() + b":x").decode() for user in (b"u:", b"me:", b"you:")),
        "Basic " + base64.b64encode(b"user:" + SECRET.encode()).decode(),
    ],
)
def test_every_common_spelling_is_found(form: str) -> None:
    redactor = Redactor({"API_KEY": SECRET})
    assert "[redacted API_KEY]" in redactor.text(f"a {form} b")
    assert b"[redacted API_KEY]" in redactor.data(f"a {form} b".encode())
    assert "[redacted API_KEY]" in json.dumps(redactor.value({"x": [form]}))


@given(prefix=st.binary(max_size=5), suffix=st.binary(max_size=5))
def test_base64_of_a_secret_among_other_bytes_keeps_almost_nothing_of_it(prefix: bytes, suffix: bytes) -> None:
    secret = "sk-0123456789-abcdefghij"
    redacted = Redactor({"TOKEN": secret}).text(base64.b64encode(prefix + secret.encode() + suffix).decode())
    left, right = redacted.split("[redacted TOKEN]")
    # What may remain on either side: the neighbours and one character shared with them.
    assert len(left) <= len(prefix) * 8 / 6 + 1
    assert len(right) <= len(suffix) * 8 / 6 + 5


def test_only_variables_with_a_secret_name_count() -> None:
    environment = {
        "OPENAI_API_KEY": "sk-aaaa1111bbbb",
        "GitHub_Token": "ghp_2222cccc",
        "DB_PASSWORD": "hunter2-hunter2",
        "MY_SECRET": "s3cr3t-value ",
        "CREDENTIALS": "cred:0123abc",
        "HOME": "/home/somebody-else",
        "LANG": "en_US.UTF-8",
    }
    text = Redactor.from_environment(environment).text(" ".join(environment.values()))
    assert text.split() == [
        "[redacted",
        "OPENAI_API_KEY]",
        "[redacted",
        "GitHub_Token]",
        "[redacted",
        "DB_PASSWORD]",
        "[redacted",
        "MY_SECRET]",
        "[redacted",
        "CREDENTIALS]",
        "/home/somebody-else",
        "en_US.UTF-8",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "short",
        "disabled",
        "experiment",
        "true",
        "20261121",
        "0.0123456",
        "aaaaaaaaaaaa",
        "/home/somebody/.ssh/id_rsa",
        "        ",
    ],
)
def test_a_value_that_would_wreck_the_record_is_left_alone(value: str) -> None:
    text = f"an experiment disabled on 20261121 with 0.0123456 {value} /home/somebody/.ssh/id_rsa"
    assert Redactor({"X_KEY": value}).text(text) == text


def test_fields_that_name_a_secret_are_redacted_whatever_they_hold() -> None:
    value = {"api_key": "x", "headers": {"Authorization": "Bearer 1", "X-Api-Key": "2"}, "client_secret": "3"}
    assert Redactor.none().value(value) == {
        "api_key": "[redacted api_key]",
        "headers": {"Authorization": "[redacted Authorization]", "X-Api-Key": "[redacted X-Api-Key]"},
        "client_secret": "[redacted client_secret]",
    }


def test_fields_of_the_record_itself_are_not_taken_for_secrets() -> None:
    value = {"input_tokens": 5, "unit": "tokens", "key": "ab" * 32, "keyword": "x", "randomness": "cd" * 32, "token": 7}
    assert Redactor.none().value(value) == value


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=10,
    )
)
def test_without_secrets_nothing_changes(value: object) -> None:
    assert Redactor.none().value(value) == value
    assert Redactor({"KEY": "not-in-there-42"}).value(value) == value


def test_a_longer_secret_is_not_broken_up_by_a_shorter_one_within_it() -> None:
    redactor = Redactor({"A_KEY": "abcd-1234", "B_KEY": "abcd-1234-efgh"})
    assert redactor.text("abcd-1234-efgh abcd-1234") == "[redacted B_KEY] [redacted A_KEY]"


def test_a_secret_within_a_key_and_within_bytes_that_are_no_text_is_found() -> None:
    redactor = Redactor({"A_KEY": "abcd-1234"})
    assert redactor.value({"x abcd-1234": 1}) == {"x [redacted A_KEY]": 1}
    assert redactor.data(b"\xff\x00abcd-1234\xfe") == b"\xff\x00[redacted A_KEY]\xfe"


def test_an_environment_value_that_is_no_utf8_is_found_in_bytes() -> None:
    secret = b"abcd\xff\xfe1234"
    assert Redactor({"A_KEY": secret.decode("utf-8", "surrogateescape")}).data(b"x" + secret) == b"x[redacted A_KEY]"
