"""Names to plug-ins.

A plug-in is a class (or any callable) registered under the name that people type, in the registry of its kind
(`swappers`, `refiners`, `metrics`, `datasets`, `embedders`, `observers`):

    from fsbench.registry import swappers

    @swappers.register("my_swapper")
    class MySwapper: ...

Built-in modules are listed below; other packages name a module under the entry-point group `fsbench.plugins`, and
importing that module registers what it has. One that fails to import is kept as `Broken` and harms nobody else.
"""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from fsbench.errors import BadParameter, PluginError, UnknownName, UsageError

ENTRY_POINTS = "fsbench.plugins"
BUILT_IN = (
    "fsbench.datasets.folder",
    "fsbench.datasets.synthetic",
    "fsbench.datasets.trump_cage",
    "fsbench.embedders.dlib_resnet",
    "fsbench.embedders.facenet_casia",
    "fsbench.embedders.facenet_vggface2",
    "fsbench.embedders.keras_vggface",
    "fsbench.embedders.onnx",
    "fsbench.embedders.vggface2_resnet50",
    "fsbench.embedders.vggface2_senet50",
    "fsbench.metrics.background",
    "fsbench.metrics.coverage",
    "fsbench.metrics.density",
    "fsbench.metrics.expression_error",
    "fsbench.metrics.expression_residual",
    "fsbench.metrics.fid",
    "fsbench.metrics.fid_clean",
    "fsbench.metrics.fid_face",
    "fsbench.metrics.fid_infinity",
    "fsbench.metrics.gaze_error",
    "fsbench.metrics.gt_expression_error",
    "fsbench.metrics.gt_gaze_error",
    "fsbench.metrics.gt_lpips",
    "fsbench.metrics.gt_lpips_crop",
    "fsbench.metrics.gt_pose_error",
    "fsbench.metrics.gt_pose_error_five",
    "fsbench.metrics.gt_psnr",
    "fsbench.metrics.gt_psnr_crop",
    "fsbench.metrics.gt_ssim",
    "fsbench.metrics.gt_ssim_crop",
    "fsbench.metrics.id_equivalent_far",
    "fsbench.metrics.id_leakage",
    "fsbench.metrics.id_nearer_source",
    "fsbench.metrics.id_retrieval",
    "fsbench.metrics.id_similarity",
    "fsbench.metrics.id_target_verified",
    "fsbench.metrics.id_target_verified_strict",
    "fsbench.metrics.id_topk",
    "fsbench.metrics.id_topk_jsd",
    "fsbench.metrics.id_topk_rbo",
    "fsbench.metrics.id_verified",
    "fsbench.metrics.id_verified_strict",
    "fsbench.metrics.inception_score",
    "fsbench.metrics.kid",
    "fsbench.metrics.kid_clean",
    "fsbench.metrics.kid_face",
    "fsbench.metrics.lpips",
    "fsbench.metrics.mmd",
    "fsbench.metrics.opening_error",
    "fsbench.metrics.pose_error",
    "fsbench.metrics.pose_error_five",
    "fsbench.metrics.precision",
    "fsbench.metrics.recall",
    "fsbench.metrics.recursion_drift",
    "fsbench.metrics.skin_colour",
    "fsbench.metrics.skin_colour_worst",
    "fsbench.observers.face_mesh",
    "fsbench.observers.five_points",
    "fsbench.observers.inception",
)

T = TypeVar("T")
Factory = Callable[..., T]


@dataclass(frozen=True)
class Spec:
    """A plug-in as typed: `name`, `name(parameter=value)`, `name(value)`, `name@path`, `name:path`."""

    name: str
    params: Mapping[str, str] = field(default_factory=dict)  # the one without a name is the plug-in's first parameter
    path: str = ""

    def __str__(self) -> str:
        params = ",".join(f"{key}={value}" if key else value for key, value in sorted(self.params.items()))
        return self.name + (f"({params})" if params else "") + (f"@{self.path}" if self.path else "")


def parse_spec(text: str) -> Spec:
    """Read one specification; raises UsageError.

    >>> parse_spec("gan_mask(size=lite, norm=group)@model.safetensors").params["norm"]
    'group'
    >>> str(parse_spec("onnx(sface)")), parse_spec("onnx(sface)").params
    ('onnx(sface)', {'': 'sface'})
    """
    match = re.fullmatch(r"\s*(?P<name>\w+)\s*(?:\((?P<params>[^()]*)\))?\s*(?:[@:](?P<path>.*))?", text, re.DOTALL)
    if match is not None and match["path"] is not None and not match["path"].strip():
        raise UsageError(f"no path follows in {text.strip()!r}", f"write {text.strip()}PATH")
    if match is None:
        raise UsageError(f"cannot read {text.strip()!r}", "write name, name(parameter=value,...) or name@path")
    params: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in (match["params"] or "").split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals and not params:
            key, value = "", key
        elif not (key.isidentifier() and equals and value):
            raise UsageError(f"cannot read parameter {item!r} in {text.strip()!r}", "write parameter=value")
        if key in params:
            raise UsageError(f"parameter {key!r} is given twice in {text.strip()!r}")
        params[key] = value
    return Spec(match["name"], params, (match["path"] or "").strip())


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at separators outside parentheses.

    >>> split_list("a(x=1,y=2),b")
    ['a(x=1,y=2)', 'b']
    """
    depth, parts = 0, [""]
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


@dataclass(frozen=True)
class Broken:
    """A plug-in module that could not be imported."""

    origin: str
    error: str


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered plug-in."""

    name: str
    factory: Factory[T]

    @property
    def summary(self) -> str:
        """First sentence of its docstring."""
        return (inspect.getdoc(self.factory) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def origin(self) -> str:
        """Module that it lives in."""
        return self.factory.__module__

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Parameters that a user may set, by name."""
        found = inspect.signature(self.factory).parameters
        return {name: p for name, p in found.items() if p.kind is p.KEYWORD_ONLY and name != "context"}

    def hints(self) -> dict[str, Any]:
        """Types of its parameters; raises PluginError where they cannot be read."""
        target = inspect.getattr_static(self.factory, "__init__") if isinstance(self.factory, type) else self.factory
        try:
            return typing.get_type_hints(target)
        except NameError as error:
            raise PluginError(
                f"{self.name} of {self.origin}: {error}",
                "annotations of a plug-in's constructor are read at run time: import their names outside TYPE_CHECKING",
            ) from error

    def choices(self, parameter: str) -> list[str]:
        """Values that a parameter takes, its default first, where its type lists them; else its default alone."""
        empty = inspect.Parameter.empty
        default = parameter.upper() if self.parameters[parameter].default is empty else str(
            self.parameters[parameter].default)
        hint = self.hints().get(parameter)
        values = map(str, typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else []
        return [default, *(value for value in values if value != default)]

    def build(self, spec: Spec, context: Any) -> T:
        """Make an instance; raises BadParameter for a parameter it does not have or a value it does not take."""
        from pydantic import (
            TypeAdapter,
            ValidationError,
        )  # costs a tenth of a second, which `fsbench --help` does not have

        hints = self.hints()
        if (
            spec.path
            and "context" not in inspect.signature(self.factory).parameters
            and not hasattr(self.factory, "load")
        ):
            raise BadParameter(f"{self.name} takes no path ({spec.path})", f"write {self.name} alone")
        values: dict[str, Any] = {}
        for key, text in self._named(spec.params).items():
            if key not in self.parameters:
                wrong = UnknownName(f"parameter of {self.name}", key, self.parameters)
                raise BadParameter(wrong.message, wrong.hint)
            try:
                values[key] = TypeAdapter(hints.get(key, str)).validate_python(text)
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise BadParameter(
                    f"{self.name}({key}={text}): {reason[0].lower()}{reason[1:]}",
                    f"its default is {self.parameters[key].default!r}",
                ) from error
        for key, parameter in self.parameters.items():
            if parameter.default is parameter.empty and key not in values:
                raise BadParameter(f"{self.name} needs to know {key}", f"write {self.name}({key.upper()})")
        if "context" in inspect.signature(self.factory).parameters:
            values["context"] = replace(context, path=spec.path)
        return self.factory(**values)


    def _named(self, params: Mapping[str, str]) -> dict[str, str]:
        """Give the value that was typed without a name the name of the first parameter."""
        if "" not in params:
            return dict(params)
        if not self.parameters:
            raise BadParameter(f"{self.name} has no parameters ({params['']})", f"write {self.name} alone")
        first = next(iter(self.parameters))
        if first in params:
            raise BadParameter(f"{self.name} is given {first} twice: {params['']} and {params[first]}")
        return {first: params[""], **{key: text for key, text in params.items() if key}}


class Registry(Generic[T]):
    """Plug-ins of one kind."""

    def __init__(self, kind: str, listing: str) -> None:
        self.kind = kind
        self.listing = listing  # the command that lists them
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str) -> Callable[[Factory[T]], Factory[T]]:
        """Decorate a class or function to register it under `name`; raises PluginError for a name that is taken."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise PluginError(f"{self.kind} name {name!r} is not snake_case")

        def add(factory: Factory[T]) -> Factory[T]:
            taken = self._entries.get(name)
            here = (factory.__module__, getattr(factory, "__qualname__", ""))
            if taken is not None and here != (taken.origin, getattr(taken.factory, "__qualname__", "")):
                raise PluginError(
                    f"{self.kind} {name!r} of {factory.__module__} is registered by {taken.origin} already"
                )
            self._entries[name] = Entry(name, factory)
            return factory

        return add

    def __contains__(self, name: str) -> bool:
        """Whether a module that was imported so far has registered a name."""
        return name in self._entries

    def names(self) -> list[str]:
        """All names, sorted."""
        load_plugins()
        return sorted(self._entries)

    def get(self, name: str) -> Entry[T]:
        """Look a name up; raises UnknownName with a suggestion."""
        broken = load_plugins()
        if name not in self._entries:
            missing = "".join(f"; {one.origin} could not be imported: {one.error}" for one in broken)
            raise UnknownName(self.kind, name, self._entries, f"see: {self.listing}{missing}")
        return self._entries[name]

    def build(self, spec: str | Spec, context: Any) -> T:
        """Make an instance from a specification."""
        spec = parse_spec(spec) if isinstance(spec, str) else spec
        return self.get(spec.name).build(spec, context)


if typing.TYPE_CHECKING:
    from fsbench.interfaces import Dataset, Embedder, Metric, Observer, Refiner, Swapper

swappers: Registry[Swapper] = Registry("model", "fsbench list models")
refiners: Registry[Refiner] = Registry("refiner", "fsbench list models")
metrics: Registry[Metric] = Registry("metric", "fsbench list metrics")
datasets: Registry[Dataset] = Registry("data set", "fsbench list datasets")
embedders: Registry[Embedder] = Registry("embedder", "fsbench list embedders")
observers: Registry[Observer] = Registry("observer", "fsbench list observers")

_loaded: dict[str, Broken | None] = {}


def load_plugins() -> list[Broken]:
    """Import every plug-in module once; returns those that could not be imported."""
    found = [EntryPoint(name, name, ENTRY_POINTS) for name in BUILT_IN]
    found += sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    for point in found:
        if point.value in _loaded:
            continue
        _loaded[point.value] = None  # set first: a plug-in that asks for names while it is imported must not recurse
        try:
            importlib.import_module(point.module)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a plug-in must stay its own
            _loaded[point.value] = Broken(point.value, f"{type(error).__name__}: {error}")
    return [broken for broken in _loaded.values() if broken is not None]
