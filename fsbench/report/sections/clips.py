"""Clips: a player of what each model made of them, and film strips for paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from fsbench.numbers import number
from fsbench.report import budget, clips, curves, plots, sprites
from fsbench.report.clips import SourceClip
from fsbench.report.curves import RATE, FrameCurve
from fsbench.report.page import Section
from fsbench.report.plots import LABEL, short
from fsbench.report.run import Column, RunContents
from fsbench.report.sprites import Sprites, TileFormat
from fsbench.report.thumbnails import data_uri
from fsbench.sampling import evenly

FRAMES = 8
"""Frames of a film strip."""

STRIP = TileFormat(96, 75)
STRIPS = 0.25
"""Share of the section's bytes that film strips may take."""


def build(run: RunContents, room: int) -> dict[str, Any] | None:
    """Give `room` bytes to film strips and to the player, which has what the former leave."""
    known = clips.of_run(run)
    if not known:
        return None
    column = clips.metric(run)
    reel = Reel(run, column, room * STRIPS)
    films = [film for clip in known if (film := reel.film(clip)).strips]
    sizes = clips.costs(run.folder, known, run.result.dataset.size)
    tracks = [clips.n_tracks(run.folder, clip) for clip in known]
    form, shown = clips.fit(known, tracks, room - reel.n_bytes, sizes, column)
    return {
        "column": column,
        "films": films,
        "colours": plots.colours(run),
        "player": player(run, form, shown) if shown else None,
        "form": form,
        "rate": round(RATE),
        "megabytes": budget.PAGE // 10**6,
        "counts": {
            "clips": (len(shown), len(known)),
            "frames": (sum(map(len, shown)), sum(map(len, known))),
            "models": (len(shown[0].answers) if shown else 0, len(known[0].answers)),
            "film strips": (reel.n_strips, reel.n_strips + reel.n_left_out),
        },
    }


def player(run: RunContents, form: TileFormat, shown: Sequence[SourceClip]) -> dict[str, Any]:
    """Return what the page's script plays: tracks of pictures, and the clips that are made of them."""
    pictures = Sprites(run.folder, form)
    played = [
        {
            "title": short(clip.title, LABEL) + _stretch(clip),
            "rate": clip.rate,
            "first": clip.first,
            "whole": clip.whole,
            "numbers": clip.numbers,
            "input": pictures.add(clip.targets),
            "exact": pictures.add(clip.exact) if clip.exact else None,
            "models": [
                {
                    "name": short(answer.model, LABEL),
                    "output": pictures.add(answer.outputs),
                    "curves": [_curve(curve) for curve in answer.curves],
                }
                for answer in clip.answers
            ],
        }
        for clip in shown
    ]
    tracks = [{"sheets": track.sheets, "tiles": track.tiles} for track in pictures.tracks]
    layout = {"edge": form.edge, "stride": sprites.stride(form.edge), "columns": sprites.COLUMNS, "rows": sprites.ROWS}
    return {**layout, "tracks": tracks, "clips": played}


def _stretch(clip: SourceClip) -> str:
    last = clip.first + len(clip)
    return f" (frames {clip.first + 1:,} to {last:,} of {clip.whole:,})" if len(clip) < clip.whole else ""


def _curve(curve: FrameCurve) -> dict[str, Any]:
    metric = curve.column.metric
    return {
        "name": curve.column.key,
        "unit": metric.unit,
        "values": [float(f"{value:.4g}") if np.isfinite(value) else None for value in curve.values],
        "worst": [(second.start, second.stop, number(second.value, metric.digits)) for second in curve.worst],
    }


@dataclass(frozen=True)
class FrameStrip:
    """Frames of one track, or of two below each other, as one picture."""

    label: str
    heads: tuple[str, ...]  # of the frames: their places in the clip, from 1
    uri: str
    alt: str


@dataclass(frozen=True)
class FilmClip:
    """The film strips of a clip: frames evenly chosen, and the worst second of each contestant."""

    title: str
    strips: tuple[FrameStrip, ...]
    worst: tuple[FrameStrip, ...]
    figure: Markup | None


@dataclass
class Reel:
    """Makes film strips for as long as there is room for them."""

    run: RunContents
    column: Column | None  # the worst seconds are those of this metric
    room: float  # bytes
    n_bytes: int = 0
    n_strips: int = 0
    n_left_out: int = 0

    def film(self, clip: SourceClip) -> FilmClip:
        """The film strips of a clip, and the curves of its contestants."""
        even = evenly(len(clip), FRAMES)
        ceilings = {model.name for model in self.run.result.models if model.kind == "ceiling"}
        tracks = [("target", clip.targets), *([("exact", clip.exact)] if clip.exact else [])]
        tracks += [
            (answer.model, answer.outputs) for answer in clip.answers if not (clip.exact and answer.model in ceilings)
        ]  # what these give are the exact swaps
        strips = [self._strip(clip, label, even, paths) for label, paths in tracks]
        known = dict(self._curves(clip))
        worst = []
        for answer in clip.answers:
            if answer.model in known and (seconds := known[answer.model].worst):
                frames = seconds[0].start + evenly(seconds[0].stop - seconds[0].start, FRAMES)
                worst.append(self._strip(clip, answer.model, frames, clip.targets, answer.outputs))
        colours = plots.colours(self.run)
        lines = [(curve, colours[model]) for model, curve in known.items()]
        figure = curves.figure(clip.title, lines) if lines and any(strips) else None
        return FilmClip(clip.title, _there(strips), _there(worst), figure)

    def _curves(self, clip: SourceClip) -> Iterator[tuple[str, FrameCurve]]:
        """The metric's curve of each contestant that has one."""
        contestants = {model.name for model in self.run.contestants}
        for answer in clip.answers:
            for curve in answer.curves:
                if answer.model in contestants and curve.column == self.column:
                    yield answer.model, curve

    def _strip(self, clip: SourceClip, label: str, frames: np.ndarray, *tracks: Sequence[str]) -> FrameStrip | None:
        if self.n_left_out:  # what comes first is what is shown
            self.n_left_out += 1
            return None
        edge = max(1, min(STRIP.edge, self.run.result.dataset.size))
        missing = np.full((edge, edge, 3), 128, np.uint8)
        tiles = [sprites.tile_of(self.run.folder, track[k], edge) for track in tracks for k in frames]
        picture = sprites.sheet([missing if tile is None else tile for tile in tiles], len(frames))
        uri = data_uri(picture, STRIP.quality)
        if self.n_bytes + len(uri) > self.room:
            self.n_left_out += 1
            return None
        self.n_bytes += len(uri)
        self.n_strips += 1
        n_missing = sum(tile is None for tile in tiles)
        alt = f"{short(label, LABEL)}: frames {', '.join(str(k + 1) for k in frames)} of {len(clip)}, {clip.title}"
        alt += f"; {n_missing} pictures are missing and grey" if n_missing else ""
        return FrameStrip(label, tuple(str(k + 1) for k in frames), uri, alt)


def _there(strips: Sequence[FrameStrip | None]) -> tuple[FrameStrip, ...]:
    return tuple(strip for strip in strips if strip is not None)


SECTIONS = (Section("clips", "Clips", build, "run/clips.html.j2"),)
