"""The clips of a run: what each model made of them, and how much of them a page has room for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fsbench.report import curves, sprites
from fsbench.report.curves import CLIP, RATE, ClipCurves, FrameCurve
from fsbench.report.run import Column, RunContents
from fsbench.report.sprites import TileFormat
from fsbench.report.tables import ordered
from fsbench.report.thumbnails import data_uri
from fsbench.run_files import inside
from fsbench.sampling import evenly

FORMATS = (TileFormat(256, 75), TileFormat(128, 75), TileFormat(128, 50), TileFormat(96, 50))
"""How frames are encoded, the best first; tiles are never larger than the crops."""

SHORTEST = 50
"""Frames of a longer clip that are shown at least."""

SAMPLED = 24
"""Frames by whose size that of all is estimated."""

MARGIN = 1.1
"""By how much more is reckoned with than the estimate says."""

CURVE_BYTES = 8
"""Of one number of a curve, as text."""


@dataclass(frozen=True)
class Answer:
    """What one model made of a clip."""

    model: str
    outputs: tuple[str, ...]  # paths below the run's folder, (N,)
    score: float  # of the whole clip, by the run's first metric of clips; NaN without one
    curves: tuple[FrameCurve, ...]


@dataclass(frozen=True)
class SourceClip:
    """A clip, or a stretch of one, whose face one source goes into."""

    title: str
    targets: tuple[str, ...]  # paths below the run's folder, (N,)
    exact: tuple[str, ...]  # the same of exact swaps, () where these are not known
    numbers: tuple[int, ...]  # of the frames in the data set's own count, (N,)
    answers: tuple[Answer, ...]  # in the order of the models
    whole: int  # frames of the whole clip
    rate: float = RATE  # frames a second
    first: int = 0  # place of the first frame in it

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def tracks(self) -> list[tuple[str, ...]]:
        """Targets, exact swaps and outputs."""
        return [self.targets, *([self.exact] if self.exact else []), *(answer.outputs for answer in self.answers)]

    def cut(self, start: int, stop: int) -> SourceClip:
        """Return a stretch of it."""
        part = slice(start, stop)
        answers = tuple(
            replace(answer, outputs=answer.outputs[part],
                    curves=tuple(replace(curve, values=curve.values[part]) for curve in answer.curves))
            for answer in self.answers
        )  # fmt: skip
        return replace(
            self,
            targets=self.targets[part],
            exact=self.exact[part],
            numbers=self.numbers[part],
            answers=answers,
            first=self.first + start,
        )

    def around_worst(self, length: int, column: Column | None) -> SourceClip:
        """Return a stretch around the worst second of the first model that has one, else from the middle."""
        known = (curve for answer in self.answers for curve in answer.curves if curve.column == column and curve.worst)
        second = next((curve.worst[0] for curve in known), None)
        middle = len(self) // 2 if second is None else (second.start + second.stop) // 2
        start = max(0, min(middle - length // 2, len(self) - length))
        return self.cut(start, start + length)


def metric(run: RunContents) -> Column | None:
    """The metric by which clips are ordered: the first of clips that has a value."""
    of_clips = (column for column in run.columns if column.metric.sample == "clip" and column.key in run.clips)
    return next((column for column in of_clips if run.clips[column.key].notna().any()), None)


def of_run(run: RunContents) -> list[SourceClip]:
    """All clips of a run, those first on which the contestants are worst in the mean."""
    if run.clips.empty:
        return []
    column, frames = metric(run), curves.of_run(run)
    place = {model.name: i for i, model in enumerate(ordered(run))}
    contestants = {model.name for model in run.contestants}
    clips = []
    for _, rows in run.clips.groupby(CLIP[1:], sort=False):
        rows = rows[rows["model"].isin(place)].drop_duplicates("model")
        rows = rows.sort_values("model", key=lambda names: names.map(place), kind="stable")
        if len(rows) and len(rows["targets"].iloc[0]):
            clips.append(_clip(run, rows, column, frames))
    sign = 1 if column is not None and column.metric.direction == "higher" else -1

    def badness(clip: SourceClip) -> float:
        scores = [answer.score for answer in clip.answers if answer.model in contestants and np.isfinite(answer.score)]
        return sign * float(np.mean(scores)) if scores else np.inf

    return sorted(clips, key=badness)


def _clip(
    run: RunContents, rows: pd.DataFrame, column: Column | None, frames: Mapping[Hashable, ClipCurves]
) -> SourceClip:
    """One clip out of the rows of clips.parquet about it, a row per model."""
    first = rows.iloc[0]
    n, rate = len(first["targets"]), _rate(first)
    answers, numbers = [], tuple(range(n))
    for _, row in rows.iterrows():
        outputs = [*map(str, row["outputs"][:n]), *[""] * (n - len(row["outputs"]))]
        known = frames.get(tuple(row[name] for name in CLIP))
        if known is not None and len(known.numbers) != n:  # of another clip
            known = None
        numbers = numbers if known is None else known.numbers
        score = float("nan") if column is None else float(row[column.key])
        own = () if known is None else tuple(replace(curve, rate=rate) for curve in known.curves)
        answers.append(Answer(str(row["model"]), tuple(outputs), score, own))
    exact = [_exact(path) for path in answers[0].outputs]
    title = f"{first['source']} into {first['identity']}, {first['session']}"
    title += f", {first['clip']}" if first["clip"] != first["session"] else ""
    shown = tuple(exact) if inside(run.folder, exact[0]) else ()
    return SourceClip(title, tuple(map(str, first["targets"])), shown, numbers, tuple(answers), n, rate)


def _rate(row: pd.Series) -> float:
    """Frames a second of a clip of clips.parquet, as its data set told it."""
    rate = pd.to_numeric(pd.Series([row.get("rate")], dtype=object), errors="coerce").iloc[0]
    return float(rate) if 0 < rate < np.inf else RATE


def _exact(output: str) -> str:
    """Where the exact swap of an output lies.

    >>> _exact("outputs/gan_mask/Ada/Bo/s0/1.png")
    'inputs/exact/Ada/Bo/s0/1.png'
    """
    return str(PurePosixPath("inputs", "exact", *PurePosixPath(output).parts[2:]))


def fit(
    clips: Sequence[SourceClip],
    n_tracks: Sequence[int],
    room: float,
    costs: Mapping[TileFormat, float],
    by: Column | None,
) -> tuple[TileFormat, list[SourceClip]]:
    """Choose what of `clips` goes into `room` bytes, with `costs` a frame.

    All clips are whole in the best format that has room for this. Where none has, the frames are of the last one, and
    each clip is cut to as many frames as let all be shown, around its worst second; but not below SHORTEST, and rather
    than that the last clips are left out, then the last models; then there are none.
    """
    tracks, lengths = np.array(n_tracks), np.array([len(clip) for clip in clips])
    for form, cost in costs.items():
        if cost * (tracks @ lengths) <= room:
            return form, list(clips)
    n_tiles = room / cost
    limits = range(SHORTEST, int(lengths.max()) + 1)
    longest = max(SHORTEST, SHORTEST - 1 + bisect_right(limits, n_tiles, key=lambda n: tracks @ np.minimum(lengths, n)))
    n_clips = int(np.searchsorted(np.cumsum(tracks * np.minimum(lengths, longest)), n_tiles, side="right"))
    shown = [clip.around_worst(min(longest, len(clip)), by) for clip in clips[: max(1, n_clips)]]
    if not n_clips:
        n_models = max(0, int(n_tiles / len(shown[0])) - 2)  # beside targets and exact swaps
        shown = [replace(shown[0], answers=shown[0].answers[:n_models])] if n_models else []
    return form, shown


def n_tracks(folder: Path, clip: SourceClip) -> int:
    """How many different tracks a clip has, by the frame in its middle: some models return targets or exact swaps."""
    return len({sprites.digest(folder, track[len(clip) // 2]) for track in clip.tracks})


def costs(folder: Path, clips: Sequence[SourceClip], size: int) -> dict[TileFormat, float]:
    """What a frame of crops of `size` pixels takes on the page in each format, in bytes: by some, evenly chosen."""
    frames = [track[len(clip) // 2] for clip in clips for track in clip.tracks]
    chosen = [frames[i] for i in evenly(len(frames), SAMPLED)]
    numbers = CURVE_BYTES * max(len(answer.curves) for clip in clips for answer in clip.answers)
    known = {}
    for form in dict.fromkeys(replace(form, edge=max(1, min(form.edge, size))) for form in FORMATS):
        tiles = [tile for path in chosen if (tile := sprites.tile_of(folder, path, form.edge)) is not None]
        picture = len(data_uri(sprites.sheet(tiles), form.quality)) / len(tiles) if tiles else 0
        known[form] = MARGIN * (picture + numbers) + 1
    return known
