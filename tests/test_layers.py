"""Imports go only downward, and the light layers stay light."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from fsbench.extraction import codehash

ROOT = Path(__file__).parents[1]
LAYERS = [  # top to bottom; a module may import from its own layer and below
    {"__main__", "api"},
    {"cli"},
    {"executors"},
    {"functional"},
    {"contracts"},
    {"harness", "report"},
    {"faults"},
    {"metrics", "embedders", "observers", "datasets", "training", "evidence"},
    {"names", "extraction", "pairs"},
    {"onnx"},
    {"faces", "weights"},
    {"environment"},
    {"gates", "exports", "leaderboard"},
    {"comparison"},
    {"suites"},
    {"compare"},
    {"config", "stats", "results", "validity", "run_files"},
    {"feedback", "png"},
    {"images"},
    {"interfaces"},
    {"registry"},
    {
        "cache",
        "choices",
        "events",
        "specs",
        "files",
        "guard",
        "consistency",
        "metric_groups",
        "numbers",
        "record_types",
        "sampling",
        "upgrades",
        "markdown",
        "spreadsheets",
    },
    {"unkept"},
    {"members"},
    {"store"},
    {"feature_store", "claims"},
    {"mirror"},
    {"remote"},
    {"shards", "stored"},
    {"atomic"},
    {"hashes"},
    {"errors"},
]
APART = {
    "report": {"harness"},
    "harness": {"report"},
    "metrics": {"datasets", "embedders", "observers", "evidence"},
    "evidence": {"metrics", "datasets", "embedders", "observers"},
    "datasets": {"metrics", "embedders", "observers"},
    "embedders": {"metrics", "datasets", "observers"},
    "observers": {"metrics", "datasets", "embedders"},
}


def layer(part: str) -> int:
    return next(i for i, names in enumerate(LAYERS) if part in names)


def imports(path: Path) -> set[str]:
    """Parts of fsbench that a file imports when it is imported; what stands under TYPE_CHECKING does not run."""
    found = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "fsbench":
            below = node.module.split(".")[1:2]
            found.update(below or [alias.name for alias in node.names])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found - {"__version__"}


FILES = [path for path in sorted((ROOT / "fsbench").rglob("*.py")) if path != ROOT / "fsbench/__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_only_downward(path: Path) -> None:
    own = path.relative_to(ROOT / "fsbench").parts[0].removesuffix(".py")
    for part in imports(path) - {own}:
        assert layer(part) >= layer(own), f"{own} imports {part}, which stands above it"
        assert part not in APART.get(own, set()), f"{own} and {part} must not know each other"


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Also not where it is called; what only a type checker sees does not count."""
    graph: dict[str, set[str]] = {}
    for path in FILES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        package = name if parts[-1] == "__init__" else name.rpartition(".")[0]
        graph[name] = set(codehash.imports(ast.parse(path.read_bytes()), package, lambda of: of.startswith("fsbench.")))
    assert sum(map(len, graph.values())) > 200
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_plugins_use_public_names_only() -> None:
    public = {"registry", "interfaces", "images", "errors", "training", "contracts", "faces", "feedback", "pairs"}
    public |= {"weights", "onnx"}
    for path in sorted((ROOT / "reference_models").rglob("*.py")):
        assert imports(path) <= public, f"{path.relative_to(ROOT)} imports {imports(path) - public}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("fsbench", {"torch", "pandas", "PIL", "matplotlib", "numpy", "pydantic", "typer"}),
        ("fsbench.api.runs", {"torch", "matplotlib"}),
        ("fsbench.cli", {"torch", "pandas", "PIL", "matplotlib", "pydantic"}),
        ("fsbench.report", {"torch"}),
        ("fsbench.comparison.table", {"torch"}),
    ],
)
def test_light_modules_stay_light(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(' '.join(sorted({absent!r} & set(sys.modules))))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == ""


def test_no_two_public_classes_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for path in (*FILES, *sorted((ROOT / "reference_models").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert len(places) > 200
    assert not {name: files for name, files in places.items() if len(files) > 1}
