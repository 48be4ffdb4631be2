"""The doctor finds what is missing and says how to mend it."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes import doctor, image


def by_name(checks: tuple[doctor.Check, ...]) -> dict[str, doctor.Check]:
    return {check.name: check for check in checks}


def test_what_is_not_well_comes_with_a_way_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none'}")
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = doctor.diagnose()
    assert {"git", "engine", "image"} <= {check.name for check in checks if not check.ok}
    assert all(check.ok != bool(check.mend) for check in checks)
    assert "make setup" in by_name(checks)["engine"].mend


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none'}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    check = by_name(doctor.diagnose())["state folder"]
    assert not check.ok
    assert str(tmp_path / "file") in check.detail


def test_a_module_that_shadows_ours_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evals.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "evals", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none'}")
    check = by_name(doctor.diagnose())["modules"]
    assert not check.ok
    assert str(tmp_path / "evals.py") in check.detail


def test_a_check_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none'}")

    def broken(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(doctor.shutil, "disk_usage", broken)
    checks = by_name(doctor.diagnose())
    assert "unforeseen" in checks["disk"].detail
    assert checks["python"].ok


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,9}(-[a-z]{1,4})?", fullmatch=True),
        st.from_regex(r"[0-9]\.[0-9]{1,3}(\+cpu)?", fullmatch=True),
    )
)
def test_a_lock_reads_back_as_it_was_written(pins: dict[str, str]) -> None:
    lock = "".join(
        f"{name}=={version} ; python_version < '4' \\\n    --hash=sha256:{'0' * 64}\n" for name, version in pins.items()
    )
    assert doctor.locked_versions(lock) == {name: {version} for name, version in pins.items()}


@pytest.mark.docker
def test_with_an_engine_and_an_image_a_container_says_hello() -> None:
    image.ensure(lambda _: None)
    checks = by_name(doctor.diagnose())
    assert checks["engine"].ok, checks
    assert checks["image"].ok, checks
    assert checks["sandbox"].detail.startswith("hello (3, 11)")
