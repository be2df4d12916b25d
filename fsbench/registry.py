"""Names to plug-ins.

A plug-in is a class, or any callable, that is registered under a name in the registry of its kind:

    from fsbench.registry import swappers

    @swappers.register("my_swapper")
    class MySwapper: ...

Built-in modules are listed below. Other packages name a module under the entry-point group `fsbench.plugins`;
importing that module registers its plug-ins. A module that cannot be imported is kept as `Broken`, and the other
modules are imported all the same.

The full name of a plug-in is `package/name`, where the package is the top-level module that its class or function is
defined in. It can be typed wherever a name can. A bare name that several packages have registered means the plug-in
of fsbench, else that of the package whose entry point comes first by name; the others keep their full names. A
plug-in that is registered under no valid name, or under one that its own package has given away, is kept as `Refused`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from fsbench import guard
from fsbench.errors import BadParameter, FsbenchError, PluginError, UnknownName, UsageError, one_line
from fsbench.specs import OWN_PACKAGES, Spec, parse_spec, split_list

ENTRY_POINTS = "fsbench.plugins"
BUILT_IN = (
    "fsbench.datasets.folder",
    "fsbench.datasets.synthetic",
    "fsbench.datasets.trump_cage",
    "fsbench.datasets.video",
    "fsbench.embedders.dlib_resnet",
    "fsbench.embedders.facenet_casia",
    "fsbench.embedders.facenet_vggface2",
    "fsbench.embedders.keras_vggface",
    "fsbench.embedders.onnx",
    "fsbench.embedders.vggface2_resnet50",
    "fsbench.embedders.vggface2_senet50",
    "fsbench.evidence.absent",
    "fsbench.evidence.exact",
    "fsbench.evidence.faces_in_frame",
    "fsbench.evidence.paste_weight",
    "fsbench.evidence.recursion",
    "fsbench.evidence.true_landmarks",
    "fsbench.metrics.background",
    "fsbench.metrics.blink",
    "fsbench.metrics.colour_inside_outside",
    "fsbench.metrics.coverage",
    "fsbench.metrics.density",
    "fsbench.metrics.expression_error",
    "fsbench.metrics.expression_residual",
    "fsbench.metrics.fid",
    "fsbench.metrics.fid_infinity",
    "fsbench.metrics.flicker",
    "fsbench.metrics.gaze_error",
    "fsbench.metrics.gt_expression_error",
    "fsbench.metrics.gt_gaze_error",
    "fsbench.metrics.gt_jitter",
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
    "fsbench.metrics.jitter",
    "fsbench.metrics.kid",
    "fsbench.metrics.lag",
    "fsbench.metrics.lpips",
    "fsbench.metrics.missed_frames",
    "fsbench.metrics.mmd",
    "fsbench.metrics.opening_error",
    "fsbench.metrics.pose_error",
    "fsbench.metrics.precision",
    "fsbench.metrics.recall",
    "fsbench.metrics.recursion_drift",
    "fsbench.metrics.seam",
    "fsbench.metrics.skin_colour",
    "fsbench.metrics.skin_colour_worst",
    "fsbench.metrics.tg_id",
    "fsbench.metrics.tl_id",
    "fsbench.metrics.tlp",
    "fsbench.metrics.tof",
    "fsbench.metrics.vbench_flickering",
    "fsbench.metrics.vbench_subject_consistency",
    "fsbench.metrics.wrong_face_rate",
    "fsbench.observers.dino",
    "fsbench.observers.face_mesh",
    "fsbench.observers.five_points",
    "fsbench.observers.flow",
    "fsbench.observers.inception",
    "fsbench.observers.reencoded",
)

__all__ = ["OWN_PACKAGES", "Entry", "Registry", "Spec", "parse_spec", "split_list"]

T = TypeVar("T")
Factory = Callable[..., T]


@dataclass(frozen=True)
class Broken:
    """A plug-in module that could not be imported."""

    origin: str
    error: str


@dataclass(frozen=True)
class Refused:
    """A plug-in that its registry did not take."""

    name: str  # package/name
    definition: str  # module and qualified name
    reason: str


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered plug-in."""

    name: str
    factory: Factory[T]
    others: tuple[str, ...] = ()  # full names of the plug-ins that the bare name does not mean, where it was typed

    @property
    def summary(self) -> str:
        """First paragraph of its docstring, on one line."""
        text = inspect.getdoc(self.factory)
        return (text if isinstance(text, str) else "").split("\n\n")[0].replace("\n", " ")

    @property
    def origin(self) -> str:
        """Module that its factory is defined in."""
        return str(_unwrapped(self.factory).__module__)

    @property
    def package(self) -> str:
        """Top-level module that its factory is defined in."""
        return self.origin.partition(".")[0]

    @property
    def full_name(self) -> str:
        """Name that no plug-in of another package has: `package/name`."""
        return f"{self.package}/{self.name}"

    @property
    def definition(self) -> str:
        """Module and qualified name of its factory."""
        function = _unwrapped(self.factory)
        return f"{self.origin}.{getattr(function, '__qualname__', type(function).__qualname__)}"

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Parameters that a user may set, by name."""
        parameters = inspect.signature(self.factory).parameters
        return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY and name != "context"}

    def hints(self) -> dict[str, Any]:
        """Types of its parameters; raises PluginError where they cannot be read."""
        target = inspect.getattr_static(self.factory, "__init__") if isinstance(self.factory, type) else self.factory
        try:
            return guard.run(f"{self.name} of {self.origin}", typing.get_type_hints, target, include_extras=True)
        except PluginError as error:
            raise PluginError(
                f"{self.name} of {self.origin}: {error.__cause__}",
                "annotations of a plug-in's constructor are read at run time: import their names outside TYPE_CHECKING",
            ) from error

    def choices(self, parameter: str) -> list[str]:
        """Values that a parameter takes, its default first, where its type lists them; else its default alone."""
        empty = inspect.Parameter.empty
        default = (
            parameter.upper()
            if self.parameters[parameter].default is empty
            else str(self.parameters[parameter].default)
        )
        hint = self.hints().get(parameter)
        values = map(str, typing.get_args(hint)) if typing.get_origin(hint) is typing.Literal else []
        return [default, *(value for value in values if value != default)]

    @property
    def ambiguity(self) -> str:
        """Which plug-in a bare name means, and how the others are typed; "" where there is no other."""
        return f"{self.name} means {self.full_name}; others: {', '.join(self.others)}" if self.others else ""

    def build(self, spec: Spec, context: Any) -> T:
        """Make an instance; raises BadParameter for a parameter it does not have or a value it does not take."""
        from pydantic import (
            TypeAdapter,
            ValidationError,
        )  # costs a tenth of a second, which `fsbench --help` does not have

        if self.others:
            context.log(self.ambiguity)
        hints = self.hints()
        values: dict[str, Any] = {}
        who = f"the annotation of a parameter of {self.name} of {self.origin}"
        for key, text in self.named(spec.params).items():
            if key not in self.parameters:
                wrong = UnknownName(f"parameter of {self.name}", key, self.parameters, self.ambiguity)
                raise BadParameter(wrong.message, wrong.hint)
            try:
                values[key] = guard.run(who, TypeAdapter, hints.get(key, str)).validate_python(text)
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

    def __init__(self, kind: str, listing: str, reserved: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.listing = listing  # the command that lists them
        self.reserved = reserved  # names that mean something else
        self._entries: dict[str, Entry[T]] = {}  # by full name
        self._refused: dict[str, Refused] = {}  # by full name and definition

    def register(self, name: str) -> Callable[[Factory[T]], Factory[T]]:
        """Decorate a class or function to register it under `name`, which is snake_case and free in its package.

        A name that is not is refused without an exception, so that the rest of the module is registered: `refused`
        tells why. Registering the same definition again replaces it, as reloading a module does. Raises PluginError
        where the decorator stands without a name.
        """
        if not isinstance(name, str):
            raise PluginError(f"a {self.kind} is registered without a name", 'write @register("name")')

        def add(factory: Factory[T]) -> Factory[T]:
            entry = Entry(name, factory)
            taken = self._entries.get(entry.full_name)
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                self._refuse(entry, f"{self.kind} name {name!r} is not snake_case")
            elif name in self.reserved:
                self._refuse(entry, f"{self.kind} name {name!r} is fsbench's own")
            elif taken is not None and taken.definition != entry.definition:
                self._refuse(entry, f"{self.kind} {name!r} is registered by {taken.definition} already")
            else:
                self._entries[entry.full_name] = entry
            return factory

        return add

    def _refuse(self, entry: Entry[T], reason: str) -> None:
        why = f"{reason}: {entry.definition} is left out"
        self._refused[f"{entry.full_name} {entry.definition}"] = Refused(entry.full_name, entry.definition, why)

    @property
    def refused(self) -> list[Refused]:
        """Plug-ins that were registered under a name they cannot have."""
        load_plugins()
        return list(self._refused.values())

    def __contains__(self, name: str) -> bool:
        """Whether a module that was imported so far has registered a bare or full name."""
        return bool(self.owners(name))

    def has(self, name: str) -> bool:
        """Whether there is a plug-in of a bare or full name."""
        load_plugins()
        return name in self

    def names(self) -> list[str]:
        """One name of each plug-in, sorted: the bare name where it means this plug-in, else `package/name`."""
        load_plugins()
        owners = [self.owners(name) for name in {entry.name for entry in self._entries.values()}]
        return sorted(
            name for first, *others in owners for name in (first.name, *(other.full_name for other in others))
        )

    def get(self, name: str) -> Entry[T]:
        """Look up a bare or full name; raises UnknownName with a suggestion."""
        broken = load_plugins()
        owners = self.owners(name)
        if not owners:
            known = [entry.full_name for entry in self.owners(name.rpartition("/")[2])] or self.names()
            reasons = [f"{module.origin} could not be imported: {module.error}" for module in broken]
            reasons += [
                refused.reason
                for refused in self._refused.values()
                if name in (refused.name, refused.name.partition("/")[2])
            ]
            raise UnknownName(self.kind, name, known, "; ".join([f"see: {self.listing}", *reasons]))
        return replace(owners[0], others=tuple(entry.full_name for entry in owners[1:]))

    def owners(self, name: str) -> list[Entry[T]]:
        """Plug-ins of a bare or full name that were imported so far; the first is the one that it means."""
        entries = [entry for entry in self._entries.values() if name in (entry.name, entry.full_name)]
        return sorted(entries, key=precedence) if len(entries) > 1 else entries

    def build(self, spec: str | Spec, context: Any) -> T:
        """Make an instance from a specification."""
        spec = parse_spec(spec) if isinstance(spec, str) else spec
        return self.get(spec.name).build(spec, context)


def precedence(entry: Entry[Any]) -> tuple[int, str]:
    """Sort key of plug-ins that share a bare name, whatever was imported first: the first is the one that it means."""
    packages = [*OWN_PACKAGES, *(point.module.partition(".")[0] for point in plugin_modules())]
    return packages.index(entry.package) if entry.package in packages else len(packages), entry.package


def _unwrapped(factory: Factory[Any]) -> Factory[Any]:
    """The function or class that a partial calls."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    return factory


if typing.TYPE_CHECKING:
    from fsbench.interfaces import Dataset, Embedder, EvidenceKind, Metric, Observer, Refiner, Swapper, Wrapper

swappers: Registry[Swapper] = Registry("model", "fsbench list models")
refiners: Registry[Refiner] = Registry("refiner", "fsbench list models")
wrappers: Registry[Wrapper] = Registry("wrapper", "fsbench list models")
metrics: Registry[Metric] = Registry("metric", "fsbench list metrics")
datasets: Registry[Dataset] = Registry("data set", "fsbench list datasets")
embedders: Registry[Embedder] = Registry("embedder", "fsbench list embedders")
observers: Registry[Observer] = Registry("observer", "fsbench list observers")
evidence: Registry[EvidenceKind] = Registry("kind of evidence", "fsbench list evidence", ("judge",))

PARTS: Mapping[str, Registry[Any]] = {"refiner": refiners, "wrapper": wrappers}
"""What may follow the swapper of a pipeline, by kind."""

REGISTRIES: dict[str, Registry[Any]] = {
    name: value for name, value in tuple(globals().items()) if isinstance(value, Registry)
}
"""All registries, by the names that modules import."""

_loaded: dict[str, Broken | None] = {}


def kind_of_part(name: str) -> str:
    """Return the kind of the part that is named after a `+`, a key of PARTS.

    Of parts of two kinds the one of the first package is meant, as among plug-ins of one kind (`precedence`). Raises
    UnknownName for a name that no part has, UsageError for one that one package gives to parts of two kinds.
    """
    first = {kind: precedence(parts.owners(name)[0]) for kind, parts in PARTS.items() if parts.has(name)}
    kinds = [kind for kind, place in first.items() if place == min(first.values())]
    if not kinds:
        try:
            refiners.get(name)
        except UnknownName as error:
            known = [part for parts in PARTS.values() for part in parts.names()]
            raise UnknownName(" or ".join(PARTS), name, known, error.listing) from None
    if len(kinds) > 1:
        owners = " and ".join(f"a {kind} of {PARTS[kind].get(name).origin}" for kind in kinds)
        raise UsageError(f"{name} is the name of {owners}", "one of them has to be renamed: uninstall one package")
    return kinds[0]


def plugin_modules() -> list[EntryPoint]:
    """Modules that register plug-ins: the built-in ones, then those of entry points in the order of their names."""
    own = [EntryPoint(name, name, ENTRY_POINTS) for name in BUILT_IN]
    state = tuple((folder, _modified(folder)) for folder in sys.path)  # another where a package was installed
    return own + sorted(_installed(state), key=lambda point: (point.name, point.value))


@functools.lru_cache(maxsize=1)
def _installed(state: tuple[tuple[str, float], ...]) -> tuple[EntryPoint, ...]:
    """Entry points of packages on the path; looking through all packages takes 8 ms, and names are looked up often."""
    return tuple(entry_points(group=ENTRY_POINTS))


def _modified(folder: str) -> float:
    try:
        return os.stat(folder or ".").st_mtime
    except OSError:
        return 0.0


def load_plugins() -> list[Broken]:
    """Import every plug-in module once; returns those that could not be imported."""
    for point in plugin_modules():
        if point.value in _loaded:
            continue
        _loaded[point.value] = None  # set first: a plug-in that asks for names while it is imported must not recurse
        try:
            guard.run(point.value, importlib.import_module, point.module)
        except FsbenchError as error:  # an error of one module leaves the others as they are
            _loaded[point.value] = Broken(point.value, one_line(error.__cause__ or error))
    return [broken for broken in _loaded.values() if broken is not None]
