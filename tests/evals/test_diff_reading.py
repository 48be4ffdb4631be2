"""`diff-reading`: each class of cheat is named, however it is written; honest code is not."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_cases import CODE, HONEST, IN_PREDICT, IN_TRAINING, SWAPPED, edited

from evals.diff_reading import MOST_FINDINGS, DiffReading
from evals.reading import child
from rsi import edits
from rsi.evidence import Evidence, Inspection, Material
from rsi.proposers.mutation.child import discover, first_new
from rsi.records import Rejected, Scored, Severity, VerifierError
from rsi.testing.verifier_conformance import training_execution

CASES = [
    *((rule, f"train-{name}", {"at_train": code}) for rule, name, code in IN_TRAINING),
    *((rule, f"predict-{name}", {"at_predict": code, "before_main": "SEEN = []"}) for rule, name, code in IN_PREDICT),
    *((rule, f"swap-{name}", {"swap": swap}) for rule, name, swap in SWAPPED),
]


def new(code, parent):
    return child.read({"code": {"train.py": code}, "parent": {"train.py": parent}, "added": []})["new"]


def warned(code, parent):
    return {entry["rule"].removeprefix("reading.") for entry in new(code, parent) if entry["severity"] == "warning"}


def material(code, parent=None, diff=None):
    before = {"train.py": parent} if parent is not None else None
    return Material(
        code={"train.py": code},
        parent=before,
        protected={},
        diff=edits.render_diff(before or {}, {"train.py": code}) if diff is None else diff,
        artifact={},
        training=training_execution(),
        training_data={},
        held_out=None,
    )


@pytest.mark.parametrize(("rule", "change"), [(c[0], c[2]) for c in CASES], ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_names_the_class(rule, change):
    assert rule in warned(edited("charlm", **change), CODE["charlm"])


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_raises_no_warning(name):
    assert not warned(edited("charlm", **HONEST[name]), CODE["charlm"])


@pytest.mark.parametrize("task", CODE)
def test_the_tasks_themselves_raise_nothing(task):
    assert child.observations("train.py", CODE[task]) == []


@pytest.mark.parametrize("task", CODE)
def test_no_mutation_raises_a_warning(task):
    code = {"train.py": CODE[task]}
    moves = discover(code)
    assert len(moves) > 20
    kinds = {}
    for move in moves:
        kinds.setdefault((move["kind"], move["detail"].get("name")), []).append(move)
    for chosen in kinds.values():
        made = first_new({"code": code, "orders": [[chosen[-1]]], "tried": []})
        if made is not None:
            assert not warned(made["code"]["train.py"], CODE[task]), chosen[-1]


@given(name=st.sampled_from(["t", "clock_", "einmal", "_x9"]), wide=st.booleans(), case=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_other_names_and_another_layout_say_the_same(name, wide, case):
    gap = "\n\n\n" if wide else "\n"
    forms = [
        ("import time{}", "{}.time = {}lambda: 0.0"),
        ("import os{}", "{}.system({}'id')"),
        ("import sys{}", "{}._getframe({}0)"),
        ("import subprocess{}", "{}.run({}['id'])"),
    ]
    head, use = forms[case]
    module = head.split()[1].removesuffix("{}")
    plain = f"{head.format('')}\n{use.format(module, '')}\n"
    other = f"{head.format(f' as {name}')}{gap}{use.format(name, '' if case == 0 else gap if wide else '')}\n"
    told = [{(s.rule, s.severity, s.subject) for s in child.observations("x.py", text)} for text in (plain, other)]
    assert told[0] == told[1] != set()


def test_what_the_parent_has_is_not_told_again():
    cheat = edited("charlm", at_train="os.system('id')")
    assert not new(cheat, cheat)
    assert not new(cheat.replace("os.system('id')", "os.system(  'id'  )"), cheat)
    moved = edited("charlm", at_predict="os.system('id')")
    assert "process" not in warned(moved, cheat)
    twice = edited("charlm", at_train="os.system('id')\nos.system('id')")
    assert warned(twice, cheat) == {"process"}


def test_a_finding_points_into_the_diff_and_quotes_what_it_found():
    code = edited("charlm", at_train="os.system('id')  # \x1b[2J")
    found = DiffReading().inspect(material(code, CODE["charlm"]))
    line = next(n for n, text in enumerate(code.split("\n"), start=1) if "os.system" in text)
    process = next(f for f in found.findings if f.code == "reading.process")
    assert process.severity is Severity.WARNING
    assert process.pointer.endswith(f"(train.py:{line})")
    assert process.pointer.startswith("diff:")
    assert "os.system('id')" in process.message
    assert process.message.isascii()
    assert "\x1b" not in process.message
    assert found.rejects == ""


def test_code_that_cannot_be_read_is_a_finding():
    for hopeless in ("def f(:\n", "(" * 5000, "x = " + "-" * 20000 + "1\n", "\0"):
        found = DiffReading().inspect(material(hopeless, CODE["digits"], diff=""))
        assert [f.code for f in found.findings] == ["reading.unreadable"]
        assert found.findings[0].severity is Severity.WARNING


def test_reading_that_takes_too_long_is_a_finding():
    found = DiffReading(seconds=0.0).inspect(material(CODE["digits"], CODE["charlm"], diff=""))
    assert {f.code for f in found.findings} <= {"reading.unreadable"} or not found.findings


def test_many_findings_are_capped_and_counted():
    names = ("socket", "ssl", "http", "ftplib", "smtplib", "poplib", "imaplib", "xmlrpc", "pty", "subprocess", "ctypes")
    more = (
        "pickle",
        "marshal",
        "runpy",
        "atexit",
        "signal",
        "platform",
        "pwd",
        "grp",
        "shutil",
        "sqlite3",
        "dbm",
        "code",
    )
    lines = "\n".join(f"import {name}" for name in (*names, *more))
    found = DiffReading().inspect(material(edited("charlm", at_train=lines), CODE["charlm"])).findings
    assert len(found) == MOST_FINDINGS + 1
    assert found[-1].code == "reading.further"


def test_the_verdict_is_the_inspections_word():
    def evidence(**inspected):
        return Evidence(split="dev", purpose="screen", training=training_execution(), inspected=inspected)

    verifier = DiffReading()
    found = verifier.inspect(material(edited("charlm", at_train="os._exit(0)"), CODE["charlm"]))
    assert verifier.verify(evidence(**{"diff-reading": found})) == Scored(measurements=(), findings=found.findings)
    assert isinstance(verifier.verify(evidence()), VerifierError)
    no = Inspection(rejects="because")
    assert isinstance(verifier.verify(evidence(**{"diff-reading": no})), Rejected)
    assert json.loads(found.model_dump_json())["rejects"] == ""
