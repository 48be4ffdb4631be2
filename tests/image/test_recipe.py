"""The image's tag follows from what it is made of, and from nothing else."""

import re
import shutil
from pathlib import Path

import pytest

from rsi.errors import UsageError
from sandboxes.image import recipe


@pytest.fixture
def ingredients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of everything the image is made of, which the recipe then reads."""
    shutil.copytree(recipe.HERE, tmp_path / "image")
    shutil.copytree(recipe.GUEST, tmp_path / "guest")
    monkeypatch.setattr(recipe, "HERE", tmp_path / "image")
    monkeypatch.setattr(recipe, "GUEST", tmp_path / "guest")
    monkeypatch.delenv("RSI_TORCH", raising=False)
    return tmp_path


def test_the_tag_is_the_same_wherever_the_code_lies(ingredients: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = recipe.wanted_tag()
    monkeypatch.undo()
    monkeypatch.delenv("RSI_TORCH", raising=False)
    assert recipe.wanted_tag() == there
    assert re.fullmatch(r"rsi-sandbox:[0-9a-f]{12}", there)


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        ("guest/__init__.py", {"sandbox"}),
        ("image/requirements-cpu.txt", {"sandbox", "packages"}),
        ("image/wheels.py", {"sandbox", "packages"}),
        ("image/compiling.py", {"sandbox", "packages"}),
        ("image/layers.py", {"sandbox", "packages"}),
        ("image/debian.txt", {"sandbox", "packages", "base"}),
        ("image/bundle.py", {"sandbox", "packages", "base"}),
        ("image/base.py", {"sandbox", "packages", "base"}),
        ("image/recipe.py", {"sandbox", "packages", "base"}),
        ("image/store.py", set()),
        ("image/requirements-cuda.txt", set()),
    ],
)
def test_a_change_renames_what_it_reaches_and_no_more(ingredients: Path, changed: str, rebuilt: set[str]) -> None:
    before = recipe.wanted_tags().model_dump()
    with (ingredients / changed).open("a") as stream:
        stream.write("# a change\n")
    after = recipe.wanted_tags().model_dump()
    assert {name for name in before if before[name] != after[name]} == rebuilt


def test_a_new_guest_file_renames_the_image_and_its_caches_do_not(ingredients: Path) -> None:
    before = recipe.wanted_tag()
    (ingredients / "guest" / "__pycache__").mkdir(exist_ok=True)
    (ingredients / "guest" / "__pycache__" / "stray.py").write_text("")
    assert recipe.wanted_tag() == before
    (ingredients / "guest" / "new.py").write_text("")
    assert recipe.wanted_tag() != before


def test_text_moved_between_two_files_renames_the_image(ingredients: Path) -> None:
    first, second = ingredients / "guest" / "aa.py", ingredients / "guest" / "ab.py"
    first.write_text("one\ntwo\n")
    second.write_text("")
    before = recipe.wanted_tag()
    first.write_text("one\n")
    second.write_text("two\n")
    assert recipe.wanted_tag() != before


def test_the_source_of_pytorch_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSI_TORCH", "cpu")
    cpu = recipe.wanted_tag()
    monkeypatch.setenv("RSI_TORCH", "cuda")
    assert recipe.wanted_tag() != cpu
    assert recipe.lock_file().name == "requirements-cuda.txt"
    monkeypatch.setenv("RSI_TORCH", "rocm")
    with pytest.raises(UsageError, match="set it to `cpu` or `cuda`"):
        recipe.wanted_tag()


def test_a_tasks_packages_name_its_image_whatever_their_order(ingredients: Path) -> None:
    plain = recipe.wanted_tag()
    assert recipe.extras_tag([], []) == plain
    one = recipe.extras_tag(["a==1", "b==2"], ["c=3"])
    assert re.fullmatch(r"rsi-extras:[0-9a-f]{12}", one)
    assert recipe.extras_tag(["b==2", "a==1"], ["c=3"]) == one
    assert len({one, recipe.extras_tag(["a==1"], ["c=3"]), recipe.extras_tag(["a==1", "b==2", "c=3"], [])}) == 3
    (ingredients / "guest" / "new.py").write_text("")
    assert recipe.extras_tag(["a==1", "b==2"], ["c=3"]) != one
