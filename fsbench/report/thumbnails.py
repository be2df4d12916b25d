"""Thumbnails of a run's pictures, re-encoded for the page; scores come from the lossless files."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from fsbench.files import read
from fsbench.report.run import RunContents
from fsbench.run_files import LARGEST_PICTURE, MOST_PIXELS, inside
from fsbench.sampling import evenly

THUMBNAIL = 128  # pixels, the longer edge
QUALITY = 88

SAMPLED = 16
"""Pictures by whose size that of all is estimated."""

MARKUP = 200
"""Bytes of what stands around a picture: its element, description and score."""


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URI, empty where the file is missing."""

    role: str
    uri: str
    alt: str


class Thumbnails:
    """Finds and encodes the pictures of a run, each file once; `edge` is the longer one, in pixels."""

    def __init__(self, run: RunContents, edge: int = THUMBNAIL) -> None:
        self.run = run
        self.has_exact = (run.folder / "inputs" / "exact").is_dir()
        self.thumbnail = cache(partial(_thumbnail, edge=edge))

    @cached_property
    def n_bytes(self) -> float:
        """What a picture takes on the page, with its description: the mean of some outputs, evenly chosen."""
        outputs = [] if self.run.samples.empty else self.run.samples["output"].tolist()
        pictures = [self.picture("", Path(str(outputs[i])), "") for i in evenly(len(outputs), SAMPLED)]
        return MARKUP + float(np.mean([len(picture.uri) for picture in pictures] or [0]))

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


def content(path: Path) -> bytes | None:
    """Read the file of a picture; None where it is missing or larger than fsbench writes."""
    try:
        return read(path, LARGEST_PICTURE)
    except OSError:
        return None


def decode(data: bytes | None) -> Image.Image | None:
    """Decode as RGB; None where it is larger than fsbench writes, or no PNG."""
    try:
        with Image.open(io.BytesIO(data or b""), formats=("PNG",)) as image:
            return image.convert("RGB") if image.width * image.height <= MOST_PIXELS else None
    except Exception:  # noqa: BLE001 - Pillow's decoders raise errors of many kinds for damaged files
        return None


def data_uri(image: Image.Image, quality: int, optimize: bool = False) -> str:
    """Encode as JPEG at the full resolution of colours; Pillow cannot `optimize` large pictures of noise."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0, optimize=optimize)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _thumbnail(path: Path, edge: int) -> str:
    """Encode as JPEG in a data URI; "" where there is no picture."""
    image = decode(content(path))
    if image is None:
        return ""
    image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    return data_uri(image, QUALITY, optimize=True)
