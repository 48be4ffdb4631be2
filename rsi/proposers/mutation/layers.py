"""What PyTorch layers a model is made of: activation, normalisation, initialisation, biases, tied weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

import libcst as cst

from rsi.proposers.mutation.syntax import (
    Detail,
    Move,
    assignment,
    calls,
    every,
    file_text,
    imports,
    inserted,
    keyword,
    renamed,
    replaced,
    source,
    statement_of,
    with_keyword,
)

_MODULES = ("GELU", "ReLU", "SiLU", "Tanh", "SquaredReLU")
_FUNCTIONS = ("gelu", "relu", "silu", "tanh")
_NORMS = ("LayerNorm", "RMSNorm")
_OUTPUTS = re.compile(r"self\.(out|proj|down|o_proj|c_proj|out_proj|down_proj|fc2|w2|output)")
_SQUARED = '''

class SquaredReLU(nn.Module):
    """max(0, x) squared (So et al., 2021)."""

    def forward(self, x):
        """Any shape → the same."""
        return torch.relu(x).square()
'''


def moves(module: cst.Module) -> Iterator[Move]:
    """Every change of layers that the file has a place for."""
    yield from _activations(module)
    yield from _norms(module)
    yield from _placements(module)
    yield from _output_initialisation(module)
    yield from _biases(module)
    yield from _ties(module)


def _layers(module: cst.Module, names: Sequence[str]) -> list[tuple[str, cst.Call]]:
    """(class, call) of each layer made through `nn.`, and of our own squared ReLU."""
    return [
        (name.rsplit(".", 1)[-1], call)
        for name, call in calls(module)
        if name.rsplit(".", 1)[-1] in names and (name.rpartition(".")[0].endswith("nn") or name == "SquaredReLU")
    ]


# --- activation -------------------------------------------------------------------------------------------------


def _activations(module: cst.Module) -> Iterator[Move]:
    layers = {name for name, _ in _layers(module, _MODULES)}
    bound = imports(module)
    for old in sorted(layers):
        for new in _MODULES:
            if new != old and (new != "SquaredReLU" or {"torch", "nn"} <= bound) and "nn" in bound:
                yield Move(
                    "activation", {"name": "activation", "from": old, "to": new}, partial(_activate, old=old, new=new)
                )
    functions = {name for name, _ in calls(module) if name in {f"F.{f}" for f in _FUNCTIONS}}
    for name in sorted(functions):
        for function in _FUNCTIONS:
            if name != f"F.{function}":
                detail: Detail = {"name": "activation", "from": name, "to": f"F.{function}"}
                yield Move("activation", detail, partial(_activate_function, old=name, new=function))


def _activate(module: cst.Module, old: str, new: str) -> cst.Module:
    func = cst.Name(new) if new == "SquaredReLU" else cst.Attribute(cst.Name("nn"), cst.Name(new))
    sites = [call for name, call in _layers(module, _MODULES) if name == old]
    module = replaced(module, [(call, cst.Call(func)) for call in sites])
    if new == "SquaredReLU" and not any(isinstance(n, cst.ClassDef) and n.name.value == new for n in module.body):
        first = next(n for n in module.body if isinstance(n, cst.ClassDef))
        module = inserted(module, first, [_SQUARED])
    return module


def _activate_function(module: cst.Module, old: str, new: str) -> cst.Module:
    changed = []
    for name, call in calls(module):
        if name == old:
            kept = [arg for arg in call.args if arg.keyword is None][:1]
            plain = call.with_changes(args=[kept[0].with_changes(comma=cst.MaybeSentinel.DEFAULT)] if kept else [])
            changed.append((call, renamed(plain, new)))
    return replaced(module, changed)


# --- normalisation ----------------------------------------------------------------------------------------------


def _norms(module: cst.Module) -> Iterator[Move]:
    present = {name for name, call in _layers(module, _NORMS) if keyword(call, "bias") is None}
    for old in sorted(present):
        new = next(name for name in _NORMS if name != old)
        yield Move(
            "normalisation", {"name": "normalisation", "from": old, "to": new}, partial(_renorm, old=old, new=new)
        )


def _renorm(module: cst.Module, old: str, new: str) -> cst.Module:
    return replaced(module, [(call, renamed(call, new)) for name, call in _layers(module, _NORMS) if name == old])


def _residuals(module: cst.Module) -> list[tuple[cst.BinaryOperation, cst.Call]]:
    """(sum, norm call) of every `x + f(self.norm(x))`."""
    found = []
    for node in every(module):
        if (
            isinstance(node, cst.BinaryOperation)
            and isinstance(node.operator, cst.Add)
            and isinstance(node.left, cst.Name)
        ):
            for name, call in calls(node.right):
                arguments = [source(arg.value) for arg in call.args]
                if re.fullmatch(r"self\.\w*(norm|ln)\w*", name) and arguments == [node.left.value]:
                    found.append((node, call))
    return found


def _placements(module: cst.Module) -> Iterator[Move]:
    if _residuals(module):
        detail: Detail = {"name": "norm placement", "from": "before each sublayer", "to": "after each residual sum"}
        yield Move("norm_placement", detail, _post_norm)


def _post_norm(module: cst.Module) -> cst.Module:
    changed: list[tuple[cst.CSTNode, cst.CSTNode]] = []
    for total, norm in _residuals(module):
        plain = replaced_in(total, norm, norm.args[0].value)
        changed.append((total, norm.with_changes(args=[norm.args[0].with_changes(value=plain)])))
    return replaced(module, changed)


def replaced_in(whole: cst.BinaryOperation, old: cst.CSTNode, new: cst.CSTNode) -> cst.BaseExpression:
    """An expression with one node in it, found by identity, exchanged."""
    result = whole.deep_replace(old, new)
    assert isinstance(result, cst.BaseExpression)
    return result


# --- initialisation ---------------------------------------------------------------------------------------------


def _output_layers(module: cst.Module) -> list[tuple[cst.SimpleStatementLine, str]]:
    """(statement, attribute) of each `self.out = nn.Linear(…)` that feeds the residual stream."""
    found = []
    for node in every(module):
        pair = assignment(node) if isinstance(node, cst.SimpleStatementLine) else None
        if (
            pair
            and isinstance(pair[1], cst.Call)
            and source(pair[1].func) == "nn.Linear"
            and _OUTPUTS.fullmatch(pair[0])
        ):
            assert isinstance(node, cst.SimpleStatementLine)
            found.append((node, pair[0]))
    return found


def _output_initialisation(module: cst.Module) -> Iterator[Move]:
    if _output_layers(module) and "projections" not in file_text(module) and "nn" in imports(module):
        for to, factor in (("zero", "0.0"), ("halved", "0.5")):
            detail: Detail = {"name": "output projections", "from": "as all", "to": to}
            yield Move("output_initialisation", detail, partial(_initialise_outputs, factor=factor))


def _initialise_outputs(module: cst.Module, factor: str) -> cst.Module:
    outputs = _output_layers(module)
    applied = next((call for name, call in calls(module) if name == "self.apply"), None)
    if applied is not None:
        # Whatever `self.apply(initialise)` does comes first, or it would undo this.
        ends = tuple(sorted({f"{attribute.removeprefix('self.')}.weight" for _, attribute in outputs}))
        text = (
            "for name, parameter in self.named_parameters():  # output projections\n"
            f"    if name.endswith({ends if len(ends) > 1 else ends[0]!r}):\n"
            f"        parameter.data.mul_({factor})\n"
        ).replace("'", '"')
        statement = statement_of(module, applied)
        assert statement is not None
        return inserted(module, statement, [text], after=True)
    for statement, attribute in outputs:
        text = f"{attribute}.weight.data.mul_({factor})  # output projections\n"
        module = inserted(module, statement, [text], after=True)
    return module


# --- biases -----------------------------------------------------------------------------------------------------


def _biases(module: cst.Module) -> Iterator[Move]:
    linear = [call for _, call in _layers(module, ("Linear",))]
    with_bias = [call for call in linear if keyword(call, "bias") is None or source(_value(call)) == "True"]
    # Code that reads `.bias` without asking whether there is one would crash.
    guarded = ".bias" not in file_text(module) or "bias is not None" in file_text(module)
    if with_bias and guarded:
        yield Move("bias", {"name": "bias", "from": True, "to": False}, partial(_bias, value=False))
    if any(keyword(call, "bias") is not None and source(_value(call)) == "False" for call in linear):
        yield Move("bias", {"name": "bias", "from": False, "to": True}, partial(_bias, value=True))


def _value(call: cst.Call) -> cst.BaseExpression:
    argument = keyword(call, "bias")
    assert argument is not None
    return argument.value


def _bias(module: cst.Module, value: bool) -> cst.Module:
    linear = [call for _, call in _layers(module, ("Linear",)) if len([a for a in call.args if a.keyword is None]) < 3]
    return replaced(module, [(call, with_keyword(call, "bias", str(value))) for call in linear])


# --- tied weights -----------------------------------------------------------------------------------------------


def _pairs(module: cst.Module) -> list[tuple[cst.SimpleStatementLine, str]]:
    """(the Linear's statement, the tying assignment) where an Embedding(V, W) meets a Linear(W, V) in one class."""
    found = []
    for definition in (node for node in every(module) if isinstance(node, cst.ClassDef)):
        made: dict[str, tuple[cst.SimpleStatementLine, str, list[str]]] = {}
        for node in every(definition):
            pair = assignment(node) if isinstance(node, cst.SimpleStatementLine) else None
            if pair is not None and isinstance(pair[1], cst.Call) and pair[0].startswith("self."):
                assert isinstance(node, cst.SimpleStatementLine)
                shape = [source(arg.value) for arg in pair[1].args if arg.keyword is None]
                made[pair[0]] = (node, source(pair[1].func), shape)
        for linear, (node, kind, shape) in made.items():
            for embedding, (_, other, turned) in made.items():
                if kind == "nn.Linear" and other == "nn.Embedding" and shape[:2] == turned[1::-1] and len(shape) >= 2:
                    found.append((node, f"{linear}.weight = {embedding}.weight"))
    return found


def _ties(module: cst.Module) -> Iterator[Move]:
    for statement, text in _pairs(module):
        linear, embedding = (side.strip().removeprefix("self.").removesuffix(".weight") for side in text.split("="))
        present = text in file_text(module)
        detail: Detail = {"name": f"{linear} and {embedding}", "from": _tied(present), "to": _tied(not present)}
        yield Move("tying", detail, partial(_untie if present else _tie, text=text))
        del statement


def _tied(is_tied: bool) -> str:
    return "tied" if is_tied else "apart"


def _tie(module: cst.Module, text: str) -> cst.Module:
    statement = next(node for node, wanted in _pairs(module) if wanted == text)
    return inserted(module, statement, [f"{text}\n"], after=True)


def _untie(module: cst.Module, text: str) -> cst.Module:
    old = next(n for n in every(module) if isinstance(n, cst.SimpleStatementLine) and source(n).split("\n")[-1] == text)
    return module.deep_remove(old)  # type: ignore[return-value]
