"""From a metric in the registry to a function of tensors, with a signature and a docstring, and to a class."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fsbench.errors import FsbenchError, NotScorable, UsageError
from fsbench.evidence.needs import JUDGE, observers_in
from fsbench.functional._built import DEFAULT_JUDGE, BuiltMetric, built, context_on
from fsbench.functional._inputs import Given, People, Rows
from fsbench.harness.measurements import MEANS
from fsbench.interfaces import Embedder, MetricInfo
from fsbench.registry import Entry, Spec

IMAGES = "(N, 3, S, S) aligned crops, RGB, floats in [0, 1]; they are rounded to 8 bits, as files are"
TEXTS: Mapping[str, str] = {
    "source": "whom each output should show: (N, 3, S, S), one image for each output, or (N, K, 3, S, S), K images; "
    "N may be 1, where all show one person: source[None]. Or the name of one of `people`.",
    "target": "(N, 3, S, S); output i was made from target i.",
    "exact": "(N, 3, S, S), the right answer to each output.",
    "mask": "(N, 1, S, S), above 0.5 where target or exact swap show the face. Default: an oval by the landmarks.",
    "rows": "what is known of each target, by name, (N,) each: `identity` and `session`, which say who of `people` it "
    "shows, and which images are left out; `frame` of a clip, ascending; true facts, such as `yaw`. A mapping or a "
    "data frame.",
    "people": "real images that outputs are compared with, {name: (K, 3, S, S)}, or fsbench.interfaces.Faces. "
    "Thresholds are made of them.",
    "gallery": "strangers whom an output could be taken for, in the same form.",
    "judge": "the recogniser: a name of `fsbench list embedders`, or an object (fsbench.interfaces.Embedder).",
    "device": "where networks compute: auto, cpu, cuda or cuda:N.",
}
RAISES = (
    "Raises UsageError for tensors of another shape, type or range, and for an argument that is looked at and was left "
    "out; NotScorable where a network is not installed, or nothing can be compared. The message says what to do."
)

WIDTH = 116
"""Characters of a line of help, as docstrings have."""

_TYPES: Mapping[str, Any] = {
    "source": Tensor | str, "judge": str | Embedder, "people": People | None, "gallery": People | None,
    "rows": Rows | None, "device": str, "mask": Tensor | None,
}  # fmt: skip


def info_of(entry: Entry[Any]) -> MetricInfo:
    """The facts about a metric with its default parameters, as far as they can be known on this machine."""
    try:
        info: MetricInfo = entry.build(Spec(entry.name), context_on("cpu")).info
    except FsbenchError:
        info = entry.factory.info  # type: ignore[attr-defined]
    return info


def is_distribution(entry: Entry[Any]) -> bool:
    """Whether a metric compares distributions, and has no rows."""
    return not hasattr(entry.factory, "measure")


def parameters(entry: Entry[Any], info: MetricInfo) -> list[Parameter]:
    """What a function of a metric takes, as help shows it."""
    judged, exact = JUDGE in info.needs, "exact" in info.needs
    first = ["output"]
    keywords: dict[str, Any] = {}
    if is_distribution(entry):
        first.append("target")
    else:
        first += ["source"] if judged else ["exact"] if exact else ["target"]
        keywords = {"target": None} if judged or exact else {}
        others = [need for need in info.needs if need not in (JUDGE, "exact", *observers_in(info.needs))]
        keywords |= dict.fromkeys((*others, "mask", "rows"))
        keywords |= {"people": None, "gallery": None} if judged else {}
    keywords |= {"judge": DEFAULT_JUDGE} if judged else {}
    own = {name: parameter.default for name, parameter in entry.parameters.items() if name not in keywords}
    keywords |= own | {"device": "auto"}
    shown = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=_TYPES.get(name, Tensor)) for name in first]
    for name, default in keywords.items():
        kind = Parameter.POSITIONAL_OR_KEYWORD if name == "target" else Parameter.KEYWORD_ONLY
        annotation = entry.parameters[name].annotation if name in own else _TYPES.get(name, Any)
        annotation = Tensor | None if name == "target" else annotation
        shown.append(Parameter(name, kind, default=default, annotation=annotation))
    return shown


def function_of(entry: Entry[Any], module: str) -> Callable[..., Any]:
    """A function of tensors that gives the rows of a metric, or the value of a distribution."""
    info = info_of(entry)
    call = _Call(entry, parameters(entry, info))

    def function(*args: Any, **kwargs: Any) -> Any:
        arguments = call.bind(args, kwargs)
        metric = call.build(arguments)
        if is_distribution(entry):
            return metric.value_of_features(*metric.features(*call.sides(arguments)))
        rows = torch.from_numpy(metric.rows(call.given(arguments)))
        return rows[:, 0] if rows.shape[1] == 1 else rows

    kind: Any = float if is_distribution(entry) else Tensor
    function.__signature__ = inspect.Signature(call.parameters, return_annotation=kind)  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = entry.name
    function.__module__ = module
    function.__doc__ = _document(entry, info, call.parameters)
    return function


def class_of(entry: Entry[Any], name: str, module: str) -> type[RunningMetric]:
    """A class that gathers what a metric measures, batch by batch."""
    info = info_of(entry)
    shown = parameters(entry, info)
    own = _settings(entry, shown)
    given = [parameter for parameter in shown if parameter.name not in own]

    def update(self: RunningMetric, *args: Any, **kwargs: Any) -> None:
        RunningMetric.update(self, *args, **kwargs)

    myself = Parameter("self", Parameter.POSITIONAL_ONLY)
    update.__signature__ = inspect.Signature([myself, *given])  # type: ignore[attr-defined]
    update.__doc__ = f"{RunningMetric.update.__doc__}\n\n{_arguments(entry, info, given)}"
    doc = f"{entry.summary}\n\n{inspect.cleandoc(RunningMetric.__doc__ or '')}"
    body = {"__doc__": doc, "__module__": module, "entry": entry, "update": update}
    made = type(name, (RunningMetric,), body)
    settings = [parameter for parameter in shown if parameter.name in own]
    made.__signature__ = inspect.Signature(settings)  # type: ignore[attr-defined]
    return made


def _settings(entry: Entry[Any], shown: list[Parameter]) -> list[str]:
    """Arguments that decide which networks are made: the others are of a single call."""
    return [p.name for p in shown if p.name in ("judge", "device") or p.name in entry.parameters]


class RunningMetric:
    """Gathers rows of all batches; `compute` gives the metric's value of them, which does not depend on batches.

    `update` measures a batch, `compute` raises NotScorable where too few outputs could be scored, `reset` forgets.
    `n_total` outputs were seen, of which `n_scored` could be scored. Networks are made once, with the object.
    """

    entry: Entry[Any]

    def __init__(self, **settings: Any) -> None:
        """Make the networks; raises FsbenchError for what does not exist, or whose files are missing."""
        shown = parameters(self.entry, info_of(self.entry))
        own = _settings(self.entry, shown)
        for name in settings:
            if name not in own:
                raise UsageError(f"{type(self).__name__} takes no {name}", f"it takes {', '.join(own)}")
        self._call = _Call(self.entry, [parameter for parameter in shown if parameter.name not in own])
        self._metric = _Call(self.entry, shown).build(settings)
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._people: object = None

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Measure a batch, or one clip; raises UsageError, NotScorable."""
        arguments = self._call.bind(args, kwargs)
        if is_distribution(self.entry):
            self._parts.append(self._metric.features(*self._call.sides(arguments)))
            return
        rows = self._metric.rows(self._call.given(arguments))
        if rows.shape[1] > 1 and self._metric.judge is not None:
            self._check_people(arguments.get("people"), arguments.get("source"))
        self._parts.append((rows,))

    def compute(self) -> float:
        """The value of all batches, in the unit of the metric."""
        if not self._parts:
            raise NotScorable("nothing was measured yet", "call update first")
        whole = [np.concatenate(parts) for parts in zip(*self._parts, strict=True)]
        if is_distribution(self.entry):
            return self._metric.value_of_features(*whole)
        return self._metric.value_of_rows(whole[0])

    @property
    def n_total(self) -> int:
        """Outputs, or clips, that were measured."""
        return sum(len(part[0]) for part in self._parts)

    @property
    def n_scored(self) -> int:
        """Those that could be scored."""
        return sum(int(np.logical_not(sum(np.isnan(side).any(1) for side in part)).sum()) for part in self._parts)

    def _check_people(self, people: object, source: object) -> None:
        """Rows that name people by number can be put together where the people are the same."""
        if self._parts and (people is None or people is not self._people or not isinstance(source, str)):
            raise UsageError(
                f"batches of {self.entry.name} need the same people",
                "give people={name: images, ...}, the same each time, and source as a name",
            )
        self._people = people


class _Call:
    """Reads the arguments of a call; all but the outputs may be left out until a metric looks at them."""

    def __init__(self, entry: Entry[Any], shown: list[Parameter]) -> None:
        self.entry, self.parameters = entry, shown
        loose = [p if p.name == "output" or p.default is not p.empty else p.replace(default=None) for p in shown]
        self._signature = inspect.Signature(loose)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name; raises TypeError as a call of any function does."""
        try:
            return dict(self._signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise TypeError(f"{self.entry.name}{inspect.Signature(self.parameters)}: {error}") from None

    def build(self, arguments: Mapping[str, Any]) -> BuiltMetric:
        """The metric with its networks."""
        own = {name: arguments[name] for name in self.entry.parameters if name in arguments}
        return built(self.entry, own, arguments.get("judge", DEFAULT_JUDGE), arguments.get("device", "auto"))

    def given(self, arguments: Mapping[str, Any]) -> Given:
        """What a metric of rows is shown."""
        names = ("output", "target", "source", "mask", "rows", "people", "gallery")
        taken = {"judge", "device", *names, *self.entry.parameters}
        evidence = {name: value for name, value in arguments.items() if name not in taken}
        return Given(**{name: arguments[name] for name in names if name in arguments}, evidence=evidence)

    def sides(self, arguments: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Outputs and targets of a metric of distributions."""
        for name in ("output", "target"):
            if not isinstance(value := arguments.get(name), Tensor):
                raise UsageError(f"{name} is {type(value).__name__}", "give images (N, 3, S, S) or features (N, D)")
        return arguments["output"], arguments["target"]


def _document(entry: Entry[Any], info: MetricInfo, shown: list[Parameter]) -> str:
    """The metric's own docstring, then what the function takes, gives and raises."""
    text, told = inspect.getdoc(entry.factory) or entry.name, _arguments(entry, info, shown)
    closing = f"{_returns(entry, info)} {RAISES} Source: {info.reference}."
    return f"{text}\n\n{told}\n\n{textwrap.fill(closing, WIDTH)}"


def _arguments(entry: Entry[Any], info: MetricInfo, shown: list[Parameter]) -> str:
    """A line for each argument."""
    lines = []
    for name in (parameter.name for parameter in shown):
        if name == "output":
            text = f"{IMAGES}{'; the frames of one clip, in their order' if info.sample == 'clip' else ''}."
        elif is_distribution(entry) and name == "target":
            text = "the same of the targets, row by row. Both may be features (N, D)."
        elif name in entry.parameters:
            text = f"as in `{entry.name}({name}=...)` of the command line; one of {', '.join(entry.choices(name))}."
        else:
            text = TEXTS.get(name, f"evidence, in place of what is computed of outputs and targets: {name}, (N, ...).")
        lines.append(textwrap.fill(f"{name}: {text}", WIDTH, subsequent_indent="    "))
    return "\n".join(lines)


def _returns(entry: Entry[Any], info: MetricInfo) -> str:
    unit, better = (f"in {info.unit}" if info.unit else "a pure number"), f"{info.direction} is better"
    if is_distribution(entry):
        return f"Returns the value, {unit}; {better}."
    shape = "(1,)" if info.sample == "clip" else "(N,)"
    summarise: Any = getattr(entry.factory, "summarise", None)
    own = {
        None: "the metric's value is not their mean: gather them with the class of this name",
        1.0: "the metric's value is their mean",
        100.0: "they are shares, and the metric's value is their mean in percent",
    }[MEANS.get(summarise)]
    return (
        f"Returns rows, {shape} float64 on the CPU, {unit}; {better}; {own}. NaN where nothing can be compared. "
        f"An output without a face: {info.no_face}."
    )
