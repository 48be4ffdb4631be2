"""Rules about training: its length follows from RSI_BUDGET, its chance from RSI_SEED, and nothing outlives it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from evals.reading.module import COMPREHENSIONS
from evals.reading.reader import NOTICE, WARNING, Reader, Seen

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_SHARES = (ast.Div, ast.FloorDiv)
_LARGE_SHARE = 0.05
_USUAL_BUDGET = 40_000
_DAY_CLOCKS = frozenset(
    [
        "time.time",
        "time.time_ns",
        "time.localtime",
        "time.gmtime",
        "time.ctime",
        "time.asctime",
        "time.strftime",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "time.clock_gettime",
    ]
)
_CLOCKS = frozenset(
    [
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.monotonic",
        "time.monotonic_ns",
        "time.process_time",
        "time.process_time_ns",
        "time.thread_time",
        "time.thread_time_ns",
        "timeit.default_timer",
        "os.times",
        "resource.getrusage",
    ]
)
_PLACE = frozenset(["os.cpu_count", "os.sched_getaffinity", "multiprocessing.cpu_count", "os.getloadavg"])
_FILE_AGES = frozenset(["os.path.getmtime", "os.path.getctime", "os.stat"])


def rules(reader: Reader) -> Iterator[Seen]:
    """All of them."""
    yield from _settings_read(reader)
    yield from _lengths(reader)
    yield from _inflated(reader)
    yield from _repeated(reader)
    yield from _conditions(reader)


# --- the budget -------------------------------------------------------------------------------------------------


def _settings_read(reader: Reader) -> Iterator[Seen]:
    """Both settings are read, and their names are not given other values."""
    if not reader.training:
        return
    for setting in ("RSI_BUDGET", "RSI_SEED"):
        rule = setting.removeprefix("RSI_").lower()
        if not any(reader.is_setting(node, setting) for node in reader.module.nodes):
            message = f"trains without reading {setting}"
            yield reader.seen(rule, WARNING, f"{setting} unread", reader.module.tree, message)
            continue
        for name, bindings in reader.module.scope.bindings.items():
            values = [binding.node for binding in bindings if binding.kind == "value"]
            if not any(_is(reader, value, setting) for value in values):
                continue
            for value in values:
                if not reader.follows(value, lambda node, s=setting: reader.is_setting(node, s)):  # type: ignore[misc]
                    message = f"gives {name}, which holds {setting}, another value"
                    yield reader.seen(rule, WARNING, f"{setting} anew", value, message)


def _is(reader: Reader, node: ast.AST | None, setting: str, depth: int = 0) -> bool:
    """Whether an expression is the setting itself, converted or under another name."""
    if node is None or depth > 8:
        return False
    if reader.is_setting(node, setting):
        return True
    match node:
        case ast.Name():
            bound = reader.module.lookup(node.id, reader.module.scope_of.get(node, reader.module.scope))
            return any(
                _is(reader, value, setting, depth + 1)
                for binding in bound
                for value in (
                    reader.names.given(binding)
                    if binding.kind == "parameter"
                    else [binding.node]
                    if binding.kind == "value"
                    else []
                )
            )
        case ast.Call() if reader.names.of(node.func) & {
            *("builtins.int", "builtins.float", "builtins.max", "builtins.min", "builtins.round"),
            *("builtins.str", "builtins.abs"),
        }:
            return any(_is(reader, argument, setting, depth + 1) for argument in node.args)
        case ast.BoolOp():
            return any(_is(reader, part, setting, depth + 1) for part in node.values)
        case ast.NamedExpr():
            return _is(reader, node.value, setting, depth + 1)
        case _:
            return False


def _is_steps(reader: Reader, node: ast.AST | None, depth: int = 0) -> bool:
    """Whether an expression is the budget divided by something, under whatever name."""
    if node is None or depth > 8:
        return False
    match node:
        case ast.BinOp(op=ast.Div() | ast.FloorDiv()):
            return _is(reader, node.left, "RSI_BUDGET") or _is_steps(reader, node.left, depth + 1)
        case ast.Name() | ast.NamedExpr():
            return any(
                _is_steps(reader, origin, depth + 1) for origin in reader.names.origins(node) if origin is not node
            )
        case ast.Call() if reader.names.of(node.func) & {"builtins.int", "builtins.max", "builtins.round", "math.ceil"}:
            return any(_is_steps(reader, argument, depth + 1) for argument in node.args)
        case _:
            return False


def _extents(reader: Reader) -> list[tuple[ast.For | ast.AsyncFor | ast.While, list[ast.AST]]]:
    """Every loop that trains, with the expressions that say how long."""
    found = []
    for node in reader.module.nodes:
        if isinstance(node, _LOOPS) and reader.trains(node):
            tells: list[ast.AST] = [node.test if isinstance(node, ast.While) else node.iter]
            for part in ast.walk(node):
                if isinstance(part, ast.If) and any(
                    isinstance(s, (ast.Break, ast.Return, ast.Raise)) for s in ast.walk(part)
                ):
                    tells.append(part.test)
            found.append((node, tells))
    return found


def _lengths(reader: Reader) -> Iterator[Seen]:
    """Every loop that trains ends because the budget is used, or stands in one that does; and goes through it once."""
    loops = _extents(reader)
    bounded: set[ast.AST] = {loop for loop, tells in loops if any(_follows_budget(reader, tell) for tell in tells)}
    for loop, tells in loops:
        around = any(outer in bounded for outer in reader.module.above(loop))
        within = any(part in bounded for part in ast.walk(loop) if part is not loop)
        called = around or _called_within(reader, reader.module.function_around(loop), bounded)
        if loop in bounded:
            if _several_times(reader, tells[0]):
                message = "goes through its budget more than once"
                yield reader.seen("budget", WARNING, "budget repeated", loop, message)
        elif within or called:
            if (
                isinstance(loop, (ast.For, ast.AsyncFor))
                and _counts(reader, loop.iter)
                and not _shared(reader, loop.iter)
            ):
                message = "takes several steps for each that the budget allows, and nothing is divided by their number"
                yield reader.seen("budget", WARNING, "steps multiplied", loop, message)
        elif not any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in ast.walk(loop)):
            message = "trains in a loop whose length does not follow from RSI_BUDGET"
            yield reader.seen("budget", WARNING, "loop without budget", loop, message)


def _counts(reader: Reader, iterated: ast.AST) -> bool:
    """Whether something is gone through a fixed number of times, more than once."""
    if any(isinstance(value, list) and len(value) > 1 for value in reader.fold.fold(iterated)):
        return "builtins.range()" in reader.names.of(iterated)
    return False


def _shared(reader: Reader, iterated: ast.AST) -> bool:
    """Whether some number of the program, steps or batch, is divided by the number of times."""
    names = {part.id for part in ast.walk(iterated) if isinstance(part, ast.Name)} - {"range"}
    numbers = {part.value for part in ast.walk(iterated) if isinstance(part, ast.Constant)}
    for node in reader.module.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, _SHARES) and reader.fold.numbers(node):
            for divisor in ast.walk(node.right):
                if isinstance(divisor, ast.Name) and (
                    divisor.id in names or set(reader.fold.numbers(divisor)) & numbers
                ):
                    return True
                if isinstance(divisor, ast.Constant) and divisor.value in numbers:
                    return True
    return False


def _several_times(reader: Reader, iterated: ast.AST) -> bool:
    """Whether what is iterated strings several rounds of the budget together."""
    for part in reader.sources(iterated):
        if isinstance(part, COMPREHENSIONS) and len(part.generators) > 1:
            further = [generator.iter for generator in part.generators if not _follows_budget(reader, generator.iter)]
            if any(_follows_budget(reader, generator.iter) for generator in part.generators) and any(
                not _shared(reader, each) for each in further
            ):
                return True
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mult):
            sides = ((part.left, part.right), (part.right, part.left))
            for one, times in sides:
                made = isinstance(one, (ast.List, ast.Tuple, ast.Call)) and reader.names.of(one) & {
                    "builtins.list()",
                    "builtins.tuple()",
                }
                if (made or isinstance(one, (ast.List, ast.Tuple))) and _follows_budget(reader, one):
                    return any(number > 1 for number in reader.fold.numbers(times))
        if isinstance(part, ast.Call) and reader.names.of(part.func) & {"itertools.chain", "itertools.cycle"}:
            rounds = sum(_follows_budget(reader, argument) for argument in part.args)
            if rounds > 1:
                return True
    return False


def _follows_budget(reader: Reader, node: ast.AST) -> bool:
    if reader.follows(node, lambda part: reader.is_setting(part, "RSI_BUDGET")):
        return True
    # What is iterated may be a generator or an object of the file's own that counts by itself.
    for part in reader.sources(node):
        for name in reader.names.of(part) if isinstance(part, (ast.Name, ast.Call, ast.Attribute)) else ():
            definition = reader.names.own.get(name.removesuffix("()"))
            if definition is not None and any(
                reader.follows(inner, lambda at: reader.is_setting(at, "RSI_BUDGET"))
                for inner in ast.walk(definition)
                if isinstance(inner, (ast.Name, ast.Attribute))
            ):
                return True
    return False


def _called_within(reader: Reader, function: ast.AST | None, bounded: set[ast.AST]) -> bool:
    if function is None:
        return False
    name = reader.names.path(function)
    calls = [node for node in reader.module.nodes if isinstance(node, ast.Call) and name in reader.names.of(node.func)]
    calls += reader.module.calls.get(getattr(function, "name", ""), [])
    return any(outer in bounded for call in calls for outer in reader.module.above(call))


def _inflated(reader: Reader) -> Iterator[Seen]:
    """Arithmetic that makes more of the budget than it is, or less of the seed."""
    lasting = {source for _, tells in _extents(reader) for tell in tells for source in reader.sources(tell)}
    for node in reader.module.nodes:
        if isinstance(node, (ast.BinOp, ast.AugAssign)):
            left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
            yield from _narrowed_seed(reader, node, left, right)
            told = node in lasting or (isinstance(node, ast.AugAssign) and _is_module_level(reader, node))
            for one, other in ((left, right), (right, left)):
                budget = _is(reader, one, "RSI_BUDGET")
                if not budget and not (_is_steps(reader, one) and node in lasting):
                    continue
                if one is right and isinstance(node.op, (*_SHARES, ast.Pow, ast.LShift)):
                    continue
                if _grows(reader, node.op, other):
                    message = "makes more of RSI_BUDGET than it is"
                    yield reader.seen("budget", WARNING if told else NOTICE, "budget inflated", node, message)
        elif isinstance(node, ast.Call) and "builtins.max" in reader.names.of(node.func):
            floor = max((n for argument in node.args for n in reader.fold.numbers(argument)), default=0)
            direct = [argument for argument in node.args if _is(reader, argument, "RSI_BUDGET")]
            constant = [a for a in node.args if isinstance(a, (ast.Constant, ast.BinOp)) and reader.fold.numbers(a)]
            if direct and constant and floor > _USUAL_BUDGET * _LARGE_SHARE:
                message = "trains at least for a length of its own, whatever RSI_BUDGET is"
                yield reader.seen("budget", WARNING, "budget floor", node, message)


def _is_module_level(reader: Reader, node: ast.AST) -> bool:
    return reader.module.function_around(node) is None


def _grows(reader: Reader, sign: ast.operator, other: ast.AST) -> bool:
    numbers = reader.fold.numbers(other)
    match sign:
        case ast.Mult():
            return any(number > 1 for number in numbers)
        case ast.Div() | ast.FloorDiv():
            return any(0 < number < 1 for number in numbers)
        case ast.Add():
            own = _is(reader, other, "RSI_BUDGET") or _is_steps(reader, other)
            return own or (isinstance(other, ast.Constant) and any(n > _USUAL_BUDGET * _LARGE_SHARE for n in numbers))
        case ast.Pow() | ast.LShift():
            return any(number > 0 for number in numbers)
        case _:
            return False


def _narrowed_seed(reader: Reader, node: ast.AST, left: ast.AST, right: ast.AST) -> Iterator[Seen]:
    if not _is(reader, left, "RSI_SEED") and not _is(reader, right, "RSI_SEED"):
        return
    sign = node.op  # type: ignore[attr-defined]
    numbers = reader.fold.numbers(right) or reader.fold.numbers(left)
    few = any(
        (isinstance(sign, ast.Mod) and abs(number) <= 1000)
        or (isinstance(sign, ast.Mult) and number == 0)
        or (isinstance(sign, ast.BitAnd) and 0 <= number <= 1000)
        or (isinstance(sign, ast.FloorDiv) and abs(number) >= 100_000)
        or (isinstance(sign, ast.RShift) and number >= 16)
        for number in numbers
    )
    if few:
        yield reader.seen("seed", WARNING, "seed narrowed", node, "leaves of RSI_SEED so little that few seeds differ")


# --- training more than once ------------------------------------------------------------------------------------


def _repeated(reader: Reader) -> Iterator[Seen]:
    """Whole trainings in a loop, or several of them: the best of many draws is no better model."""
    whole = {
        function
        for loop, tells in _extents(reader)
        if any(_follows_budget(reader, tell) for tell in tells)
        for function in reader.module.functions_around(loop)
    }
    if not whole:
        return
    paths = {reader.names.path(function): function for function in whole}
    calls = [
        (node, name)
        for node in reader.module.nodes
        if isinstance(node, ast.Call)
        for name in reader.names.of(node.func)
        if name in paths
    ]
    for call, name in calls:
        around = [outer for outer in reader.module.above(call) if isinstance(outer, (*_LOOPS, *COMPREHENSIONS))]
        own = reader.names.own[name]
        if own in reader.module.functions_around(call):
            yield reader.seen(
                "repeated-training", WARNING, "training in itself", call, "starts training again from within"
            )
        elif around:
            shared = _is_shared_out(reader, call, own, around[0])
            message = "trains several times in a loop" + (", each with a share of the budget" if shared else "")
            yield reader.seen("repeated-training", NOTICE if shared else WARNING, "training in a loop", call, message)
        elif reader.at_import(call):
            yield reader.seen("training-at-import", WARNING, "training at import", call, "trains when it is imported")
    straight = [call for call, name in calls if name.count(".") == 1]
    if len(straight) > 1 and len({call.lineno for call in straight}) > 1:
        shared = all(any(isinstance(part, (ast.BinOp, ast.Constant)) for part in call.args) for call in straight)
        message = "trains several times" + (", as it seems in parts" if shared else "")
        yield reader.seen(
            "repeated-training", NOTICE if shared else WARNING, "several trainings", straight[-1], message
        )
    yield from _handed_on(reader, paths)


def _handed_on(reader: Reader, paths: dict[str, ast.AST]) -> Iterator[Seen]:
    """Training handed to `map` and its like."""
    for call in reader.calls:
        mapping = call.name in ("builtins.map", "itertools.starmap") or call.name.endswith((".map", ".submit"))
        if mapping and call.arguments and any(name in paths for name in reader.names.of(call.arguments[0])):
            message = "trains several times by handing training on"
            yield reader.seen("repeated-training", WARNING, "training in a loop", call.node, message)


def _is_shared_out(reader: Reader, call: ast.Call, own: ast.AST, loop: ast.AST) -> bool:
    """Whether each run of several is told to use a share, or the length is divided by their number."""
    parts = [*call.args, *(keyword.value for keyword in call.keywords)]
    for argument in parts:
        for source in reader.sources(argument):
            if isinstance(source, ast.BinOp) and isinstance(source.op, _SHARES):
                return True
    iterated = loop.iter if isinstance(loop, (ast.For, ast.AsyncFor)) else getattr(loop, "generators", [None])[0]
    iterated = iterated.iter if isinstance(iterated, ast.comprehension) else iterated
    names = {part.id for part in ast.walk(iterated) if isinstance(part, ast.Name)} if iterated is not None else set()
    numbers = (
        {part.value for part in ast.walk(iterated) if isinstance(part, ast.Constant)} if iterated is not None else set()
    )
    for part in ast.walk(own):
        if not isinstance(part, _LOOPS):
            continue
        for source in reader.sources(part.test if isinstance(part, ast.While) else part.iter):
            if isinstance(source, ast.BinOp) and isinstance(source.op, _SHARES):
                for divisor in ast.walk(source.right):
                    if isinstance(divisor, ast.Name) and divisor.id in names:
                        return True
                    if isinstance(divisor, ast.Constant) and divisor.value in numbers and divisor.value != 1:
                        return True
    return False


# --- clocks and places as conditions ----------------------------------------------------------------------------


def _conditions(reader: Reader) -> Iterator[Seen]:
    """What the time or the machine decides."""
    for node in reader.module.nodes:
        if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
            test: ast.AST = node.test
        elif isinstance(node, ast.Match):
            test = node.subject
        elif isinstance(node, ast.comprehension) and node.ifs:
            test = node.ifs[0]
        else:
            continue
        told = {
            name.removesuffix("()")
            for source in reader.sources(test)
            if isinstance(source, (ast.Attribute, ast.Name, ast.Call))
            for name in reader.names.of(source)
        }
        if any(
            name in _DAY_CLOCKS or name.startswith(("datetime.datetime.now().", "time.localtime().")) for name in told
        ):
            message = "lets the time of day decide what it does"
            yield reader.seen("clock-condition", WARNING, "time of day", node, message)
        elif told & _CLOCKS:
            endless = isinstance(node, ast.While)
            message = "lets a clock decide " + ("how long it goes on" if endless else "what it does")
            yield reader.seen("clock-condition", WARNING if endless else NOTICE, "clock", node, message)
        if told & (_PLACE | _FILE_AGES):
            message = "lets the machine it runs on decide what it does"
            yield reader.seen("probing", WARNING, "machine decides", node, message)
        yield from _by_own_name(reader, test)


def _by_own_name(reader: Reader, test: ast.AST) -> Iterator[Seen]:
    for part in ast.walk(test):
        if isinstance(part, ast.Compare) and any(
            isinstance(side, ast.Name) and side.id == "__name__" for side in (part.left, *part.comparators)
        ):
            values = [text for side in (part.left, *part.comparators) for text in reader.fold.strings(side)]
            if values != ["__main__"] or not isinstance(part.ops[0], ast.Eq):
                message = "behaves otherwise when it is imported, which is how it is asked to predict"
                yield reader.seen("probing", WARNING, "imported or not", part, message)
