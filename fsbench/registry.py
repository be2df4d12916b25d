"""Names to plug-ins.

A plug-in is a class (or any callable) registered under the name that people type, in the registry of its kind
(`swappers`, `refiners`, `wrappers`, `metrics`, `datasets`, `embedders`, `observers`):

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
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from fsbench import guard
from fsbench.errors import BadParameter, FsbenchError, PluginError, UnknownName, UsageError, one_line
from fsbench.specs import Spec, parse_spec, split_list

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
    "fsbench.evidence.exact",
    "fsbench.evidence.recursion",
    "fsbench.metrics.background",
    "fsbench.metrics.coverage",
    "fsbench.metrics.density",
    "fsbench.metrics.expression_error",
    "fsbench.metrics.expression_residual",
    "fsbench.metrics.fid",
    "fsbench.metrics.fid_infinity",
    "fsbench.metrics.gaze_error",
    "fsbench.metrics.gt_expression_error",
    "fsbench.metrics.gt_gaze_error",
    "fsbench.metrics.gt_lpips",
    "fsbench.metrics.gt_pose_error",
    "fsbench.metrics.gt_psnr",
    "fsbench.metrics.gt_ssim",
    "fsbench.metrics.id_equivalent_far",
    "fsbench.metrics.id_leakage",
    "fsbench.metrics.id_nearer_source",
    "fsbench.metrics.id_retrieval",
    "fsbench.metrics.id_similarity",
    "fsbench.metrics.id_target_verified",
    "fsbench.metrics.id_topk",
    "fsbench.metrics.id_topk_jsd",
    "fsbench.metrics.id_topk_rbo",
    "fsbench.metrics.id_verified",
    "fsbench.metrics.inception_score",
    "fsbench.metrics.kid",
    "fsbench.metrics.lpips",
    "fsbench.metrics.mmd",
    "fsbench.metrics.opening_error",
    "fsbench.metrics.pose_error",
    "fsbench.metrics.precision",
    "fsbench.metrics.recall",
    "fsbench.metrics.recursion_drift",
    "fsbench.metrics.skin_colour",
    "fsbench.metrics.skin_colour_worst",
    "fsbench.observers.face_mesh",
    "fsbench.observers.five_points",
    "fsbench.observers.inception",
)

__all__ = ["Entry", "Registry", "Spec", "parse_spec", "split_list"]

T = TypeVar("T")
Factory = Callable[..., T]


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
        values: dict[str, Any] = {}
        for key, text in self.named(spec.params).items():
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
        needless = BadParameter(f"{self.name} takes no path ({spec.path})", f"write {self.name} alone")
        if "context" not in inspect.signature(self.factory).parameters:
            if spec.path and not hasattr(self.factory, "load"):
                raise needless
            return self._make(values)
        if not spec.path:
            return self._make({**values, "context": replace(context, path="")})
        offer = _Offer(context, spec.path)
        made = self._make({**values, "context": offer.context})
        if not (offer.asked_for_path() or hasattr(made, "load")):
            raise needless
        return made

    def _make(self, values: Mapping[str, Any]) -> T:
        return guard.run(f"{self.name} of {self.origin}", self.factory, **values)

    def named(self, params: Mapping[str, str]) -> dict[str, str]:
        """Give the value that was typed without a name the name of the first parameter."""
        if "" not in params:
            return dict(params)
        if not self.parameters:
            raise BadParameter(f"{self.name} has no parameters ({params['']})", f"write {self.name} alone")
        first = next(iter(self.parameters))
        if first in params:
            raise BadParameter(f"{self.name} is given {first} twice: {params['']} and {params[first]}")
        return {first: params[""], **{key: text for key, text in params.items() if key}}


class _Offer:
    """The context that a plug-in is given, and whether its constructor asked for the path in it."""

    def __init__(self, context: Any, path: str) -> None:
        asked: list[str] = []
        kind = type(context)

        def watch(self: Any, name: str) -> Any:
            if name == "path":
                asked.append(name)
            return object.__getattribute__(self, name)

        self._asked, self._kind = asked, kind
        self.context = replace(context, path=path)
        object.__setattr__(self.context, "__class__", type(kind.__name__, (kind,), {"__getattribute__": watch}))

    def asked_for_path(self) -> bool:
        """Stop watching, and tell."""
        object.__setattr__(self.context, "__class__", self._kind)
        return bool(self._asked)


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
    from fsbench.interfaces import Dataset, Embedder, EvidenceKind, Metric, Observer, Refiner, Swapper, Wrapper

swappers: Registry[Swapper] = Registry("model", "fsbench list models")
refiners: Registry[Refiner] = Registry("refiner", "fsbench list models")
wrappers: Registry[Wrapper] = Registry("wrapper", "fsbench list models")
metrics: Registry[Metric] = Registry("metric", "fsbench list metrics")
datasets: Registry[Dataset] = Registry("data set", "fsbench list datasets")
embedders: Registry[Embedder] = Registry("embedder", "fsbench list embedders")
observers: Registry[Observer] = Registry("observer", "fsbench list observers")
evidence: Registry[EvidenceKind] = Registry("kind of evidence", "fsbench list evidence")

PARTS: Mapping[str, Registry[Any]] = {"refiner": refiners, "wrapper": wrappers}
"""What may follow the swapper of a pipeline, by kind."""

_loaded: dict[str, Broken | None] = {}


def kind_of_part(name: str) -> str:
    """Return the kind of the part that is named after a `+`, a key of PARTS.

    Raises UnknownName for a name that no part has, UsageError for one that parts of two kinds have.
    """
    known = {kind: shelf.names() for kind, shelf in PARTS.items()}
    kinds = [kind for kind, names in known.items() if name in names]
    if not kinds:
        try:
            refiners.get(name)
        except UnknownName as error:
            everything = [one for names in known.values() for one in names]
            raise UnknownName(" or ".join(PARTS), name, everything, error.listing) from None
    if len(kinds) > 1:
        owners = " and ".join(f"a {kind} of {PARTS[kind].get(name).origin}" for kind in kinds)
        raise UsageError(f"{name} is the name of {owners}", "one of them has to be renamed: uninstall one package")
    return kinds[0]


def load_plugins() -> list[Broken]:
    """Import every plug-in module once; returns those that could not be imported."""
    found = [EntryPoint(name, name, ENTRY_POINTS) for name in BUILT_IN]
    found += sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    for point in found:
        if point.value in _loaded:
            continue
        _loaded[point.value] = None  # set first: a plug-in that asks for names while it is imported must not recurse
        try:
            guard.run(point.value, importlib.import_module, point.module)
        except FsbenchError as error:  # whatever goes wrong in a plug-in must stay its own
            _loaded[point.value] = Broken(point.value, one_line(error.__cause__ or error))
    return [broken for broken in _loaded.values() if broken is not None]
