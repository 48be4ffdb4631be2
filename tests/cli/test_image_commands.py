"""`rsi image …` as a person and a program meet it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from test_commands import rsi

from sandboxes import image

IMAGES = str(Path(__file__).resolve().parents[1] / "image")
sys.path.insert(0, IMAGES)

import small_images  # noqa: E402  # beside the tests of images

sys.path.remove(IMAGES)

pytestmark = pytest.mark.docker


def test_show_tells_what_is_in_the_image_to_a_person_and_to_a_program(tmp_path: Path) -> None:
    done = rsi(tmp_path, "image", "show", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["schema"], told["tag"], told["wanted"]) == (1, image.wanted_tag(), True)
    assert told["digest"] == image.digest(image.wanted_tag())
    packages = {package["name"]: package["version"] for package in told["manifest"]["python"]}
    read = rsi(tmp_path, "image", "show").stdout
    assert f"torch                            {packages['torch']}" in read
    assert told["digest"] in read
    missing = rsi(tmp_path, "image", "show", "rsi-sandbox:000000000000")
    assert missing.returncode == 2
    assert "rsi image build" in missing.stderr


def test_an_image_is_carried_by_file_and_digest(tmp_path: Path) -> None:
    tag = small_images.TAG
    digest = small_images.write_bundle(tmp_path / "made", {"etc/name": b"by command"})
    with small_images.loaded(tmp_path / "made"):
        saved = rsi(tmp_path, "image", "save", "file.rsi", tag)
        assert saved.returncode == 0, saved.stderr
        assert f"rsi image load file.rsi --digest {digest}" in saved.stdout
    unsaid = rsi(tmp_path, "image", "load", "file.rsi")
    assert unsaid.returncode == 2
    assert f"--digest {digest}" in unsaid.stderr
    other = rsi(tmp_path, "image", "load", "file.rsi", "--digest", "sha256:" + "0" * 64)
    assert other.returncode == 1
    assert image.digest(tag) is None
    try:
        done = rsi(tmp_path, "image", "load", "file.rsi", "--digest", digest, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["schema"], told["digest"], told["tag"]) == (1, digest, tag)
        assert f"set RSI_IMAGE={tag}" in done.stderr
        shown = rsi(tmp_path, "image", "show", tag).stdout
        assert "loaded on this machine" in shown
    finally:
        image.remove(tag)
