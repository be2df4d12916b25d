"""The parts of a model: how each is called, and what it has to give."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fsbench import guard
from fsbench.errors import PluginError, UsageError
from fsbench.images import to_levels
from fsbench.interfaces import CodeSwapper, Oracle, Source, Swapped, Swapper, Targets, Truth
from fsbench.record_types import ABSENT
from fsbench.results import TrainingRecord
from fsbench.specs import Spec

Kind = Literal["swapper", "refiner", "wrapper"]

ROUNDING = 1e-3
"""How far a pixel may lie outside [0, 1]; a quarter of a level of 255, more than half precision makes of 1."""

CALLS: dict[str, tuple[str, tuple[type | None, ...]]] = {
    "swap": ("swap(source, targets: Targets)", (None, Targets)),
    "refine": ("refine(output: Swapped, targets: Targets, source)", (Swapped, Targets, None)),
    "wrap": ("wrap(swapper)", (None,)),
    "reveal": ("reveal(truth)", (None,)),
    "encode": ("encode(targets: Targets)", (Targets,)),
    "decode": ("decode(codes, source, targets: Targets)", (None, None, Targets)),
}
"""Of each method: how it is written, and which of its arguments are records where earlier versions had tensors."""

REMEDY = "the pixels are targets.images and output.images; see fsbench.interfaces"


@dataclass(frozen=True)
class Part:
    """A swapper, refiner or wrapper, and how it came to be."""

    label: str
    spec: Spec
    kind: Kind
    plugin: Any
    summary: str = ""
    key: str | None = None  # hash of all that decides what it computes, but the images; None where it is not known
    training: TrainingRecord | None = None
    origin: Literal["ready", "loaded", "trained"] = "ready"
    weights: Path | None = None
    trained_on: str = ""  # content hash of the training split; "" where it is not known
    notes: tuple[str, ...] = ()
    wrapped: Swapper | None = None  # what a wrapper made of the parts before it

    @property
    def needs_truth(self) -> bool:
        """Whether it only repeats exact answers."""
        return self.kind == "swapper" and isinstance(self.plugin, Oracle)

    @property
    def who(self) -> str:
        """How errors name it."""
        return self.label if self.kind == "swapper" else f"{self.kind} {self.label}"


class Chain:
    """Parts of a pipeline, up to one of them, as one swapper: what a wrapper is given, and what outputs go through."""

    def __init__(self, parts: Sequence[Part], caller: str) -> None:
        self.parts, self.caller = tuple(parts), caller

    def swap(self, source: Source, targets: Targets) -> Swapped:
        """Return the outputs of the last part; raises PluginError, naming the caller, for arguments that are wrong."""
        check_call(self.caller, source, targets)
        with torch.inference_mode():
            return swap(self.parts, source, targets)


class CodeChain(Chain):
    """A swapper that goes through codes, and no other part."""

    def encode(self, targets: Targets) -> Tensor:
        """Return its codes of targets (N, ...); raises PluginError for anything else."""
        part = self.parts[0]
        with torch.inference_mode():
            codes = call(part.who, "encode", part.plugin.encode, targets)
        if not isinstance(codes, Tensor) or codes.shape[:1] != (len(targets),) or not codes.isfinite().all():
            raise PluginError(f"{part.who}: encode gave no finite code for each target", "a tensor (N, ...) is wanted")
        return codes

    def decode(self, codes: Tensor, source: Source, targets: Targets) -> Swapped:
        """Return its outputs for codes."""
        part = self.parts[0]
        with torch.inference_mode():
            given = call(part.who, "decode", part.plugin.decode, codes, source, targets)
        return check_output(part.who, given, targets.images)


def chain(parts: Sequence[Part], caller: str) -> Chain:
    """Parts of a pipeline as one swapper, with codes where they are a single swapper that has some."""
    coded = len(parts) == 1 and guard.run(parts[0].who, isinstance, parts[0].plugin, CodeSwapper)
    return CodeChain(parts, caller) if coded else Chain(parts, caller)


def swap(parts: Sequence[Part], source: Source, targets: Targets, truth: Truth | None = None) -> Swapped:
    """Return outputs for some targets of one source, after all parts.

    A part gets the 8-bit levels of the part before it: those that are measured where the pipeline ends there.
    Raises PluginError for what is no image, and for whatever a part raises that is no FsbenchError.
    """
    first = max(i for i, part in enumerate(parts) if part.kind != "refiner")  # a wrapper calls those before it
    output = run_part(parts[first], None, source, targets, truth)
    for part in parts[first + 1 :]:
        alpha = None if output.alpha is None else to_levels(output.alpha)
        output = run_part(part, Swapped(to_levels(output.images), alpha, output.absent), source, targets, truth)
    return output


def run_part(
    part: Part, output: Swapped | None, source: Source, targets: Targets, truth: Truth | None = None
) -> Swapped:
    """Return what one part makes of the output of the part before it, which only a refiner is given."""
    if part.kind == "refiner":
        assert output is not None
        given = call(part.who, "refine", part.plugin.refine, output, targets, source)
        return replace(check_output(part.who, given, targets.images), absent=output.absent)
    if part.kind == "wrapper":
        assert part.wrapped is not None
        given = call(part.who, "swap", part.wrapped.swap, source, targets)
    elif not part.needs_truth:
        given = call(part.who, "swap", part.plugin.swap, source, targets)
    elif truth is not None:
        given = call(part.who, "reveal", part.plugin.reveal, truth.exact.on(targets.images.device))
    else:
        raise UsageError(f"{part.who} needs a data set that knows the exact swaps", "try --dataset synthetic")
    return check_output(part.who, given, targets.images)


def call(who: str, method: str, function: Callable[..., Any], *args: object) -> Any:
    """Call a method of CALLS; raises PluginError that says what to change where it took a record for a tensor."""
    try:
        return guard.call(who, function, *args)
    except PluginError as error:
        cause, own = error.__cause__, error.message.startswith(f"{who} raised ")  # not of a swapper that it wraps
        if own and isinstance(cause, TypeError | AttributeError) and re.search(r"\b(Targets|Swapped)\b", str(cause)):
            raise PluginError(error.message, f"it is called {CALLS[method][0]}: {REMEDY}") from cause
        raise


def check_signature(who: str, plugin: object, method: str) -> None:
    """Raise PluginError for a method that is missing, cannot take its arguments, or says that it takes a tensor.

    That is told by annotations alone: names of parameters are the author's choice. What has no signature passes.
    """
    function = guard.run(who, getattr, plugin, method, None)
    written, records = CALLS[method]
    if not callable(function):
        raise PluginError(f"{who} has no {method}", f"it needs {written}; see fsbench.interfaces")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        bound = signature.bind(*records)
    except TypeError as error:
        fault = f"{who}: {method}{signature} is called {written}: {error}"
        raise PluginError(fault, "see fsbench.interfaces") from error
    for name, record in bound.arguments.items():
        words = set(re.findall(r"\w+", str(signature.parameters[name].annotation)))
        if isinstance(record, type) and "Tensor" in words and record.__name__ not in words:
            was = f"{method} takes a tensor as {name}, and is handed {record.__name__}"
            raise PluginError(f"{who}: {was}", f"write {written}: {REMEDY}")


def check_call(who: str, source: object, targets: object) -> None:
    """Raise PluginError for what `who` may not hand to a swapper."""
    if not isinstance(source, Source) or not isinstance(targets, Targets):
        given, wanted = (targets, "Targets") if isinstance(source, Source) else (source, "Source")
        fault = f"{who} handed {type(given).__name__}, not {wanted}, to the swapper that it wraps"
        raise PluginError(fault, "call swap(source, targets), with replace(targets, images=...) for other images")
    images, n = targets.images, len(targets.rows)
    if not (isinstance(images, Tensor) and images.ndim == 4 and len(images) == len(targets.landmarks) == n):
        raise PluginError(f"{who} handed targets whose images, landmarks and rows differ in number", REMEDY)
    check_image(f"{who}, as targets,", images, images, 3)


def check_output(who: str, given: object, targets: Tensor) -> Swapped:
    """Return what a part gave for targets (N, 3, S, S) as float32 on their device; raises PluginError for no output."""
    output = Swapped.of(given)  # type: ignore[arg-type]
    images = check_image(who, output.images, targets, 3)
    alpha = None if output.alpha is None else check_image(f"{who}, as alpha,", output.alpha, targets, 1)
    if output.absent and (len(output.absent) != len(targets) or not {*output.absent} <= {"", *ABSENT}):
        raise PluginError(f"{who} gave no word of ABSENT, or '', for each target", f"they are {' and '.join(ABSENT)}")
    return Swapped(images, alpha, output.absent)


def check_image(who: str, given: object, targets: Tensor, channels: int) -> Tensor:
    """Return images or masks for some targets as float32 on their device; raises PluginError for anything else.

    Values outside [0, 1] by more than ROUNDING are an error: clipped in silence, they would be another picture.
    """
    if not isinstance(given, Tensor):
        remedy = f"an output is a tensor (N, 3, S, S), or Swapped: {REMEDY}"
        raise PluginError(f"{who} gave {type(given).__name__}, not a tensor", remedy)
    shape = (len(targets), channels, *targets.shape[2:])
    if given.shape != shape:
        raise PluginError(f"{who} gave {tuple(given.shape)} for {tuple(targets.shape)}", f"{shape} is wanted")
    if not given.is_floating_point() or given.layout != torch.strided:
        kind = f"{who} gave {given.dtype} of layout {given.layout}".replace("torch.", "")
        raise PluginError(kind, "pixels are float32 in [0, 1]: divide 8-bit levels by 255")
    given = given.to(targets.device, torch.float32)
    if not bool(given.isfinite().all()):
        raise PluginError(
            f"{who} gave values that are not finite", "its training may have diverged: try another seed or budget"
        )
    low, high = (float(end) for end in given.aminmax())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise PluginError(
            f"{who} gave values from {low:.4g} to {high:.4g}", "pixels are in [0, 1]: scale or clamp them"
        )
    return given.clamp(0, 1)
