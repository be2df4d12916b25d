"""What a cache key knows of a plug-in: its code, the files that its parameters name, and what it says that it read.

Where that cannot be known there is no key, and what the plug-in computes is not kept: its source is in no file (a
notebook, a console), or it holds an object that somebody handed over.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import re
import site
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import fsbench
from fsbench.registry import Entry, Spec
from fsbench.store import content_digest, fingerprint, release

SHARED = ("fsbench.training", "fsbench.images", "fsbench.faces", "fsbench.feedback", "fsbench.onnx")
"""What fsbench shares with plug-ins, and decides what they compute where they import it."""

_RUNTIME = re.compile(rb"^\s*(?:import|from)\s+(torch|onnxruntime|mediapipe|tensorflow)\b", re.MULTILINE)
"""Libraries that compute for a plug-in whose files import them."""

_SEPARATORS = re.compile(r"[,;|]")  # of several files in one parameter


class _Unknown(Exception):
    """What decides a plug-in's results cannot be known."""


def plugin_key(entry: Entry[Any], spec: Spec, plugin: object) -> dict[str, Any] | None:
    """Everything but images that decides what a plug-in computes, as JSON values; None where it cannot be known."""
    code = sources(entry.factory)
    if code is None:
        return None
    try:
        return {
            "spec": str(spec),
            "code": code_hash(code),
            "runtime": release(*sorted({name.decode() for text in code.values() for name in _RUNTIME.findall(text)})),
            "holds": _held_by(entry.factory),
            "files": _files(entry, spec),
            "inputs": _inputs(plugin),
        }
    except _Unknown:
        return None


def code_hash(code: Mapping[str, bytes]) -> str:
    """Hash of `sources`: edited code never meets its old results, and a sibling's edit recomputes nothing."""
    return fingerprint({name: hashlib.sha256(text).hexdigest() for name, text in code.items()})


def sources(factory: Callable[..., Any]) -> dict[str, bytes] | None:
    """Content of the files that a plug-in's module imports, with its own, by module; None where it is in no file."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    try:
        files = imported(factory.__module__, Path(inspect.getfile(factory)))
        return {name: path.read_bytes() for name, path in files.items()}
    except (OSError, TypeError):
        return None


def imported(module: str, file: Path) -> dict[str, Path]:
    """Python files that a module imports, by module, directly or not, with its own.

    Those of its own package, or, of a module alone, of what lies beside it; for a plug-in of fsbench its sub-package;
    and those of SHARED. A package's `__init__` counts where a name is taken from it that is no module. Where a module
    imports by names that it makes up, all files of its package count.
    """
    home = _Home.of(module, file)
    files, todo = {}, [(module, file)]
    while todo:
        name, path = todo.pop()
        if name in files:
            continue
        files[name] = path
        if path.suffix != ".py":
            continue
        found = path.stat()
        mentions = _mentions_in(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        made_up = any(not isinstance(given, ast.Constant) for given in mentions.called)
        if made_up and home.whole is not None and home.owns(name):
            todo += [(f"{home.name}:{file.relative_to(home.whole)}", file) for file in home.whole.rglob("*.py")]
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for target in mentions.targets(package, home.counts):
            if (origin := _origin(target)) is not None:
                todo.append((target, origin))
    return files


@dataclass(frozen=True)
class _Home:
    """Whose files decide what a plug-in does."""

    name: str  # of its package, "" for a module alone
    whole: Path | None  # folder of the package
    beside: Path | None  # folder of a module alone, where it is nobody else's

    @classmethod
    def of(cls, module: str, file: Path) -> _Home:
        top, _, inner = module.partition(".")
        if inner and top == fsbench.__name__:
            sub = inner.partition(".")[0]
            return cls(f"{top}.{sub}", Path(fsbench.__file__).parent / sub, None)
        if inner or file.name == "__init__.py":
            package = sys.modules.get(top)
            init = getattr(package, "__file__", None)
            return cls(top, Path(init).parent if init else file.parent, None)
        return cls("", None, None if file.parent in _installed() else file.parent)

    def owns(self, module: str) -> bool:
        return bool(self.name) and (module == self.name or module.startswith(f"{self.name}."))

    def counts(self, module: str) -> bool:
        """Whether the file of a module is hashed where it is imported."""
        if self.owns(module) or any(module == name or module.startswith(f"{name}.") for name in SHARED):
            return True
        return self.beside is not None and self.beside in _folders(module.partition(".")[0])


@functools.cache
def _installed() -> frozenset[Path]:
    return frozenset(Path(path) for path in (*site.getsitepackages(), site.getusersitepackages()))


@functools.cache
def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError, SyntaxError):
        return None  # no module, or one whose package cannot be imported


def _origin(module: str) -> Path | None:
    """The file of a module; None for what is built in, no module, or a package without a file."""
    spec = _spec(module)
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _folders(module: str) -> list[Path]:
    """Where a module or package lies; a package without `__init__` may lie in several places."""
    spec = _spec(module)
    if spec is None or spec.submodule_search_locations is None:
        return [origin.parent] if (origin := _origin(module)) is not None else []
    return [Path(place).parent for place in spec.submodule_search_locations]


def _tree(path: Path) -> ast.AST:
    """What stands in a file; nothing where that is no Python, which cannot be imported either."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module([], [])


@dataclass(frozen=True)
class _Mentions:
    """Where a file names modules."""

    called: Sequence[ast.expr]  # what functions that import a module by its name are given
    statements: Sequence[ast.Import | ast.ImportFrom]  # anywhere, but for those that only a type checker sees

    @classmethod
    def of(cls, tree: ast.AST) -> _Mentions:
        statements, todo = [], [tree]
        while todo:
            node = todo.pop()
            if isinstance(node, ast.If) and _is_type_checking(node.test):
                todo += node.orelse
                continue
            todo += ast.iter_child_nodes(node)
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                statements.append(node)
        return cls(list(_called(tree)), statements)

    def targets(self, package: str, counts: Callable[[str], bool]) -> Iterator[str]:
        """Names of modules that count, as a module of `package` means them.

        Others are not even looked for: that would import their packages.
        """
        constants = [str(name.value) for name in self.called if isinstance(name, ast.Constant)]
        yield from filter(counts, constants)
        for node in self.statements:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if counts(alias.name))
                continue
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            inner = [name for alias in node.names if counts(name := f"{origin}.{alias.name}")]
            modules = [name for name in inner if _origin(name) is not None]
            yield from modules
            if len(modules) < len(node.names) and counts(origin):
                yield origin


@functools.lru_cache(maxsize=4096)
def _mentions_in(path: Path, *state: int) -> _Mentions:
    """What a file names; read once per process and state, since many plug-ins import the same files."""
    return _Mentions.of(_tree(path))


def imports(tree: ast.AST, package: str, counts: Callable[[str], bool]) -> Iterator[str]:
    """Names of modules that count and are imported anywhere in a file, but for those that only a type checker sees."""
    return _Mentions.of(tree).targets(package, counts)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _called(tree: ast.AST) -> Iterator[ast.expr]:
    """What functions that import a module by its name are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            if name in ("import_module", "__import__"):
                yield node.args[0]


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
    functions = [
        inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)), stop=_is_no_function)
        for value in functions
    ]  # without decorators such as torch.inference_mode, which hold functions
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
    digests = {}
    for name, value in {**values, "@": spec.path}.items():
        text = value if isinstance(value, str) else str(value) if isinstance(value, Path) else ""
        if not text:
            _plain(value)  # a default that is an object
        for i, part in enumerate(dict.fromkeys([text, *_SEPARATORS.split(text)])):
            if (path := _existing(part)) is not None:
                digest = content_digest(path)
                if digest is None:
                    raise _Unknown
                digests[f"{name}/{i}"] = digest
    return digests


def _existing(text: str) -> Path | None:
    if not text.strip():
        return None
    try:
        path = Path(text.strip()).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # no path of this system
        return None


def _inputs(plugin: object) -> dict[str, str]:
    """Hashes of what a plug-in says that it read, from its attributes `inputs` and `weights_files`."""
    inputs = getattr(plugin, "inputs", {})
    if not isinstance(inputs, Mapping):
        raise _Unknown
    files = {file.name: file.sha256 for file in getattr(plugin, "weights_files", ())}
    return {str(name): _plain(value) for name, value in inputs.items()} | files
