"""`fsbench weights`: pretrained files: what there is, fetching, importing, verifying. Nothing is fetched unasked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsbench.cli import job, options, terminal

if TYPE_CHECKING:
    from fsbench.interfaces import WeightsFile

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A catalogue name. See: fsbench weights list.")]


@app.command("list")
def list_weights(as_json: options.JsonList = False) -> None:
    """List what the catalogue knows, and what of it is here; the same as fsbench list weights."""
    terminal.print_rows(overview(full=as_json), as_json)


@app.command()
def info(name: Name, as_json: options.JsonObject = False) -> None:
    """Show everything about one file: licence, citation, hash, sources, and where it lies.

    For example:

      fsbench weights info facenet_vggface2
    """
    facts = describe(name)
    if as_json:
        terminal.print_json(facts)
        return
    for key, value in facts.items():
        for number, line in enumerate(value if isinstance(value, list) else [value or "-"]):
            terminal.line(f"{'' if number else key.replace('_', ' '):12} {line}")


@app.command()
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Catalogue names (fsbench weights list), or a group: standard (what a default report shows: sface, "
            "inception, lpips_alex, face_landmarker, dino_vitb16), or all that sources give.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show sizes and licences of what would be fetched, and end there.")
    ] = False,
    log_format: options.LogFormat = "text",
) -> None:
    """Download files into the cache, out of the first of their sources that has them, and verify them.

    Sizes and licences are shown first. A file that no source gives is told at the end, the others are kept.

    For example:

      fsbench weights fetch standard

      fsbench weights fetch facenet_vggface2 sface
    """
    from fsbench import weights
    from fsbench.errors import WeightsError

    files = dict.fromkeys(file for name in names for file in weights.members(name))  # a wrong name is told before
    _announce(list(files))
    if dry_run:
        return
    failures: list[WeightsError] = []
    with job.running(f"fsbench weights fetch {' '.join(names)}", kept="what has arrived") as events:
        for name in files:
            try:
                _print_file(weights.fetch(name, _folder(), events.stage, events.log))
            except WeightsError as error:
                failures.append(error)
    if len(failures) > 1:
        hints = "; ".join(dict.fromkeys(error.hint for error in failures if error.hint))
        raise WeightsError("; ".join(error.message for error in failures), hints)
    if failures:
        raise failures[0]


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The file; its name does not matter.")],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="What it is, where its hash does not tell.")] = "",
) -> None:
    """Copy a file that you have into the cache; its hash tells which it is.

    For example:

      fsbench weights import Downloads/resnet50_ft_weight.pkl --as vggface2_resnet50_ft
    """
    from fsbench import weights

    _print_file(weights.import_file(path.expanduser(), _folder(), name))


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Default: all that are here.")] = None,
) -> None:
    """Hash files again; exit code 2 if one is damaged, or is named and missing."""
    from fsbench import weights

    chosen = names or [name for name in weights.CATALOGUE if weights.locate(name, _folder()) is not None]
    states = [_verify(name) for name in chosen]
    if not chosen:
        terminal.line("nothing is here yet; see: fsbench weights list")
    if {"damaged", "missing"} & set(states):
        raise typer.Exit(2)


def overview(full: bool) -> list[dict[str, Any]]:
    """One row for each file of the catalogue; `full` has all that is known, else what fits into a table."""
    from fsbench import weights

    rows = [describe(name) for name in weights.CATALOGUE]
    if full:
        return rows
    return [
        {
            "name": row["name"],
            "here": "yes" if row["path"] else "",
            "size": _size(row["size"]),
            "licence": row["licence"],
            "commercial use": "restricted" if row["restriction"] else "",
            "used by": row["used_by"],
        }
        for row in rows
    ]


def _announce(names: list[str]) -> None:
    """Print size and licence of each file that is not here yet, and how much that is."""
    from fsbench import weights

    entries = [weights.lookup(name) for name in names if weights.locate(name, _folder()) is None]
    if len(names) > len(entries):
        terminal.line(f"{len(names) - len(entries)} of {len(names)} here already")
    if not entries:
        return
    terminal.print_rows(
        [
            {
                "name": entry.name,
                "size": _size(entry.size) or "not published",
                "licence": entry.licence,
                "restriction": entry.restriction,
            }
            for entry in entries
        ],
        as_json=False,
    )
    unknown = sum(not entry.size for entry in entries)
    total = _size(sum(entry.size for entry in entries)) or "0 MB"
    terminal.line(f"to fetch: {total}" + f", and {unknown} of a size that nobody published" * bool(unknown))


def _size(size: int) -> str:
    """Bytes as people read them; "" where nobody published them."""
    return f"{size / 1e6:.1f} MB" if size else ""


def describe(name: str) -> dict[str, Any]:
    """Return all that is known about a file as JSON values."""
    from fsbench import weights
    from fsbench.weights.files import read_pin

    entry, path = weights.lookup(name), weights.locate(name, _folder())
    pin = read_pin(path) if path is not None else None
    return {
        "name": entry.name,
        "description": entry.description,
        "used_by": entry.used_by,
        "licence": entry.licence,
        "restriction": entry.restriction,
        "citation": entry.citation,
        "file": entry.file,
        "size": entry.size,
        "sha256": entry.sha256,
        "pin": asdict(pin) if pin else None,
        "sources": [str(source) for source in (entry.package, *entry.sources) if source is not None],
        "path": str(path) if path is not None else None,
    }


def _folder() -> Path:
    from fsbench.environment import cache_root

    return cache_root() / "weights"


def _verify(name: str) -> str:
    """Print and return the state of a file."""
    from fsbench import weights
    from fsbench.errors import WeightsError

    path = weights.locate(name, _folder())
    try:
        weights.find(name, _folder())
    except WeightsError as error:
        state = "damaged" if path is not None else "missing"
        text, hint = error.message, error.hint
    else:
        state = "intact" if weights.lookup(name).sha256 else "pinned"
        text, hint = str(path), ""
    terminal.line(f"{name:{max(map(len, weights.CATALOGUE))}}  {state:7}  {text}")
    if hint:
        terminal.line(f"  {hint}")
    return state


def _print_file(file: WeightsFile) -> None:
    terminal.line(f"{file.name}: {file.path}")
    terminal.line(f"  sha256 {file.sha256}; licence {file.licence}" + (f"; {file.note}" if file.note else ""))
