"""`fsbench data`: what a data set holds, how it is split, what is wrong with it, and its crops as files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsbench.cli import job, listing, options, terminal

if TYPE_CHECKING:
    from rich.table import Table

    from fsbench.datasets.folder import PhotoFolder
    from fsbench.interfaces import Context, Dataset

_NOT_DRAWN = "nothing was drawn for this; fsbench data check draws the images, and tells of poses and detected faces"

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_datasets(as_json: options.JsonList = False) -> None:
    """List data sets with their parameters; the same as fsbench list datasets."""
    listing.list_plugins(listing.Kind.datasets, as_json)


@app.command()
def info(
    name: options.DatasetName,
    data_root: options.DataRoot = None,
    as_json: options.JsonObject = False,
    log_format: options.LogFormat = "text",
) -> None:
    """Show identities, sessions, images and the split; drawn people are not drawn for it (fsbench data check does).

    For example:

      fsbench data info synthetic

      fsbench data info folder:photos --json
    """
    _report(name, data_root, as_json, look_closer=False)


@app.command()
def check(
    name: options.DatasetName,
    data_root: options.DataRoot = None,
    as_json: options.JsonObject = False,
    log_format: options.LogFormat = "text",
) -> None:
    """Show every session, image sizes, what was left out and why, and in how many crops the detector finds a face.

    For example:

      fsbench data check folder:photos
    """
    _report(name, data_root, as_json, look_closer=True)


@app.command()
def export(
    name: options.DatasetName,
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    data_root: options.DataRoot = None,
    quiet: options.Quiet = False,
    log_format: options.LogFormat = "text",
) -> None:
    """Write sources, targets and the table of pairs as files, for a tool that fsbench does not run.

    What the tool makes of them is measured as a model of a run is, with ground truth where the data set has it:

      fsbench data export synthetic crops

      fsbench score --dataset synthetic --outputs mytool=results
    """
    from fsbench import names
    from fsbench.environment import build_dataset

    names.check_names("datasets", [name])
    folder = job.usable_folder(out, option="")
    with job.running(job.command_line(), quiet=quiet) as events:
        from fsbench.harness.export import export as write

        context = events.context("auto", data_root)
        counts = write(build_dataset(name, context), name, folder, context)
    terminal.line(
        f"{counts['images']:,} images and {counts['pairs']:,} pairs of {counts['sources']} sources: "
        f"{folder / 'README.txt'} says what to do with them"
    )


def _report(name: str, data_root: Path | None, as_json: bool, look_closer: bool) -> None:
    from fsbench import names
    from fsbench.environment import build_dataset

    names.check_names("datasets", [name])
    with job.running(job.command_line()) as events:
        context = events.context("auto", data_root)
        facts = _examine(build_dataset(name, context), context, look_closer)
    if as_json:
        terminal.print_json(facts)
    else:
        _print(facts)


def _examine(dataset: Dataset, context: Context, look_closer: bool) -> dict[str, Any]:
    """Return facts about a data set as JSON values."""
    import numpy as np
    import pandas as pd

    from fsbench.datasets import balance
    from fsbench.datasets.folder import PhotoFolder
    from fsbench.extraction.features import find_landmarks
    from fsbench.harness.splits import kind_of

    about, parts = dataset.info, []
    outline = None if look_closer else getattr(dataset, "outline", None)  # rows of images that need not be drawn
    for split in about.splits:
        if outline is not None:
            rows = outline(split)
            parts.append(rows[["identity", "session"]].assign(split=kind_of(split, rows)))
            continue
        faces = dataset.faces(split)
        parts.append(faces.rows.filter(["identity", "session", "yaw"]).assign(split=kind_of(split, faces.rows)))
        if look_closer:
            parts[-1]["found"] = ~np.isnan(find_landmarks(faces.crops, split, context)).any((1, 2))
    rows = pd.concat(parts)
    columns = {"images": ("session", "size")}
    if look_closer:
        groups = rows.groupby(["identity", "session", "split"])
        columns["faces_found"] = ("found", "sum")
    else:
        groups = rows.groupby(["identity", "split"])
        columns["sessions"] = ("session", "nunique")
    swapped = rows[rows["split"].isin(["train", "train clips", "test"])]
    uneven = balance.warnings(swapped)
    facts = {
        "name": about.name,
        "description": about.description,
        "licence": about.licence,
        "revision": about.revision,
        "crop_size": about.size,
        "notes": [*about.notes, *([_NOT_DRAWN] if outline is not None else [])],
        "warnings": list(dict.fromkeys([*about.warnings, *uneven])),
        "unused": [asdict(unused) for unused in about.unused],
        "counts": json.loads(groups.agg(**columns).reset_index().to_json(orient="records")),
        "balance": [
            {"identity": name, "split": split, "sessions": balance.by_session(own), "poses": balance.by_pose(own)}
            for (name, split), own in swapped.groupby(["identity", "split"])
        ],
    }
    return {**facts, **_photographs(dataset)} if look_closer and isinstance(dataset, PhotoFolder) else facts


def _photographs(dataset: PhotoFolder) -> dict[str, Any]:
    """What became of the files, which show one photograph, and how large they are."""
    sides = dataset.files.loc[dataset.files["width"] > 0, ["width", "height"]]
    return {
        "files": {
            **dataset.files["state"].value_counts().to_dict(),
            **{unused.reason: len(unused.files) for unused in dataset.left_beside},
        },
        "near_twins": dataset.near_twins.to_dict(orient="records"),
        "photo_size": {
            "smallest": sides.min().tolist(),
            "median": sides.median().tolist(),
            "largest": sides.max().tolist(),
        },
    }


def _print(facts: dict[str, Any]) -> None:
    from rich.table import Table

    console = terminal.console(soft_wrap=True)
    console.print(terminal.cell(f"{facts['name']}: {facts['description']}", style="bold"))
    line = f"licence {facts['licence']}; revision {facts['revision']}; crops of {facts['crop_size']} pixels"
    console.print(terminal.cell(line))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, value in facts["counts"][0].items():
        table.add_column(heading.replace("_", " "), justify="right" if isinstance(value, int) else "left")
    for row in facts["counts"]:
        table.add_row(*(terminal.cell(str(value)) for value in row.values()))
    console.print(table)
    console.print(_shares(facts["balance"]))
    if "files" in facts:
        console.print(terminal.cell("files: " + ", ".join(f"{n} {state}" for state, n in facts["files"].items())))
        sizes = ", ".join(f"{name} {width:g} x {height:g}" for name, (width, height) in facts["photo_size"].items())
        console.print(terminal.cell(f"photographs: {sizes} pixels"))
    for pair in facts.get("near_twins", ()):
        text = "one photograph: {one} ({one_split}) and {other} ({other_split})"
        console.print(terminal.cell(text.format(**pair)))
    for note in facts["notes"]:
        console.print(terminal.cell(f"note: {note}"))
    for warning in facts["warnings"]:
        console.print(terminal.cell(f"warning: {warning}", style="yellow"))


def _shares(balance: list[dict[str, Any]]) -> Table:
    """Draw up which share of each identity's images its largest session and each pose hold."""
    from rich.table import Table

    poses = list(dict.fromkeys(pose for row in balance for pose in row["poses"]))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("identity", "split", "largest session"):
        table.add_column(heading)
    for pose in poses:
        table.add_column(pose, justify="right")
    for row in balance:
        largest, total = max(row["sessions"], key=row["sessions"].get), sum(row["sessions"].values())
        turned = sum(row["poses"].values())
        cells = [f"{row['poses'].get(pose, 0) / turned:.0%}" if turned else "" for pose in poses]
        session = f"{largest} {row['sessions'][largest] / total:.0%}"
        table.add_row(*map(terminal.cell, (row["identity"], row["split"], session, *cells)))
    return table
