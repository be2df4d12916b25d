"""`fsbench cache`: what lies in the cache, whether it is what was written, and removing what is no longer needed."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fsbench.cli import job, options, terminal
from fsbench.environment import cache_url
from fsbench.remote import Objects

if TYPE_CHECKING:
    from fsbench.cache import CachedFile

app = typer.Typer(no_args_is_help=True)

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

OlderThan = Annotated[
    str, typer.Option(metavar="AGE", help="Remove what was not used for so long: 12h, 30d, 8w.", show_default=False)
]
MaxSize = Annotated[
    str,
    typer.Option(
        metavar="SIZE", help="Remove the longest unused until so much is left: 500MB, 5GB.", show_default=False
    ),
]


@app.command()
def info(as_json: options.JsonObject = False) -> None:
    """Show what the cache holds: files, sizes, and when they were last used; of one at a URL also what lies there.

    Nothing in it is needed for anything but speed, weights apart: what is missing is computed again.
    """
    from fsbench import cache

    root, items = _scanned()
    rows = [_row(kind, mine) for kind, mine in _by_kind(items).items()]
    url, there = _remote()
    if as_json:
        facts = {"folder": str(root), "size": sum(item.size for item in items), "kinds": rows}
        remote = {"url": url, "files": len(there), "size": sum(there.values())} if url else None
        terminal.print_json({**facts, "remote": remote})
        return
    if url:
        terminal.line(f"{url}: {len(there):,} objects, {_size(sum(there.values()))}; a copy of what was used here:")
    terminal.line(f"{root}: {_size(sum(item.size for item in items))}")
    if not rows:
        terminal.line("nothing is here yet")
        return
    terminal.print_rows(
        [
            {
                "what": cache.KINDS.get(row["kind"], row["kind"]) + _states(row),
                "files": f"{row['files']:,}",
                "size": _size(row["size"]),
                "last used": _ago(row["used"]),
                "longest unused": _ago(row["unused"]),
            }
            for row in rows
        ],
        as_json=False,
    )


@app.command()
def verify(as_json: options.JsonObject = False, log_format: options.LogFormat = "text") -> None:
    """Read everything in the cache and compare it with its digests; exit code 1 where something is damaged.

    A run does the same with what it uses, and computes again what is damaged. For weights: fsbench weights verify.
    """
    from fsbench import cache

    root, items = _scanned()
    with job.running("fsbench cache verify", quiet=as_json) as events:
        advance = events.stage("reading the cache")
        broken = cache.damaged(root, items, lambda n: advance(n, len(items), {}))
    checked = [item for item in items if cache.has_digest(item)]
    if as_json:
        paths = [str(item.path) for item in broken]
        terminal.print_json({"folder": str(root), "files": len(checked), "damaged": paths})
    else:
        for item in broken:
            terminal.line(f"damaged: {item.path}")
        more = "; fsbench cache prune removes them" if broken else ""
        terminal.line(f"{len(checked):,} files of {root} were read, {len(broken) or 'none'} damaged{more}")
    if broken:
        raise typer.Exit(1)


@app.command()
def prune(
    older_than: OlderThan = "",
    max_size: MaxSize = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    log_format: options.LogFormat = "text",
) -> None:
    """Remove what nobody reads any more: older layouts, what is damaged, what killed processes left behind.

    With --older-than and --max-size also what was not used for the longest time. It is computed again when a run needs
    it; trained models are among it. Weights are left alone, and so is what fsbench did not write. Of a cache at a URL
    (docs/storage.md) only the local copy is concerned.

    For example:

      fsbench cache prune --older-than 30d

      fsbench cache prune --max-size 5GB --dry-run
    """
    from fsbench import cache

    age = _quantity(older_than, SECONDS, "--older-than", "12h, 30d or 8w") if older_than else None
    size = _quantity(max_size, BYTES, "--max-size", "500MB or 5GB") if max_size else None
    root, items = _scanned()
    with job.running("fsbench cache prune", kept="what was not removed") as events:
        advance = events.stage("reading the cache")
        broken = cache.damaged(root, items, lambda n: advance(n, len(items), {}))
        removals = cache.to_remove(items, broken, age, None if size is None else int(size))
        left = [] if dry_run else cache.remove(root, removals)
    kept = {item.path for item in left}
    for removal in removals:
        gone = [item for item in removal.items if item.path not in kept]
        if gone:
            verb = "would be removed" if dry_run else "removed"
            terminal.line(f"{verb}, {removal.reason}: {_files(gone)}")
    for item in left:
        terminal.line(f"cannot be removed: {item.path}", error=True)
    gone_size = sum(item.size for removal in removals for item in removal.items if item.path not in kept)
    what = "nothing to remove" if not removals else f"{_size(gone_size)} {'can be' if dry_run else 'are'} freed"
    terminal.line(f"{what}; {_size(sum(item.size for item in items) - gone_size)} are left in {root}")
    if (url := cache_url()) is not None:
        terminal.line(f"{url} is left as it is")
    if left:
        raise typer.Exit(1)


def _remote() -> tuple[str | None, dict[str, int]]:
    """The URL of the cache, and the sizes of the objects there by name; None for a cache in a folder."""
    url = cache_url()
    return url, Objects(url, lambda message: terminal.line(message, error=True)).listed() if url else {}


def _scanned() -> tuple[Any, list[CachedFile]]:
    from fsbench import cache
    from fsbench.environment import cache_root

    root = cache_root()
    return root, cache.scan(root)


def _by_kind(items: Sequence[CachedFile]) -> dict[str, list[CachedFile]]:
    """Items by kind, in the order of `cache.KINDS`, others behind."""
    from fsbench import cache

    kinds = [*cache.KINDS, *sorted({item.kind for item in items} - cache.KINDS.keys())]
    return {kind: mine for kind in kinds if (mine := [item for item in items if item.kind == kind])}


def _row(kind: str, items: Sequence[CachedFile]) -> dict[str, Any]:
    states = {state: sum(item.state == state for item in items) for state in ("older", "unfinished", "unsent", "other")}
    used = [item.used for item in items]
    sizes = {"files": len(items), "size": sum(item.size for item in items)}
    return {"kind": kind, **sizes, "used": max(used), "unused": min(used), **states}


def _states(row: dict[str, Any]) -> str:
    words = {
        "older": "of an older layout",
        "unfinished": "unfinished",
        "unsent": "not sent yet",
        "other": "not of fsbench",
    }
    told = [f"{row[state]:,} {word}" for state, word in words.items() if row[state]]
    return f" ({', '.join(told)})" if told else ""


def _files(items: Sequence[CachedFile]) -> str:
    return f"{len(items):,} file{'' if len(items) == 1 else 's'}, {_size(sum(item.size for item in items))}"


def _size(size: float) -> str:
    """A number of bytes in a unit that suits it.

    >>> _size(0), _size(999), _size(12_345), _size(5_000_000_000)
    ('0 B', '999 B', '12.3 kB', '5.0 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _ago(then: float) -> str:
    """How long ago a moment was, in a unit that suits it."""
    seconds = max(0.0, time.time() - then)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            n = int(seconds // length)
            return f"{n:,} {unit}{'' if n == 1 else 's'} ago"
    return "just now"


def _quantity(text: str, units: dict[str, int], option: str, examples: str) -> float:
    """A number with a unit; raises UsageError.

    >>> _quantity("1.5GB", BYTES, "", ""), _quantity("2w", SECONDS, "", "") / 86400
    (1500000000.0, 14.0)
    """
    from fsbench.errors import UsageError

    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]?)", text.strip().lower().removesuffix("b" if "" in units else ""))
    if not found or found[2] not in units:
        raise UsageError(f"{option} {text} cannot be understood", f"write {examples}")
    return float(found[1]) * units[found[2]]
