"""`fsbench list`: what there is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from fsbench.cli import options, terminal


class Kind(StrEnum):
    """What can be listed."""

    models = "models"
    metrics = "metrics"
    datasets = "datasets"
    embedders = "embedders"
    observers = "observers"
    evidence = "evidence"
    weights = "weights"


def list_plugins(
    kind: Annotated[Kind, typer.Argument(help="What to list.")], as_json: options.JsonList = False
) -> None:
    """List models, metrics, data sets, embedders, observers, kinds of evidence or weights, each with its parameters."""
    if kind is Kind.weights:
        from fsbench.cli.weights import overview

        terminal.print_rows(overview(full=as_json), as_json)
    else:
        terminal.print_rows(_plugins(kind), as_json)


def _plugins(kind: Kind) -> list[dict[str, Any]]:
    from fsbench import registry
    from fsbench.errors import PluginError

    rows: list[dict[str, Any]] = []

    def add(name: str, description: str, package: str) -> None:
        rows.append({"name": name, "description": description, "parameters": {}, "package": package})

    listed = [plugins for plugins in registry.REGISTRIES.values() if plugins.listing == f"fsbench list {kind}"]
    for plugins in listed:
        for name in plugins.names():
            entry = plugins.get(name)
            what = "" if plugins is listed[0] else f"{plugins.kind}: "
            taken = f" ({entry.name} alone means {plugins.get(entry.name).full_name})" if "/" in name else ""
            add(name, f"{what}{entry.summary}{taken}", entry.package)
            try:
                rows[-1]["parameters"] = {key: entry.choices(key) for key in entry.parameters}
            except PluginError as error:
                rows[-1]["description"] = f"BROKEN: {error.message}"
        for refused in plugins.refused:
            add(refused.definition, f"REFUSED: {refused.reason}", refused.name.partition("/")[0])
    for broken in registry.load_plugins():
        add(broken.origin, f"BROKEN: {broken.error}", broken.origin)
    return rows
