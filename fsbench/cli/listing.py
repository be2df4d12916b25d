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
    weights = "weights"


def list_plugins(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: options.JsonList = False,
) -> None:
    """List models, metrics, data sets, embedders, observers or pretrained weights, each with its parameters."""
    if kind is Kind.weights:
        from fsbench.cli.weights import overview

        terminal.print_rows(overview(full=as_json), as_json)
    else:
        terminal.print_rows(_plugins(kind), as_json)


def _plugins(kind: Kind) -> list[dict[str, Any]]:
    from fsbench import registry
    from fsbench.errors import PluginError

    shelves = {
        Kind.models: (registry.swappers, *registry.PARTS.values()),
        Kind.metrics: (registry.metrics,),
        Kind.datasets: (registry.datasets,),
        Kind.embedders: (registry.embedders,),
        Kind.observers: (registry.observers,),
    }[kind]
    rows: list[dict[str, Any]] = []
    for shelf in shelves:
        for name in shelf.names():
            entry = shelf.get(name)
            row: dict[str, Any] = {
                "name": name,
                "description": entry.summary,
                "parameters": {},
                "package": entry.origin.split(".")[0],
            }
            try:
                row["parameters"] = {key: entry.choices(key) for key in entry.parameters}
            except PluginError as error:
                row["description"] = f"BROKEN: {error.message}"
            if shelf in registry.PARTS.values():
                row["description"] = f"{shelf.kind}: {row['description']}"
            rows.append(row)
    for broken in registry.load_plugins():
        text = f"BROKEN: {broken.error}"
        rows.append({"name": broken.origin, "description": text, "parameters": {}, "package": broken.origin})
    return rows
