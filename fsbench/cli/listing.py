"""`fsbench list`: what there is."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """What can be listed."""

    models = "models"
    metrics = "metrics"
    datasets = "datasets"
    embedders = "embedders"
    weights = "weights"


def list_plugins(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects.")] = False,
) -> None:
    """List models, metrics, data sets, embedders or pretrained weights, each with its parameters."""
    rows = _weights() if kind is Kind.weights else _plugins(kind)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in rows[0] if rows else ("nothing",):
        table.add_column(heading, no_wrap=heading == "name")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def _plugins(kind: Kind) -> list[dict[str, str]]:
    from fsbench import registry

    shelves = {
        Kind.models: (registry.swappers, registry.refiners),
        Kind.metrics: (registry.metrics,),
        Kind.datasets: (registry.datasets,),
        Kind.embedders: (registry.embedders,),
    }[kind]
    rows = []
    for shelf in shelves:
        for name in shelf.names():
            entry = shelf.get(name)
            parameters = ", ".join(f"{key}={value.default}" for key, value in entry.parameters.items())
            said = f"{'' if shelf is not registry.refiners else 'refiner: '}{entry.summary}"
            rows.append(
                {"name": name, "what it is": said, "parameters": parameters, "from": entry.origin.partition(".")[0]}
            )
    rows += [
        {"name": broken.origin, "what it is": f"BROKEN: {broken.error}", "parameters": "", "from": broken.origin}
        for broken in registry.load_plugins()
    ]
    return rows


def _weights() -> list[dict[str, str]]:
    from fsbench.weights import CATALOGUE

    return [
        {
            "name": name,
            "file": entry.file,
            "size": f"{entry.size / 1e6:.1f} MB",
            "licence": entry.licence,
            "sha256": entry.sha256[:16],
        }
        for name, entry in CATALOGUE.items()
    ]
