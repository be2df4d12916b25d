"""Names of plug-ins, and the parameters that they take, without importing one: a typo is told at once.

Importing the plug-ins brings torch, which takes seconds. What stands as `@metrics.register("name")` in a source file
can be read as text. A package that registers in any other way (names that are computed, a loop, no source) is imported
before anything is called unknown.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fsbench.config import Plan, parse_budget, parse_device, refuse_repeated
from fsbench.errors import BadParameter, UnknownName
from fsbench.registry import BUILT_IN, OWN_PACKAGES, PARTS, REGISTRIES, Spec, kind_of_part, parse_spec, plugin_modules

MOST_FILES, MOST_BYTES = 500, 1_000_000
"""Of a package, and of a file, that is read rather than imported."""

Parameters = frozenset[str] | None
"""That a plug-in takes; None where the source does not say."""


@dataclass
class Scan:
    """What source files register, by kind: bare names, and full ones of all packages."""

    found: dict[str, dict[str, Parameters]] = field(default_factory=lambda: {kind: {} for kind in REGISTRIES})
    full: dict[str, dict[str, Parameters]] = field(default_factory=lambda: {kind: {} for kind in REGISTRIES})
    complete: bool = True  # nothing registers in a way that cannot be read

    def add(self, kind: str, package: str, name: str, parameters: Parameters) -> None:
        """Note a plug-in under its full name, and under its bare one unless an earlier package has it."""
        self.found[kind].setdefault(name, parameters)
        self.full[kind].setdefault(f"{package}/{name}", parameters)


def check(plan: Plan) -> None:
    """Raise UnknownName or BadParameter for a name that no plug-in has, UsageError for budget, device, repetition."""
    if plan.budget != "auto":
        parse_budget(plan.budget)
    parse_device(plan.device)
    refuse_repeated("model", plan.models)
    pipelines = plan.pipelines()
    scan = scan_all()
    check_names("swappers", [pipeline.swapper for pipeline in pipelines], scan)
    for part in (part for pipeline in pipelines for part in pipeline.parts[1:]):
        check_names(_shelf_of_part(part.name, scan), [part], scan)
    check_measures(plan.metrics, plan.judges, plan.observers, scan)
    check_names("datasets", [plan.dataset], scan)


def check_measures(
    metrics: Iterable[str], judges: Iterable[str], observers: Iterable[str], scan: Scan | None = None
) -> None:
    """Check metrics, judges and observers alone: all that is named where the outputs are there already.

    Raises UsageError for one that is named twice.
    """
    scan = scan or scan_all()
    metrics, judges, observers = tuple(metrics), tuple(judges), tuple(observers)
    for kind, specs in (("metric", metrics), ("judge", judges), ("observer", observers)):
        refuse_repeated(kind, specs)
    for shelf, specs in (("metrics", metrics), ("embedders", judges), ("observers", observers)):
        check_names(shelf, specs, scan)


def check_names(shelf: str, specs: Iterable[str | Spec], scan: Scan | None = None) -> None:
    """Raise UnknownName or BadParameter for the first specification that no plug-in of a shelf answers to."""
    scan = scan or scan_all()
    names = scan.found[shelf] | scan.full[shelf]
    for spec in specs:
        spec = parse_spec(spec) if isinstance(spec, str) else spec
        if spec.name not in names and spec.name not in REGISTRIES[shelf]:
            _look_further(shelf, spec.name, scan)
        known = names.get(spec.name)
        for key in spec.params if known is not None else ():
            if key and known is not None and key not in known:
                wrong = UnknownName(f"parameter of {spec.name}", key, known)
                raise BadParameter(wrong.message, wrong.hint)


def _shelf_of_part(name: str, scan: Scan) -> str:
    """Where the name of a refiner or wrapper stands; raises what `registry.kind_of_part` raises."""
    shelves = [
        shelf
        for shelf in map("{}s".format, PARTS)
        if name in (scan.found[shelf] | scan.full[shelf]) or name in REGISTRIES[shelf]
    ]
    if not shelves and scan.complete:
        known = [*scan.found["refiners"], *scan.found["wrappers"]]
        raise UnknownName(" or ".join(PARTS), name, known, f"see: {REGISTRIES['refiners'].listing}")
    return shelves[0] if len(shelves) == 1 and scan.complete else f"{kind_of_part(name)}s"


def _look_further(shelf: str, name: str, scan: Scan) -> None:
    """Import what registers by other means; raise UnknownName for a name that nobody has then either.

    What the catalogue of weights says of a plug-in's files tells what a name may mean: `arcface` is onnx(arcface_mbf).
    """
    from fsbench.weights import CATALOGUE

    registry, texts = REGISTRIES[shelf], dict.fromkeys(scan.found[shelf], "")
    listing, own = f"see: {registry.listing}", ""
    if not scan.complete:
        try:
            registry.get(name)
            return
        except UnknownName as error:
            listing, texts = error.listing, dict.fromkeys(registry.names(), "")
    for entry in CATALOGUE.values():
        plugin = parse_spec(entry.used_by).name
        if plugin in texts:
            texts[entry.used_by] = f"{texts.get(entry.used_by, '')} {entry.text}"
            if entry.used_by == f"{plugin}({entry.name})":  # it takes files in general, of which this is one
                own = f"a file of your own: {plugin}(PATH); "
    owners = [full for full in scan.full[shelf] if "/" in name and full.endswith(f"/{name.rpartition('/')[2]}")]
    if owners:
        raise UnknownName(registry.kind, name, owners, listing)
    raise UnknownName(registry.kind, name, texts, own + listing, texts)


def scan_all() -> Scan:
    """Read what fsbench and all packages with entry points register."""
    scan = Scan()
    for module in BUILT_IN:
        place = Path(__file__).parent.joinpath(*module.split(".")[1:])
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
            _read(path, scan, OWN_PACKAGES[0])
    packages = dict.fromkeys(point.module.partition(".")[0] for point in plugin_modules())
    for package in sorted(packages.keys() - {OWN_PACKAGES[0]}, key=[*OWN_PACKAGES, *packages].index):
        before = sum(map(len, scan.found.values()))
        files = list(_files(package))
        if not files or len(files) > MOST_FILES:
            scan.complete = False
            continue
        for path in files:
            _read(path, scan, package)
        scan.complete &= sum(map(len, scan.found.values())) > before  # else it registers by other means
    return scan


def _files(package: str) -> Iterator[Path]:
    """Source files of a top-level package or module; none where there are none to read. Nothing is imported."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.submodule_search_locations:
        for place in spec.submodule_search_locations:
            yield from sorted(Path(place).rglob("*.py"))
    elif spec.origin and spec.origin.endswith(".py"):
        yield Path(spec.origin)


def _read(path: Path, scan: Scan, package: str) -> None:
    """Add what one file of a package registers."""
    try:
        with path.open("rb") as file:
            source = file.read(MOST_BYTES + 1)
        if b"register" not in source:
            return
        tree = ast.parse(source) if len(source) <= MOST_BYTES else None
    except (OSError, SyntaxError, ValueError, RecursionError):
        tree = None
    if tree is None:
        scan.complete = False
        return
    known = _registries(tree)
    plain: set[ast.AST] = set()  # calls that decorate what stands at the top of the file
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            shelf, name = _registered(decorator, known)
            if shelf and name:
                plain.add(decorator)
                scan.add(shelf, package, name, _parameters(node))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call not in plain:
            shelf, name = _registered(call, known)
            if shelf and name:
                scan.add(shelf, package, name, None)
            elif shelf or _may_register(call, known):
                scan.complete = False


def _registries(tree: ast.Module) -> dict[str, str]:
    """What a file calls the registries: expression -> shelf."""
    known = {f"fsbench.registry.{shelf}": shelf for shelf in REGISTRIES}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "fsbench.registry":
            known |= {alias.asname or alias.name: alias.name for alias in node.names if alias.name in REGISTRIES}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            whole = "fsbench" if isinstance(node, ast.ImportFrom) and node.module == "fsbench" else ""
            for alias in node.names:
                if f"{whole}.{alias.name}".lstrip(".") == "fsbench.registry" and (alias.asname or whole):
                    known |= {f"{alias.asname or alias.name}.{shelf}": shelf for shelf in REGISTRIES}
    return known


def _registered(call: ast.AST, known: dict[str, str]) -> tuple[str, str]:
    """Shelf and name of `registry.register("name")`; "" for what it is not, or does not say."""
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "register"):
        return "", ""
    shelf = known.get(ast.unparse(call.func.value), "")
    first = call.args[0] if len(call.args) == 1 and not call.keywords else None
    return shelf, first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _may_register(call: ast.Call, known: dict[str, str]) -> bool:
    """Whether a call may register a plug-in in a way that is not read here; `atexit.register` does not."""
    if isinstance(call.func, ast.Attribute) and call.func.attr == "register":
        return ast.unparse(call.func.value) not in ("atexit", "codecs", "abc.ABC", "signal")
    return any(isinstance(part, ast.Name | ast.Attribute) and ast.unparse(part) in known for part in call.args)


def _parameters(node: ast.ClassDef | ast.FunctionDef) -> Parameters:
    """Keyword-only parameters, as `Entry.parameters` has them; None where a base or another decorator decides.

    A dataclass of keywords has its fields.
    """
    keyword_only = len(node.decorator_list) == 2 and any(map(_is_keyword_dataclass, node.decorator_list))
    if keyword_only and isinstance(node, ast.ClassDef) and not node.bases:
        targets = (one.target for one in node.body if isinstance(one, ast.AnnAssign))
        return frozenset(target.id for target in targets if isinstance(target, ast.Name)) - {"context"}
    if len(node.decorator_list) > 1:
        return None
    function: ast.stmt | None = node
    if isinstance(node, ast.ClassDef):
        function = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
        if function is None and (node.bases or node.keywords):
            return None
    if function is None:
        return frozenset()
    assert isinstance(function, ast.FunctionDef)
    return frozenset(one.arg for one in function.args.kwonlyargs) - {"context"}


def _is_keyword_dataclass(decorator: ast.expr) -> bool:
    """Whether it is `dataclass(kw_only=True, ...)`, whose fields are the parameters."""
    return (
        isinstance(decorator, ast.Call)
        and ast.unparse(decorator.func) in ("dataclass", "dataclasses.dataclass")
        and any(word.arg == "kw_only" and ast.unparse(word.value) == "True" for word in decorator.keywords)
    )
