"""What vouches for a record from outside: kept anchors, signatures, heads under a key, notes, image digests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Rsi, make_run

from rsi import anchors, heads
from rsi.configuration import Budget
from rsi.errors import EnvironmentFault, UsageError
from rsi.review import anchoring, notes
from rsi.review.beside import Outside
from rsi.review.verify import VerifyReport, verify
from rsi.session import resume
from rsi.testing.altering import Events, alter, find, load, store

KEY = "0f" * 7 + "3a91c4d2e8b75566"


def check(folder: Path, outside: Outside | None = None) -> VerifyReport:
    return verify(folder, verdicts=False, trust_paths=True, outside=outside)


@pytest.fixture(autouse=True)
def _nobody_kept_a_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the run came from another machine: only what a test brings along vouches for it."""
    monkeypatch.setenv("RSI_STATE", str(tmp_path / "elsewhere"))


def rewritten(folder: Path) -> None:
    """Another story, told without a contradiction: the whole chain hashed anew."""

    def change(events: Events) -> None:
        events[find(events, "experiment.proposed", experiment=3)]["body"]["rationale"] = "never said"

    alter(folder, change)


# --- anchors --------------------------------------------------------------------------------------------------------


def test_an_anchor_is_a_line_that_holds_until_the_record_changes(rsi: Rsi, run_folder: Path, tmp_path: Path) -> None:
    line = rsi("anchor", run_folder).out
    events = load(run_folder)
    assert line.startswith(f"rsi-anchor run={run_folder.name} events={len(events)} head={events[-1]['hash']} time=20")
    (tmp_path / "kept").write_text(f"kept on paper:\n{line}")
    for given in (line, tmp_path / "kept"):
        done = rsi("anchor", run_folder, "--check", given)
        assert (done.code, "borne out" in done.out) == (0, True)
    rewritten(run_folder)
    done = rsi("anchor", run_folder, "--check", line)
    assert done.code == 1
    assert f"written anew somewhere up to event {len(events) - 1}" in done.out
    assert rsi("verify", run_folder, "--anchor", line).code == 1


def test_a_cut_off_end_is_told_with_where_it_ends_now(rsi: Rsi, run_folder: Path) -> None:
    line = rsi("anchor", run_folder).out
    events = load(run_folder)
    store(run_folder, events[:-3])
    done = rsi("anchor", run_folder, "--check", line, "--json")
    report = json.loads(done.out)
    assert (done.code, report["schema"], report["ok"], report["events"]) == (1, 1, False, len(events) - 3)
    assert f"ends with event {len(events) - 4}: its end was cut off" in report["checked"][0]["sentence"]


def test_several_anchors_narrow_down_where_it_was_written_anew(rsi: Rsi, run_folder: Path, tmp_path: Path) -> None:
    events = load(run_folder)
    altered = find(events, "experiment.proposed", experiment=3)
    places = [altered - 5, altered - 1, altered + 4, len(events) - 1]
    lines = [f"rsi-anchor run={run_folder.name} events={n + 1} head={events[n]['hash']}" for n in places]
    (tmp_path / "kept").write_text("\n".join(lines))
    rewritten(run_folder)
    report = json.loads(rsi("anchor", run_folder, "--check", tmp_path / "kept", "--json").out)
    assert [one["holds"] for one in report["checked"]] == [True, True, False, False]
    assert f"between events {altered} and {altered + 4}" in report["checked"][2]["sentence"]


def test_an_anchor_as_json_is_checked_too(rsi: Rsi, run_folder: Path, tmp_path: Path) -> None:
    made = rsi("anchor", run_folder, "--json").out
    assert json.loads(made)["schema"] == 1
    (tmp_path / "kept.json").write_text(made)
    assert rsi("anchor", run_folder, "--check", tmp_path / "kept.json").code == 0


def test_an_anchor_of_another_run_does_not_hold(rsi: Rsi, run_folder: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", [("VALUE = 1.0", "VALUE = 2.0", "better")])
    done = rsi("anchor", run_folder, "--check", rsi("anchor", other).out)
    assert done.code == 1
    assert f"it is of the run {other.name}" in done.out


def test_an_anchor_can_be_kept_as_the_run_does(rsi: Rsi, run_folder: Path) -> None:
    assert anchors.read(run_folder.name) == ()
    assert rsi("anchor", run_folder, "--keep").code == 0
    assert [anchor.hash for anchor in anchors.read(run_folder.name)] == [load(run_folder)[-1]["hash"]]
    rewritten(run_folder)
    assert any(problem.kind == "anchor" for problem in check(run_folder).problems)


@pytest.mark.parametrize("given", ["", "nothing", "rsi-anchor run=x events=0 head=" + "0" * 64, '{"run": "x"}', "\0"])
def test_what_is_no_anchor_is_a_usage_error(given: str) -> None:
    with pytest.raises(UsageError, match="neither a file nor a line"):
        anchoring.load(given)


def test_a_head_of_a_broken_chain_is_not_given(rsi: Rsi, run_folder: Path) -> None:
    ledger = run_folder / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b"nearly there", b"nearly where"))
    done = rsi("anchor", run_folder)
    assert (done.code, done.out) == (1, "")
    assert "proves nothing" in done.err


# --- signatures -----------------------------------------------------------------------------------------------------


@pytest.fixture
def signers(tmp_path: Path) -> dict[str, Path]:
    """Keys of two people, and a file that allows one of them."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen here")
    for name in ("ann", "mallory"):
        key = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
    (tmp_path / "allowed").write_text(f"ann@lab {(tmp_path / 'ann.pub').read_text()}")
    return {"ann": tmp_path / "ann", "mallory": tmp_path / "mallory", "allowed": tmp_path / "allowed"}


@pytest.mark.long
def test_a_signed_anchor_holds_for_who_may_sign_and_for_nobody_else(
    rsi: Rsi, run_folder: Path, tmp_path: Path, signers: dict[str, Path]
) -> None:
    for name, code, words in (("ann", 0, "signed by ann@lab"), ("mallory", 1, "not signed by anyone who may")):
        text = rsi("anchor", run_folder, "--sign", signers[name]).out
        (tmp_path / "kept").write_text(text)
        done = rsi("anchor", run_folder, "--check", tmp_path / "kept", "--allowed-signers", signers["allowed"])
        assert (done.code, words in done.out) == (code, True), done
        verified = rsi("verify", run_folder, "--anchor", tmp_path / "kept", "--allowed-signers", signers["allowed"],
                       "--no-verdicts", "--trust-plugins")  # fmt: skip
        assert verified.code == code, verified.out
        assert rsi("anchor", run_folder, "--check", tmp_path / "kept").code == 0  # nobody asked by whom


def test_a_signature_does_not_carry_over_to_another_line(
    rsi: Rsi, run_folder: Path, tmp_path: Path, signers: dict[str, Path]
) -> None:
    first, _, signature = rsi("anchor", run_folder, "--sign", signers["ann"]).out.partition("\n")
    assert signature.startswith("-----BEGIN SSH SIGNATURE-----")
    rewritten(run_folder)
    line = rsi("anchor", run_folder).out
    assert line.split(" time=")[0] != first.split(" time=")[0]
    for text in (line + signature, line):
        (tmp_path / "kept").write_text(text)
        done = rsi("anchor", run_folder, "--check", tmp_path / "kept", "--allowed-signers", signers["allowed"])
        assert done.code == 1
        assert "not signed" in done.out


def test_a_key_that_does_not_sign_and_a_missing_list_are_said(rsi: Rsi, run_folder: Path, tmp_path: Path) -> None:
    done = rsi("anchor", run_folder, "--sign", tmp_path / "nokey")
    assert done.code in {2, 3}
    assert len(done.err.splitlines()) == 1
    line = rsi("anchor", run_folder).out
    done = rsi("anchor", run_folder, "--check", line, "--allowed-signers", tmp_path / "nobody")
    assert (done.code, "lists who may sign" in done.err) == (2, True)


# --- heads under a key ----------------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def sealed(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose writer had a key, and whose training prints it."""
    monkeypatch.setenv("RSI_HMAC_KEY_FILE", str(key))
    made = make_run(tmp_path / "sealed", [("VALUE = 1.0", "VALUE = 2.0", f"better, {KEY}")])
    monkeypatch.delenv("RSI_HMAC_KEY_FILE")
    return made


def vouched(folder: Path, key: Path) -> VerifyReport:
    return check(folder, Outside.of("", None, key))


def test_heads_under_a_key_hold_with_it_and_only_with_it(sealed: Path, key: Path, tmp_path: Path) -> None:
    report = vouched(sealed, key)
    assert report.ok, report.problems
    assert "The key vouches for every event." in report.notes
    assert any("--hmac-key-file checks them" in note for note in check(sealed).notes)
    other = tmp_path / "other-key"
    other.write_text(KEY[::-1])
    other.chmod(0o600)
    report = vouched(sealed, other)
    assert not report.ok
    assert {problem.kind for problem in report.problems} == {"head"}


def test_a_record_written_anew_does_not_have_the_keys_word(sealed: Path, key: Path) -> None:
    events = load(sealed)
    at = find(events, "experiment.proposed", experiment=1)
    alter(sealed, lambda events: events[at]["body"].update(rationale="never said"))
    problems = [problem for problem in vouched(sealed, key).problems if problem.kind == "head"]
    assert problems
    assert problems[0].seq >= at
    (sealed / "heads.jsonl").unlink()
    assert any("no head" in problem.sentence for problem in vouched(sealed, key).problems)


def test_a_finished_run_that_the_key_does_not_vouch_for_to_its_end_does_not_hold(sealed: Path, key: Path) -> None:
    file = sealed / "heads.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    assert any("the run is finished, but" in problem.sentence for problem in vouched(sealed, key).problems)


def test_every_flipped_byte_of_the_heads_is_found_and_a_torn_end_is_told_apart(sealed: Path, key: Path) -> None:
    file = sealed / "heads.jsonl"
    content = file.read_bytes()
    stride = max(1, len(content) // 25)
    for position in [*range(3, len(content), stride), len(content) - 1]:
        file.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert not vouched(sealed, key).ok, position
    file.write_bytes(content + content[:30])
    report = vouched(sealed, key)
    assert report.ok
    assert any("unfinished head" in words for words in report.torn)


def test_a_resumed_run_goes_on_under_its_key_and_says_where_it_has_none(
    sealed: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_on(experiments: int) -> list[str]:
        said: list[str] = []
        with resume(sealed, said.append, Budget(experiments=experiments), trusted=True) as session:
            assert session.go() == 0
        return said

    monkeypatch.setenv("RSI_HMAC_KEY_FILE", str(key))
    assert not any("RSI_HMAC_KEY_FILE" in sentence for sentence in go_on(2))
    assert vouched(sealed, key).ok
    monkeypatch.delenv("RSI_HMAC_KEY_FILE")
    assert any("RSI_HMAC_KEY_FILE names none" in sentence for sentence in go_on(3))
    assert any("the run is finished, but the key vouches" in p.sentence for p in vouched(sealed, key).problems)


def test_the_key_is_in_no_file_of_the_run(sealed: Path) -> None:
    files = [path for path in sealed.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert "[redacted RSI_HMAC_KEY]" in (sealed / "ledger.jsonl").read_text()


def test_keys_that_protect_nothing_are_refused(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, mode, words in (("short", 0o600, "random bytes"), (KEY, 0o644, "everybody"), ("a" * 40, 0o600, "random")):
        key.chmod(0o600)
        key.write_text(text)
        key.chmod(mode)
        with pytest.raises(EnvironmentFault, match=words):
            heads.load_key(key)
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        heads.load_key(tmp_path / "nowhere")
    inside = tmp_path / "run" / "key"
    inside.parent.mkdir()
    inside.write_text(KEY)
    inside.chmod(0o600)
    with pytest.raises(UsageError, match="within the run folder"):
        heads.HeadKeeper.of({"RSI_HMAC_KEY_FILE": str(inside)}, tmp_path / "run", "run")


def test_links_in_place_of_heads_and_notes_are_refused(sealed: Path, key: Path, tmp_path: Path) -> None:
    for name in ("heads.jsonl", "notes.jsonl"):
        (sealed / name).unlink(missing_ok=True)
        (sealed / name).symlink_to(tmp_path / "nowhere")
        assert any("link" in problem.sentence for problem in check(sealed).problems), name
        (sealed / name).unlink()
        os.mkfifo(sealed / name)
        assert any("plain file" in problem.sentence for problem in check(sealed).problems), name
        (sealed / name).unlink()


# --- notes and images -----------------------------------------------------------------------------------------------


def test_notes_vouch_for_what_their_authors_had_before_them(run_folder: Path) -> None:
    notes.write_on(run_folder, 3, "seen", by="Ann")
    assert check(run_folder).ok
    rewritten(run_folder)
    problems = [problem for problem in check(run_folder).problems if problem.kind == "note"]
    assert problems[0].sentence.startswith("notes.jsonl, line 1: event ")
    assert "written anew" in problems[0].sentence


def test_an_execution_in_another_image_than_the_runs_is_named(run_folder: Path) -> None:
    def images(events: Events, other: int | None, digest: str) -> int:
        at = -1
        for event in events:
            execution = event["body"].get("execution")
            if execution is not None:
                execution["image"] = events[0]["body"]["sandbox"]["image_digest"]
                at = event["seq"] if event["kind"] == "trial.answered" and at < 0 else at
        if other is not None:
            events[at]["body"]["execution"]["image"] = digest
        return at

    original = (run_folder / "ledger.jsonl").read_bytes()
    assert load(run_folder)[0]["body"]["sandbox"]["image_digest"]
    alter(run_folder, lambda events: (images(events, None, ""), None)[1])
    assert not [problem for problem in check(run_folder).problems if problem.kind == "image"]
    for digest, words in (("sha256:" + "ab" * 32, "it ran in the image sha256:abab"), ("", "it names no image")):
        (run_folder / "ledger.jsonl").write_bytes(original)
        found: list[int] = []
        alter(run_folder, lambda events, digest=digest, found=found: found.append(images(events, 1, digest)))  # type: ignore[misc]
        (problem,) = [problem for problem in check(run_folder).problems if problem.kind == "image"]
        assert problem.seq == found[0]
        assert words in problem.sentence
