"""Takes blobs out of a run for an export; what is missing or altered is named and counted, never a reason to stop."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from rsi.attempts import Attempt
from rsi.blobs import Blobs, MissingBlob
from rsi.calls import Answer, Request
from rsi.course import Course, read_course
from rsi.errors import RsiError
from rsi.review.export.records import Content

LARGEST = 32 * 1024 * 1024
"""Bytes of one blob that an export carries; streams and diffs of this program are far smaller."""
MOST_NAMED = 100

_ATTEMPTS = TypeAdapter(tuple[Attempt, ...])


class Contents:
    """The blobs of one run, and what of them was not to be had."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.problems: list[str] = []
        self._named: dict[str, str] = {}
        """Blob → what was said of it; one that many things share is named where it is first missed."""
        self.further = 0

    def content(self, digest: str | None, what: str) -> Content | None:
        """The bytes of that sha256, or the sentence that says why they are not here; None without a digest."""
        if digest is None:
            return None
        data, problem = self._get(digest, what)
        return Content(sha256=digest, problem=problem) if data is None else Content.of(digest, data)

    def course(self, digest: str | None, what: str) -> Course | None:
        """A course; None where it is not to be had."""
        data = None if digest is None else self._get(digest, what)[0]
        course = None if data is None else read_course(data)
        if data is not None and course is None:
            self.add(f"{what}: blob {digest} is no course of this version")
        return course

    def attempts(self, digest: str | None, what: str) -> tuple[Attempt, ...]:
        """All attempts of an execution that lists not all of them; none where they are not to be had."""
        data = None if digest is None else self._get(digest, what)[0]
        try:
            return () if data is None else _ATTEMPTS.validate_json(data)
        except ValidationError:
            self.add(f"{what}: blob {digest} is no list of attempts")
            return ()

    def request(self, digest: str, what: str) -> tuple[Request | None, str]:
        """What a language model was asked, or why it is not to be had."""
        data, problem = self._get(digest, what)
        try:
            return (None, problem) if data is None else (Request.model_validate_json(data), "")
        except ValidationError:
            return None, self.add(f"{what}: blob {digest} is no request")

    def answer(self, digest: str, what: str) -> tuple[Answer | None, str]:
        """What a language model answered, or why it is not to be had."""
        data, problem = self._get(digest, what)
        try:
            return (None, problem) if data is None else (Answer.model_validate_json(data), "")
        except ValidationError:
            return None, self.add(f"{what}: blob {digest} is no answer")

    def add(self, sentence: str) -> str:
        """Note a problem, and say it back; the first hundred are named, the rest counted."""
        if len(self.problems) < MOST_NAMED:
            self.problems.append(sentence)
        else:
            self.further += 1
        return sentence

    def _get(self, digest: str, what: str) -> tuple[bytes | None, str]:
        if digest in self._named:
            return None, self._named[digest]
        try:
            length = self._blobs.length(digest)
            if length <= LARGEST:
                return self._blobs.get(digest), ""
            gone = f"has {length} bytes, more than an export carries"
        except RsiError as error:
            # By its digest, not by its path: where the run lay is not for those who get the export.
            gone = "is missing" if isinstance(error, MissingBlob) else "is altered or cannot be read"
        self._named[digest] = self.add(f"{what}: blob {digest[:64]} {gone}")
        return None, self._named[digest]
