"""What the command line accepts: the types of its flags, and the parts of a run's configuration made of them.

Flags that several commands share in a body are the fields of a dataclass; `spelled_out` makes a command take them.
Heavy imports happen inside the functions, so that `rsi --help` answers at once.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
import tomllib
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rsi.configuration import Budget, Component, Options, RunConfiguration
    from rsi.task import TaskSpec

DEFAULT_POLICY = "expected-gain"
DEFAULT_ALPHA = 0.05
DEFAULT_CERTIFY_SHARE = 0.15

_TESTS = "What the run may claim"
_MODELS = "Language models (--proposer llm)"

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, its folder, or latest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the documented, versioned JSON instead.")]

Trust = Annotated[bool, typer.Option("--trust", help="Run what a folder from another machine names.")]

Experiments = Annotated[int | None, typer.Option(min=0, help="Stop after that many; 0 measures the baseline.")]
Hours = Annotated[float | None, typer.Option(help="Stop proposing after that many hours.")]
Trials = Annotated[int | None, typer.Option(min=1, help="Trainings of every kind, those of milestones among them.")]
Seed = Annotated[int | None, typer.Option(help="Fix all that is drawn at random; by default a secret.")]
Parallel = Annotated[
    int | None, typer.Option(min=1, max=64, help="Trials side by side; by default what the cores allow.")
]

Policy = Annotated[
    str, typer.Option(help="What to keep: expected-gain, greedy, fixed, threshold, sequential, or path.py:Class.")
]
PolicyOption = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="For the policy; as often as there are options.")
]
VerifierNames = Annotated[
    list[str] | None,
    typer.Option(
        "--verifier", help="A further one (floor, …, path.py:Class); one that measures replaces the task's own."
    ),
]
WithoutVerifier = Annotated[list[str] | None, typer.Option(help="One of those beside the task's own to leave out.")]
VerifierOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME.KEY=VALUE", help="For a verifier; as often as there are options.")
]
Runtime = Annotated[str, typer.Option(help="Of the engine's, instead of its default: runsc for gVisor.")]
Gpus = Annotated[str, typer.Option(help="all, a number, or device=0,1; with the image of RSI_TORCH=cuda.")]

Certify = Annotated[
    bool, typer.Option(help="Test the gain on the holdout, on fresh seeds, at milestones.", rich_help_panel=_TESTS)
]
Alpha = Annotated[
    float, typer.Option(help="The chance that any claim of the run is false, at most.", rich_help_panel=_TESTS)
]
CertifyShare = Annotated[
    float, typer.Option(help="Of --trials and --hours: set aside for milestones.", rich_help_panel=_TESTS)
]
NullEdits = Annotated[
    float,
    typer.Option(help="How often to slip in an edit that does nothing, to see if it is kept.", rich_help_panel=_TESTS),
]
HoldoutQuestions = Annotated[
    int,
    typer.Option(
        min=0, max=10_000, help="Kept experiments asked how far dev is ahead of the holdout.", rich_help_panel=_TESTS
    ),
]
Confirm = Annotated[
    int,
    typer.Option(
        min=0,
        max=100,
        help="Fresh seeds for baseline and best at the end: a comparison with an interval, without a test.",
        rich_help_panel=_TESTS,
    ),
]

Model = Annotated[list[str] | None, typer.Option(help="As litellm names it; several compete.", rich_help_panel=_MODELS)]
ApiBase = Annotated[
    list[str] | None,
    typer.Option(
        help="A server of your own (Ollama, vLLM, …): one for all models or one each.", rich_help_panel=_MODELS
    ),
]
Repairs = Annotated[int, typer.Option(help="Rounds to mend an edit that does not apply.", rich_help_panel=_MODELS)]
Effort = Annotated[str, typer.Option(help="none, minimal, low, medium, high or xhigh.", rich_help_panel=_MODELS)]
History = Annotated[int, typer.Option(help="Experiments told in full, besides the table.", rich_help_panel=_MODELS)]
Critique = Annotated[int, typer.Option(help="Rounds of criticising its own edit.", rich_help_panel=_MODELS)]
EditForm = Annotated[str, typer.Option(help="search-replace, unified-diff or whole-file.", rich_help_panel=_MODELS)]
PromptTokens = Annotated[int, typer.Option(help="Of a prompt, about; history is cut to it.", rich_help_panel=_MODELS)]
AnswerTokens = Annotated[
    int, typer.Option(help="Of an answer; room for thinking comes on top.", rich_help_panel=_MODELS)
]
MaxCost = Annotated[float | None, typer.Option(help="Dollars, never passed.", rich_help_panel=_MODELS)]
MaxTokens = Annotated[int | None, typer.Option(help="Input and output tokens, never passed.", rich_help_panel=_MODELS)]
MaxCalls = Annotated[int | None, typer.Option(help="Requests, repeated ones included.", rich_help_panel=_MODELS)]
Unisolated = Annotated[
    bool,
    typer.Option(
        "--unsafe-no-isolation",
        help="Let a model's code run in a sandbox that does not isolate.",
        rich_help_panel=_MODELS,
    ),
]


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """What language models may be asked and cost."""

    max_cost: MaxCost = None
    max_tokens: MaxTokens = None
    max_calls: MaxCalls = None

    def budget(
        self, *, experiments: int | None = None, hours: float | None = None, trials: int | None = None
    ) -> Budget | None:
        """These limits and others, None where there is none; one that is not more than 0 is told by its flag."""
        from rsi.configuration import Budget
        from rsi.errors import UsageError

        positive = {
            "--hours": hours,
            "--max-cost": self.max_cost,
            "--max-tokens": self.max_tokens,
            "--max-calls": self.max_calls,
        }
        for flag, value in positive.items():
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{flag} must be a number more than 0.")
        if all(value is None for value in (experiments, trials, *positive.values())):
            return None
        return Budget(
            experiments=experiments,
            hours=hours,
            trials=trials,
            cost_usd=self.max_cost,
            tokens=self.max_tokens,
            calls=self.max_calls,
        )


@dataclass(frozen=True, kw_only=True)
class Limits(CallLimits):
    """When a run ends."""

    experiments: Experiments = None
    hours: Hours = None
    trials: Trials = None

    def given(self) -> Budget | None:
        """As a budget, None where no limit was given."""
        return self.budget(experiments=self.experiments, hours=self.hours, trials=self.trials)


@dataclass(frozen=True, kw_only=True)
class Models:
    """Which language models are asked for a proposal, and how."""

    model: Model = None
    api_base: ApiBase = None
    repairs: Repairs = 2
    effort: Effort = ""
    critique: Critique = 0
    edit_format: EditForm = "search-replace"
    answer_tokens: AnswerTokens = 4096

    @property
    def named(self) -> dict[str, str]:
        """The models and their servers, by commas."""
        return {"model": ",".join(self.model or []), "api_base": ",".join(self.api_base or [])}

    @property
    def settings(self) -> dict[str, Any]:
        """How they are asked: fields of `rsi.proposers.llm.settings.Settings`."""
        return {name: value for name, value in asdict(self).items() if name not in {"model", "api_base"}}


@dataclass(frozen=True, kw_only=True)
class ModelsInARun(Models):
    """The same, where earlier experiments are told to them."""

    history: History = 2
    prompt_tokens: PromptTokens = 6000


def spelled_out(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are dataclasses are given flag by flag, in their place.

    Typer makes a flag of every parameter of a function and knows no bodies of them.
    """
    signature = inspect.signature(command, eval_str=True)
    bodies: dict[str, Any] = {
        name: found.annotation for name, found in signature.parameters.items() if is_dataclass(found.annotation)
    }

    @functools.wraps(command)
    def spelled(**given: Any) -> None:
        made = {
            name: body(**{field.name: given.pop(field.name) for field in fields(body)}) for name, body in bodies.items()
        }
        command(**given, **made)

    parameters = [each for found in signature.parameters.values() for each in _each(found)]
    spelled.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
    # Whatever reads a signature reads this one.
    spelled.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return spelled


def _each(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    body = parameter.annotation
    if not is_dataclass(body):
        yield parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        return
    hints = get_type_hints(body, include_extras=True)
    for field in fields(body):
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )


def fixed(seed: int | None) -> int | None:
    """A seed from which others are derived; UsageError for one that cannot be, or would be taken for none."""
    from rsi.errors import UsageError

    if seed is not None and not 1 <= seed < 2**63:
        raise UsageError(f"--seed is {seed}; give a whole number from 1 to {2**63 - 1}, or none for a secret one.")
    return seed


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def composed(
    task: str,
    spec: TaskSpec,
    *,
    proposer: Component,
    policy: Component,
    sandbox: Component,
    verifiers: dict[str, Any],
    budget: Budget | None,
    claims: dict[str, Any],
    parallel: int | None = None,
    data: str = "",
    disk_quota: float = 20.0,
    keep_artifacts: int = 20,
    approve: bool = False,
    **further: Any,
) -> RunConfiguration:
    """A run's configuration from its parts; `further` are fields of it that need no composing."""
    from pathlib import Path

    from rsi.configuration import Budget, Retention, RunConfiguration
    from rsi.session import side_by_side

    return RunConfiguration(
        task=task,
        proposer=proposer,
        policy=policy,
        sandbox=sandbox,
        **verifiers,
        budget=budget or Budget(),
        **claims,
        parallel=parallel or (1 if approve else side_by_side(spec.limits.train)),
        data=str(Path(data).resolve()) if data else "",
        retention=Retention(artifacts=keep_artifacts, quota_bytes=int(disk_quota * 1024**3)),
        approve=approve,
        **further,
    )


def claims(
    *, certify: bool, alpha: float, certify_share: float, null_edits: float, holdout_questions: int
) -> dict[str, Any]:
    """What a run's configuration says of testing its gains; a share that is none is told by its flag."""
    from rsi.claims.input import check_share
    from rsi.errors import UsageError

    check_share(alpha, "--alpha")
    check_share(certify_share, "--certify-share")
    if not certify and (alpha, certify_share) != (DEFAULT_ALPHA, DEFAULT_CERTIFY_SHARE):
        raise UsageError(
            "--alpha and --certify-share are about milestones, and --no-certify has none; drop one of them."
        )
    if not 0 <= null_edits <= 0.5:
        raise UsageError(f"--null-edits is {null_edits:g}; set it between 0, for none, and 0.5.")
    return {
        "certify": certify,
        "alpha": alpha,
        "certify_share": certify_share,
        "null_share": null_edits,
        "holdout_questions": holdout_questions,
        "shared_seeds": True,
    }


def proposer(name: str, options: dict[str, Any], models: Models) -> Component:
    """A proposer by name; what is said about models is for one that asks them."""
    from rsi.configuration import Component
    from rsi.errors import UsageError

    if name == "llm":
        options = {**models.named, **models.settings, **options}
    elif models.model or models.api_base:
        raise UsageError("--model and --api-base go with --proposer llm.")
    else:
        from rsi.proposers.llm.settings import Settings

        for option, value in models.settings.items():
            if value != Settings.model_fields[option].default:
                raise UsageError(f"{_flag(option)} goes with --proposer llm.")
    return Component(name=name, options=options)


def sandbox(name: str, **hardware: str) -> Component:
    """A sandbox by name; what is said about hardware is for one that has a say in it."""
    from rsi.configuration import Component
    from rsi.errors import UsageError

    chosen = {option: value for option, value in hardware.items() if value}
    if chosen and name == "process":
        raise UsageError("--runtime and --gpus go with --sandbox docker.")
    return Component(name=name, options=dict(chosen))


def policy(name: str, given: list[str] | None) -> Component:
    """A policy by name, with its options; whether it takes them is seen when it is built."""
    from rsi.configuration import Component

    options: Options = {}
    for text in given or []:
        key, value = option(text)
        options[key] = value
    return Component(name=name, options=options)


def verifiers(
    spec: TaskSpec,
    names: list[str] | None = None,
    without: list[str] | None = None,
    given: list[str] | None = None,
) -> dict[str, Any]:
    """What a run's configuration says of its verifiers."""
    from rsi.errors import UsageError
    from rsi.verification import chosen

    options: dict[str, Options] = {}
    for text in given or []:
        name = text.partition("=")[0].rpartition(".")[0]
        if not name:
            raise UsageError(f"--verifier-option {text!r} is not of the form name.key=value.")
        key, value = option(text[len(name) + 1 :], "--verifier-option")
        options.setdefault(name, {})[key] = value
    first, beside = chosen(spec, names or [], without or [], options)
    return {"verifier": first, "verifiers": beside}


def option(text: str, flag: str = "--policy-option") -> tuple[str, str | int | float | bool]:
    """A key and a value typed as in TOML; a bare word is text."""
    from rsi.errors import UsageError

    key, separator, written = text.partition("=")
    key = key.strip().replace("-", "_")
    if not (separator and key.isidentifier()):
        raise UsageError(f"{flag} {text!r} is not of the form key=value.")
    if re.fullmatch(r"[^\W\d][\w./-]*", written.strip()) and written.strip() not in {"true", "false", "nan", "inf"}:
        return key, written.strip()
    try:
        value = tomllib.loads(f"value = {written}")["value"] if "\n" not in written else None
    except tomllib.TOMLDecodeError:
        value = None
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise UsageError(f'{flag} {key}: write a number, true, false, a word, or "text in quotes".')
    return key, value
