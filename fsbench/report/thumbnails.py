"""Thumbnails of a run's pictures, re-encoded for the page; scores come from the lossless files."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from PIL import Image

from fsbench.files import read
from fsbench.report.run import Run
from fsbench.run_files import LARGEST_PICTURE, MOST_PIXELS, inside

THUMBNAIL = 128  # pixels, the longer edge


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URI, empty where the file is missing."""

    role: str
    uri: str
    alt: str


class Thumbnails:
    """Finds and encodes the pictures of a run, each file once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.has_exact = (run.folder / "inputs" / "exact").is_dir()
        self.thumbnail = cache(_thumbnail)

    def picture(self, role: str, path: Path, alt: str) -> Picture:
        """Return one picture; `path` is below the run's folder, and what leads out of it is not shown."""
        found = inside(self.run.folder, path)
        return Picture(role, self.thumbnail(found) if found is not None else "", alt)

    def inputs(self, row: pd.Series[Any]) -> tuple[Picture, ...]:
        """Source, target and, where known, exact swap of a sample; the path of its output says where the latter lie."""
        _, _, folder, *image = (*PurePosixPath(str(row["output"])).parts, "", "", "", "")  # outputs/MODEL/SOURCE/ID.png
        pair = f"{row['source']} into {row['identity']}"
        pictures = [
            self.picture("source", Path("inputs", "source", f"{row['source']}.png"), f"source: {row['source']}"),
            self.picture("target", Path("inputs", "target", *image), f"target: {row['identity']}, {row['session']}"),
        ]
        if self.has_exact:
            pictures.append(self.picture("exact", Path("inputs", "exact", folder, *image), f"exact swap of {pair}"))
        return tuple(pictures)

    def output(self, row: pd.Series[Any], role: str = "output") -> Picture:
        """The output of a sample."""
        alt = f"output of {row['model']}: {row['source']} into {row['identity']}"
        return self.picture(role, Path(str(row["output"])), alt)


def _thumbnail(path: Path) -> str:
    """Encode as JPEG in a data URI; "" where the file is missing, larger than fsbench writes, or no PNG."""
    try:
        content = read(path, LARGEST_PICTURE)
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                return ""
            small = image.convert("RGB")
    except Exception:  # noqa: BLE001 - Pillow's decoders raise errors of many kinds for damaged files
        return ""
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
