"""Each example of CONTRIBUTING.md is added to a copy of the tree as it says there, and nothing turns red.

An addition is one module, one line in a list, and one test. All are made in one copy, whose tests then run in one
process: those of the additions, and those that look at all plug-ins or at documents.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fsbench.registry import REGISTRIES

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)
SNIPPETS = [example for example in EXAMPLES if "SECTIONS = (" not in example]  # a section has a template, see SECTION
NEEDED = (
    "fsbench",
    "reference_models",
    "tests",
    "benchmarks",
    "docs",
    "README.md",
    "CONTRIBUTING.md",
    "pyproject.toml",
)
WATCHING = ("test_copy", "test_docs", "test_layers", "test_names", "test_registry", "test_validity")
"""Tests that look at documents, at all files or at all plug-ins together."""
BY_NAME = ("test_contracts", "test_nothing", "test_faults", "test_codehash", "test_sections", "test_page")
"""Tests that look at each plug-in: those of the added ones run, and these:"""
TABLES = ("faces/align.py", "every_section", "sections_stand")


@dataclass(frozen=True)
class Place:
    """Where an addition of one kind goes."""

    module: str  # file, with the plug-in's name for {}
    listing: str  # the file with the list
    line: Callable[[str, str, str], str]  # text of the list, name, example -> text with the addition
    test: str  # file


def built_in(text: str, name: str, module: str) -> str:
    """Add a line to BUILT_IN."""
    head, mark, tail = text.partition("BUILT_IN = (\n")
    assert mark
    return f'{head}{mark}    "{module}",\n{tail}'


def imported(text: str, name: str, module: str) -> str:
    """Add a line that imports a module."""
    return f"{text}from reference_models import {name} as {name}\n"


def in_table(text: str, name: str, module: str) -> str:
    """Add a name to the table of faults."""
    added = text.replace("import drawn, ", f"import {name}, drawn, ")
    return added.replace("    for fault in (\n", f"    for fault in (\n        {name}.{name.upper()},\n")


def built_in_place(package: str) -> Place:
    """Where plug-ins of fsbench go."""
    return Place(f"fsbench/{package}/{{}}.py", "fsbench/registry.py", built_in, f"tests/{package}/test_{{}}.py")


MODELS = Place("reference_models/{}.py", "reference_models/__init__.py", imported, "tests/reference_models/test_{}.py")
PLACES = {
    **dict.fromkeys(("swappers", "refiners", "wrappers"), MODELS),
    **{kind: built_in_place(kind) for kind in ("metrics", "embedders", "observers", "datasets", "evidence")},
    "faults": Place("fsbench/faults/{}.py", "fsbench/faults/__init__.py", in_table, "tests/faults/test_{}.py"),
}


SECTION = {
    "fsbench/report/sections/how.py": '''"""An example of a section."""

from typing import Any

from fsbench.report.page import Section
from fsbench.report.run import RunContents


def build(run: RunContents) -> dict[str, Any] | None:
    return {"command": run.result.command}


SECTIONS = (Section("how", "How", build, "run/how.html.j2"),)
''',
    "fsbench/report/templates/run/how.html.j2": "<h2>How</h2>\n<p>{{ command }}</p>\n",
    "tests/report/test_how.py": """from fsbench import report
from fsbench.report.run import read


def test_how(run_folder):
    page = report.html(read(run_folder))
    assert '<a href="#how">How</a>' in page
    assert "<h2>How</h2>" in page[page.index('<section id="how">') :]
""",
}
"""A section of the report is a module with its template, a line in a list, and a test."""


def add_section(copy: Path) -> list[str]:
    """Add a section of the report to a copy; returns the files that were touched."""
    listing = "fsbench/report/sections/__init__.py"
    text = (copy / listing).read_text()
    assert "MODULES = (\n" in text
    (copy / listing).write_text(text.replace("MODULES = (\n", 'MODULES = (\n    "how",\n'))
    for file, source in SECTION.items():
        (copy / file).write_text(source)
    return [listing, *SECTION]


def kind_and_name(snippet: str) -> tuple[str, str]:
    """What an example adds: the registry, or `faults`, and the name."""
    if (match := re.search(r'^@(\w+)\.register\("(\w+)"\)', snippet, re.MULTILINE)) is not None:
        return match[1], match[2]
    match = re.search(r'^\w+ = Fault\(\s*"(\w+)"', snippet, re.MULTILINE)
    assert match is not None, f"what does this example add?\n{snippet}"
    return "faults", match[1]


def with_imports(body: str, whole: str) -> str:
    """Source code with those imports of an example that it uses."""
    used = set(re.findall(r"\w+", body))
    lines = []
    for node in ast.parse(whole).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [alias for alias in node.names if (alias.asname or alias.name) in used]
            lines += [ast.unparse(node)] if node.names else []
    return "\n".join(lines) + "\n\n\n" + body


def add(copy: Path, snippet: str) -> list[str]:
    """Add an example to a copy; returns the files that were touched."""
    kind, name = kind_and_name(snippet)
    place = PLACES[kind]
    code, mark, test = snippet.partition("\n\n\ndef test_")
    assert mark, "an example ends with its test"
    first = next(node for node in ast.parse(code).body if not isinstance(node, ast.Import | ast.ImportFrom))
    start = min([first.lineno, *(one.lineno for one in getattr(first, "decorator_list", ()))])
    body = "\n".join(code.splitlines()[start - 1 :]) + "\n"
    path = place.module.format(name)
    module = path.removesuffix(".py").replace("/", ".")
    defined = [one.name for one in ast.parse(body).body if isinstance(one, ast.ClassDef | ast.FunctionDef)]
    defined += re.findall(r"^([A-Z_]+) = ", body, re.MULTILINE)
    listing = (copy / place.listing).read_text()
    files = {
        path: f'"""An example of CONTRIBUTING.md."""\n\n{with_imports(body, code)}',
        place.listing: place.line(listing, name, module),
        place.test.format(name): with_imports(
            f"def test_{test}", f"{code}\nfrom {module} import {', '.join(defined)}\n"),
    }  # fmt: skip
    assert files[place.listing] != listing
    for file, text in files.items():
        (copy / file).parent.mkdir(exist_ok=True)
        (copy / file).write_text(text)
    return list(files)


def test_every_kind_of_plugin_has_an_example() -> None:
    assert {kind for kind, _ in map(kind_and_name, SNIPPETS)} >= {*REGISTRIES, "faults"}


def test_additions_turn_nothing_red(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    for name in NEEDED:
        whole = ROOT / name
        if whole.is_dir():
            shutil.copytree(whole, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(whole, copy / name)
    touched = {kind_and_name(snippet): add(copy, snippet) for snippet in SNIPPETS}
    plugins = list(touched)
    if (copy / "fsbench/report/sections").is_dir():
        touched["section", "how"] = add_section(copy)
    (copy / "tests/test_copy.py").write_text(
        "from pathlib import Path\nimport fsbench, reference_models\nfrom fsbench.faults import FAULTS\n"
        "from fsbench.registry import REGISTRIES\n\n\ndef test_it_is_the_copy():\n"
        "    for package in (fsbench, reference_models):\n"
        "        assert Path(package.__file__).parents[1] == Path(__file__).parents[1]\n"
        f"    for kind, name in {plugins}:\n"
        "        assert name in FAULTS if kind == 'faults' else REGISTRIES[kind].get(name).package in "
        "('fsbench', 'reference_models')\n"
    )
    files = [str(path) for name in (*WATCHING, *BY_NAME) for path in (copy / "tests").rglob(f"{name}.py")]
    files += [files[-1] for files in touched.values()]
    chosen = " or ".join([*WATCHING, *TABLES, *(name for _, name in touched)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'base'}", *files,
         "-k", f"({chosen}) and not light"],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert all(f"test_{name}.py" in " ".join(files) for (_, name), files in touched.items())
    with capsys.disabled():
        for (kind, name), files in touched.items():
            print(f"\n{kind}: {name} touches {len(files)} files: {', '.join(files)}", end="")  # noqa: T201
    for (kind, _), files in touched.items():
        assert len([file for file in files if not file.endswith(".html.j2")]) == 3, f"{kind} takes more than it should"
