"""Which PyTorch optimiser trains, and with which settings of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import libcst as cst

from rsi.proposers.mutation.syntax import Detail, Move, calls, keyword, renamed, replaced, source, with_keyword

_ADAPTIVE = ("AdamW", "Adam", "NAdam", "RAdam", "Adamax")
_FIXED = ("SGD",)
_SGD_FACTOR = 50
"""SGD with momentum wants a learning rate about this many times Adam's on small networks."""
_BETAS = ("(0.9, 0.95)", "(0.9, 0.98)", "(0.8, 0.95)", "(0.9, 0.999)")


def _sites(module: cst.Module) -> list[tuple[str, cst.Call]]:
    """(class, call) of each optimiser that is named through `torch.optim`."""
    return [
        (name.rsplit(".", 1)[1], call)
        for name, call in calls(module)
        if name.rpartition(".")[0].endswith("optim") and name.rsplit(".", 1)[-1] in (*_ADAPTIVE, *_FIXED)
    ]


def moves(module: cst.Module) -> Iterator[Move]:
    """Another class of optimiser; other betas and epsilon, where they stand in the call itself."""
    for number, (old, call) in enumerate(_sites(module)):
        site = {"site": number} if number else {}
        for new in (*_ADAPTIVE, *_FIXED):
            if new != old:
                detail: Detail = {"name": "optimizer", "from": old, "to": new, **site}
                yield Move("optimizer", detail, partial(_swap, number=number, new=new))
        if old in _ADAPTIVE:
            yield from _settings(number, call, site)


def _settings(number: int, call: cst.Call, site: dict[str, int]) -> Iterator[Move]:
    betas, eps = keyword(call, "betas"), keyword(call, "eps")
    now = "(0.9, 0.999)" if betas is None else source(betas.value)
    if not any(character.isalpha() for character in now):
        for new in _BETAS:
            if new != now:
                detail: Detail = {"name": "betas", "from": now, "to": new, **site}
                yield Move("betas", detail, partial(_set, number=number, name="betas", value=new))
    if eps is None:
        for new in ("1e-6", "1e-10"):
            detail = {"name": "eps", "from": "1e-8", "to": new, **site}
            yield Move("eps", detail, partial(_set, number=number, name="eps", value=new))


def _set(module: cst.Module, number: int, name: str, value: str) -> cst.Module:
    call = _sites(module)[number][1]
    return replaced(module, [(call, with_keyword(call, name, value))])


def _swap(module: cst.Module, number: int, new: str) -> cst.Module:
    old, call = _sites(module)[number]
    changed = renamed(call, new)
    rate = keyword(call, "lr")
    text = source(rate.value) if rate is not None else "1e-3"
    if (new in _FIXED) != (old in _FIXED):
        for name in ("betas", "eps", "amsgrad", "momentum", "nesterov", "dampening", "decoupled_weight_decay", "fused"):
            changed = with_keyword(changed, name, None)
        changed = with_keyword(changed, "lr", _scaled(text, up=new in _FIXED))
        if new in _FIXED:
            changed = with_keyword(with_keyword(changed, "momentum", "0.9"), "nesterov", "True")
    elif new in ("NAdam", "RAdam") and old == "AdamW" and keyword(call, "weight_decay") is not None:
        changed = with_keyword(changed, "decoupled_weight_decay", "True")
    elif new not in ("NAdam", "RAdam"):
        changed = with_keyword(changed, "decoupled_weight_decay", None)
    if new == "Adamax":
        changed = with_keyword(changed, "amsgrad", None)
    return replaced(module, [(call, changed)])


def _scaled(text: str, *, up: bool) -> str:
    """The learning rate's text times or over the factor; a factor that stands there already is taken away."""
    here, there = (" * ", " / ") if up else (" / ", " * ")
    if text.endswith(f"{there}{_SGD_FACTOR}"):
        return text.removesuffix(f"{there}{_SGD_FACTOR}")
    return f"{text}{here}{_SGD_FACTOR}"
