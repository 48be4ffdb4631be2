"""What runs in the confined child for `mutate` and `random`: find the moves, and apply them. JSON in, JSON out."""

from __future__ import annotations

import itertools
import json
from functools import lru_cache
from typing import Any

import libcst as cst

from rsi.edits.outcome import NotAnEdit
from rsi.edits.tree import summary
from rsi.proposers.mutation import constants, layers, optimizer, schedule, settings
from rsi.proposers.mutation.syntax import Move
from rsi.records import CodeFiles

Named = dict[str, Any]
"""A move without its program: `{kind, path, detail}`."""

_Frozen = tuple[tuple[str, str], ...]


def discover(code: CodeFiles) -> list[Named]:
    """Every single move that the code has a place for, in the order of the text."""
    return [
        {"kind": move.kind, "path": path, "detail": move.detail}
        for path, text in sorted(code.items())
        if path.endswith(".py") and text.strip()
        for move in _moves(text)[1]
    ]


def first_new(argument: dict[str, Any]) -> dict[str, Any] | None:
    """The first of `orders` (each some moves, made one after another) that gives code whose digest is not in `tried`.

    Answers `{index, code}`; None where each was tried before, does not apply, or gives code that does not parse.
    """
    code: _Frozen = tuple(sorted(argument["code"].items()))
    tried = set(argument["tried"])
    for index, order in enumerate(argument["orders"]):
        made = _made(code, json.dumps(order, sort_keys=True))
        if made is not None and made[1] not in tried:
            return {"index": index, "code": dict(made[0])}
    return None


def knobs(code: CodeFiles) -> list[Named]:
    """Every constant that can be set: `{path, name, kind, value, values}`, in the order of the text."""
    return [
        {"path": path, **knob}
        for path, text in sorted(code.items())
        if path.endswith(".py") and text.strip()
        for knob in settings.knobs(_moves(text)[0])
    ]


def configured(argument: dict[str, Any]) -> dict[str, Any] | None:
    """The code with constants set (`values`: path → name → value), and its digest.

    None where that breaks a divisibility that holds now, or gives code that does not parse.
    """
    files = dict(argument["code"])
    for path, values in argument["values"].items():
        made = settings.configured(_moves(files[path])[0], values)
        if made is None:
            return None
        files[path] = made.code
    try:
        digest, _ = summary(files)
    except NotAnEdit:
        return None
    return {"code": files, "digest": digest}


@lru_cache(maxsize=4096)
def _made(code: _Frozen, order: str) -> tuple[_Frozen, str] | None:
    """The code after the moves, and its digest; cached, because a long run asks again for what it has tried."""
    files = dict(code)
    for named in json.loads(order):
        module, moves = _moves(files[named["path"]])
        move = next((m for m in moves if m.kind == named["kind"] and m.detail == named["detail"]), None)
        if move is None:
            return None
        files[named["path"]] = move.rewrite(module).code
    try:
        digest, _ = summary(files)
    except NotAnEdit:
        return None
    return tuple(sorted(files.items())), digest


@lru_cache(maxsize=8)
def _moves(text: str) -> tuple[cst.Module, tuple[Move, ...]]:
    module = cst.parse_module(text)
    found = (constants.moves(module), schedule.moves(module), optimizer.moves(module), layers.moves(module))
    return module, tuple(itertools.chain(*found))
