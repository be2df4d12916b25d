"""The pages of the Python API: signatures and docstrings of the public modules, by introspection."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cached_property
from types import ModuleType
from typing import Any, TypeVar

import fsbench
from docs.generate.markdown import Index, docstring, escape, fence, heading, relative
from fsbench import registry

OVERVIEW = "api/index.md"


def modules() -> list[str]:
    """Names of the public modules, as the docstring of fsbench lists them."""
    listed = re.findall(r"`?(fsbench(?:\.[a-z_]+)+)\b", fsbench.__doc__ or "")
    names = [name for name in dict.fromkeys(listed) if _is_module(name)]
    return ["fsbench", *names]


def _is_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def page_of(module: str) -> str:
    """Return the page of a module."""
    return f"api/{module}.md"


def members(module: ModuleType) -> dict[str, Any]:
    """Public names of a module: those of `__all__`, else those that its own lines define."""
    made = list(_defined(module))
    if "__dir__" in vars(module):  # some are made when they are asked for: functions first, then classes
        made = sorted(dir(module), key=lambda name: (not name.islower(), name))
    names = getattr(module, "__all__", made)
    values = {name: getattr(module, name) for name in names if not name.startswith("_")}
    return {name: value for name, value in values.items() if not isinstance(value, TypeVar)}


def _defined(module: ModuleType) -> dict[str, str]:
    """Names that the lines of a module define, each with the text that stands below it, if it is an assignment."""
    lines, names = ast.parse(inspect.getsource(module)).body, {}
    for node, below in zip(lines, [*lines[1:], None], strict=True):
        text = ""
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            text = inspect.cleandoc(str(below.value.value))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = ""
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id: text for target in targets if isinstance(target, ast.Name)}
    return names


def pages(index: Index) -> Iterator[tuple[str, str]]:
    """Return each page's path and text."""
    names = modules()
    lines = [
        f"* [`{name}`]({relative(page_of(name), OVERVIEW)}): "
        + escape(" ".join((importlib.import_module(name).__doc__ or "").split("\n\n")[0].split()))
        for name in names
    ]
    said = "These modules are public; everything else may change. The pages are made of their docstrings."
    yield OVERVIEW, "\n\n".join([heading(1, "Python API"), said, "\n".join(lines)]) + "\n"
    for name in names:
        yield page_of(name), _page(importlib.import_module(name), index)


def _page(module: ModuleType, index: Index) -> str:
    page = page_of(module.__name__)
    parts = [heading(1, module.__name__), docstring(inspect.getdoc(module) or "", index, page)]
    texts = _defined(module)
    for name, value in members(module).items():
        if inspect.ismodule(value):
            parts.append(f"[`{value.__name__}`]({relative(page_of(value.__name__), page)}) has a page of its own.")
        else:
            parts += _member(name, value, texts.get(name, ""), index, page)
    return "\n\n".join(part for part in parts if part) + "\n"


def _member(name: str, value: Any, text: str, index: Index, page: str) -> Iterator[str]:
    yield heading(2, name, name)
    if inspect.isclass(value):
        yield fence(_class_line(name, value), "python")
        yield docstring(_own_doc(value), index, page)
        for method, line, function in _methods(value):
            yield heading(3, f"{name}.{method}", f"{name}.{method.strip('_')}")
            yield fence(line, "python")
            yield docstring(inspect.getdoc(function) or "", index, page)
    elif inspect.isroutine(value):
        yield fence(signature(name, value), "python")
        yield docstring(_without_card(name, inspect.getdoc(value) or ""), index, page)
    else:
        yield fence(f"{name} = {_short(value)}", "python")
        yield docstring(text, index, page)


def _without_card(name: str, text: str) -> str:
    """The docstring of a function; of one that is made of a metric, what is not on that metric's card."""
    if not registry.metrics.has(name):
        return text
    summary, _, rest = (inspect.getdoc(registry.metrics.get(name).factory) or "").partition("\n\n")
    if not text.startswith(summary):
        return text
    return f"{summary}\n\nThe card of `{name}` says more.\n\n{text.removeprefix(summary).replace(rest, '').strip()}"


def _own_doc(value: type) -> str:
    """The class's docstring, not one that it inherits or that was generated."""
    text = value.__dict__.get("__doc__") or ""
    return "" if text.startswith(f"{value.__name__}(") else inspect.cleandoc(text)


def _class_line(name: str, value: type) -> str:
    """How a class is made; of a data class and a Protocol its fields, with the comments that stand beside them."""
    fields = _fields(value)
    if fields and (dataclasses.is_dataclass(value) or getattr(value, "_is_protocol", False)):
        return f"class {name}:\n{textwrap.indent(fields, '    ')}"
    if getattr(value, "_is_protocol", False):
        return f"class {name}(Protocol)"
    bases = ", ".join(base.__name__ for base in value.__bases__ if base not in (object,))
    if {"__init__", "__signature__"} & set(vars(value)):
        return signature(name, value)
    return f"class {name}({bases})" if bases else f"class {name}"


def _fields(value: type) -> str:
    """The annotated fields of a class as its source has them."""
    try:
        source = textwrap.dedent(inspect.getsource(value))
    except (OSError, TypeError):
        return ""
    body, taken = source.partition(":\n")[2].splitlines(), []
    text = re.sub(r'^\s*""".*?"""\n?', "", "\n".join(body), count=1, flags=re.DOTALL)
    for line in text.splitlines():
        if re.match(r"\s+(@|def |async def |class )", line):
            break
        taken.append(line)
    kept = textwrap.dedent("\n".join(taken)).strip("\n")
    return kept if re.search(r"^\w+:", kept, re.MULTILINE) else ""


def _methods(value: type) -> Iterator[tuple[str, str, Any]]:
    """Public methods and properties of a class's own, and `__call__`: name, how it is written, function."""
    for name, given in vars(value).items():
        function = given.__func__ if isinstance(given, classmethod | staticmethod) else given
        getter = getattr(given, "fget", None) or (given.func if isinstance(given, cached_property) else None)
        if name.startswith("_") and name != "__call__":
            continue
        if getter is not None:
            yield name, f"{name}: {_annotation(inspect.signature(getter).return_annotation)}", getter
        elif inspect.isfunction(function):
            yield name, signature(name, function), function


def signature(name: str, value: Any) -> str:
    """Return how a function or class is called, one parameter a line where one line is too long."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    shown = [one for one in found.parameters.values() if one.name not in ("self", "cls")]
    parts, starred = [], False
    for one in shown:
        if one.kind is one.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        starred = starred or one.kind is one.VAR_POSITIONAL
        parts.append(_parameter(one))
    answer = "" if found.return_annotation is found.empty or inspect.isclass(value) else (
        f" -> {_annotation(found.return_annotation)}")  # fmt: skip
    line = f"{name}({', '.join(parts)}){answer}"
    if len(line) <= 88:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){answer}"


def _parameter(one: inspect.Parameter) -> str:
    stars = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
    annotation = "" if one.annotation is one.empty else f": {_annotation(one.annotation)}"
    default = (
        "" if one.default is one.empty else f" = {_short(one.default)}" if annotation else f"={_short(one.default)}"
    )
    return f"{stars}{one.name}{annotation}{default}"


def _annotation(value: Any) -> str:
    return value if isinstance(value, str) else inspect.formatannotation(value)


def _short(value: Any) -> str:
    """A value without the address of an object, which is another one every time, and not longer than a few lines."""
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value)).replace("typing.", "")
    return textwrap.fill(textwrap.shorten(text, 400), 88, subsequent_indent="    ")
