"""Frames of clips as sprite sheets: JPEG pictures of many frames each, in data URIs.

A player has to show exactly frame k, and the difference of two pictures. A <video> does the first unreliably: a seek
may end at a frame beside. Codecs that predict blocks from others (VP9, H.264, AVIF, WebP) do not do the second. On
crops of 128 pixels, of which 70 % are equal in target and output, 49 to 85 % of the equal pixels differ by more than
one level once encoded, by 2 to 5 levels in the mean: an amplified difference would show the codec. In JPEG with full
resolution of colour a block of 8 x 8 pixels depends on nothing else: blocks that are equal stay equal, and the 6 to 7 %
of these pixels that differ lie beside what the model changed. A frame takes 2.6 to 4.1 kB (quality 75), in AVIF 1.5 to
2.1, in VP9 0.6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fsbench.report.thumbnails import content, data_uri, decode
from fsbench.run_files import inside

BLOCK = 8
"""Pixels of a block: tiles begin at borders of blocks, so that nothing of one shows in the next."""

COLUMNS, ROWS = 8, 8
"""Tiles of a sheet: a browser decodes it whole."""


@dataclass(frozen=True)
class TileFormat:
    """How frames are encoded."""

    edge: int  # of a tile, in pixels: crops are squares
    quality: int  # of JPEG


@dataclass(frozen=True)
class FrameTrack:
    """One picture per frame of a clip."""

    sheets: tuple[str, ...]  # data URIs
    tiles: tuple[int, ...]  # (N,) of each frame, counted row by row and sheet by sheet; -1 where there is no picture


class Sprites:
    """Encodes frames of a run; equal frames of a clip share a tile, and equal clips a track."""

    def __init__(self, folder: Path, form: TileFormat) -> None:
        self.folder, self.form = folder, form
        self.tracks: list[FrameTrack] = []
        self._places: dict[tuple[str, ...], int] = {}

    def add(self, paths: Sequence[str]) -> int:
        """Encode a clip, given as paths below the run's folder; returns its place in `tracks`."""
        digests = tuple(digest(self.folder, path) for path in paths)  # of a long clip not all files are kept
        if digests not in self._places:
            self._places[digests] = len(self.tracks)
            self.tracks.append(self._track(dict(zip(digests, paths, strict=True)), digests))
        return self._places[digests]

    def _track(self, files: Mapping[str, str], digests: Sequence[str]) -> FrameTrack:
        tiles: list[np.ndarray] = []
        place = {"": -1}
        for name, path in files.items():
            tile = tile_of(self.folder, path, self.form.edge) if name else None
            place[name] = -1 if tile is None else len(tiles)
            tiles += [] if tile is None else [tile]
        sheets = (tiles[i : i + COLUMNS * ROWS] for i in range(0, len(tiles), COLUMNS * ROWS))
        uris = (data_uri(sheet(part), self.form.quality) for part in sheets)
        return FrameTrack(tuple(uris), tuple(place[name] for name in digests))


def stride(edge: int) -> int:
    """From one tile of a sheet to the next, in pixels.

    >>> stride(96), stride(50)
    (96, 56)
    """
    return -(-edge // BLOCK) * BLOCK


def sheet(tiles: Sequence[np.ndarray], columns: int = COLUMNS) -> Image.Image:
    """Put squares (S, S, 3) of one size into rows; what is between them is drawn out of their borders."""
    edge = stride(len(tiles[0]))
    picture = np.zeros((-(-len(tiles) // columns) * edge, min(columns, len(tiles)) * edge, 3), np.uint8)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        room = ((0, edge - len(tile)), (0, edge - len(tile)), (0, 0))
        picture[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge] = np.pad(tile, room, mode="edge")
    return Image.fromarray(picture)


def digest(folder: Path, path: str) -> str:
    """What tells the content of a picture's file from others; "" where there is none."""
    place = inside(folder, path)
    data = None if place is None else content(place)
    return "" if data is None else hashlib.sha256(data).hexdigest()


def tile_of(folder: Path, path: str, edge: int) -> np.ndarray | None:
    """A frame (edge, edge, 3) as uint8; None where there is no picture."""
    place = inside(folder, path)
    image = None if place is None else decode(content(place))
    if image is None:
        return None
    return np.asarray(image if image.size == (edge, edge) else image.resize((edge, edge), Image.Resampling.LANCZOS))
