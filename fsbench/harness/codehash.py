"""What a cache key knows of a plug-in: its code, the files that its parameters name, and what it says that it read.

Where that cannot be known there is no key, and what the plug-in computes is not kept: its source is in no file (a
notebook, a console), or it holds an object that somebody handed over.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fsbench
from fsbench.registry import Entry, Spec
from fsbench.store import content_digest

SHARED_CODE = ("training.py", "images.py", "faces/*.py")

_SEPARATORS = re.compile(r"[,;|]")  # of several files in one parameter


class _Unknown(Exception):
    """What decides a plug-in's results cannot be known."""


def plugin_key(entry: Entry[Any], spec: Spec, plugin: object) -> dict[str, Any] | None:
    """Everything but images that decides what a plug-in computes, as JSON values; None where it cannot be known."""
    code = code_hash(entry.factory)
    if code is None:
        return None
    try:
        return {
            "spec": str(spec),
            "code": code,
            "holds": _held_by(entry.factory),
            "files": _files(entry, spec),
            "inputs": _inputs(plugin),
        }
    except _Unknown:
        return None


def code_hash(factory: Callable[..., Any]) -> str | None:
    """Hash of a plug-in's package and of what fsbench shares with it: edited code never meets its old outputs.

    None where its source is in no file.
    """
    digest = hashlib.sha256()
    try:
        for path in _code_files(factory):
            digest.update(path.name.encode() + path.read_bytes())
    except (OSError, TypeError):
        return None
    return digest.hexdigest()[:16]


def _code_files(factory: Callable[..., Any]) -> Iterator[Path]:
    while isinstance(factory, functools.partial):
        factory = factory.func
    own = Path(fsbench.__file__).parent
    for pattern in SHARED_CODE:
        yield from sorted(own.glob(pattern))
    file = Path(inspect.getfile(factory))
    package = sys.modules.get(factory.__module__.partition(".")[0])
    folder = Path(package.__file__).parent if package is not None and package.__file__ else file.parent
    if "." not in factory.__module__ and file.name != "__init__.py":
        yield file  # a module of its own: what lies beside it is somebody else's
    else:
        yield from sorted((file.parent if folder == own else folder).rglob("*.py"))


def _held_by(factory: Callable[..., Any]) -> list[str]:
    """Values that a factory got from where it was made: arguments of a partial, variables of an enclosing function.

    Raises _Unknown for anything but plain values.
    """
    if isinstance(factory, functools.partial):
        held = [*factory.args, *(value for pair in sorted(factory.keywords.items()) for value in pair)]
        return [*map(_plain, held), *_held_by(factory.func)]
    if inspect.isclass(factory):
        functions = [value for kind in factory.__mro__[:-1] for value in vars(kind).values()]
    elif isinstance(factory, types.FunctionType):
        functions = [factory, *(factory.__defaults__ or ()), *(factory.__kwdefaults__ or {}).values()]
    else:
        raise _Unknown  # an instance that can be called
    functions = [inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)), stop=_is_no_function)
                 for value in functions]  # without decorators such as torch.inference_mode, which hold functions
    return [
        _plain(cell.cell_contents)
        for function in functions
        if isinstance(function, types.FunctionType)
        for cell in function.__closure__ or ()
        if not _is_own_class(cell, factory)
    ]


def _is_no_function(value: object) -> bool:
    return not isinstance(getattr(value, "__wrapped__", None), types.FunctionType)


def _is_own_class(cell: types.CellType, factory: object) -> bool:
    """Whether a variable is the class itself, which `super()` keeps, or is not set."""
    try:
        return inspect.isclass(factory) and cell.cell_contents in factory.__mro__
    except ValueError:
        return True


def _plain(value: object) -> str:
    """A value as text; raises _Unknown for an object that text cannot stand for."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, Path)):
        return repr(value)
    if isinstance(value, (tuple, frozenset)):
        return repr([_plain(item) for item in value])
    if inspect.isclass(value) or inspect.ismodule(value):
        return value.__name__
    if isinstance(value, types.FunctionType) and not value.__closure__:
        return f"{value.__module__}.{value.__qualname__}:{hashlib.sha256(value.__code__.co_code).hexdigest()}"
    raise _Unknown


def _files(entry: Entry[Any], spec: Spec) -> dict[str, str]:
    """Content of what the path and the parameters name, given or by default, that is a file or a folder here."""
    given = entry.named(spec.params)
    values = {name: given.get(name, parameter.default) for name, parameter in entry.parameters.items()}
    found = {}
    for name, value in {**values, "@": spec.path}.items():
        text = value if isinstance(value, str) else str(value) if isinstance(value, Path) else ""
        if not text:
            _plain(value)  # a default that is an object
        for i, part in enumerate(dict.fromkeys([text, *_SEPARATORS.split(text)])):
            if (path := _existing(part)) is not None:
                digest = content_digest(path)
                if digest is None:
                    raise _Unknown
                found[f"{name}/{i}"] = digest
    return found


def _existing(text: str) -> Path | None:
    if not text.strip():
        return None
    try:
        path = Path(text.strip()).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # no path of this system
        return None


def _inputs(plugin: object) -> dict[str, str]:
    """Hashes of what a plug-in says that it read, from its attribute `inputs`."""
    inputs = getattr(plugin, "inputs", {})
    if not isinstance(inputs, Mapping):
        raise _Unknown
    return {str(name): _plain(value) for name, value in inputs.items()}
