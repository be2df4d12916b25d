"""The service `swap`: a model's faces in a video, an image or a folder of images, back in their frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch

from fsbench.config import parse_pipeline
from fsbench.datasets._photos import USED, Photo
from fsbench.datasets.people import cut_photos
from fsbench.errors import DataError, UsageError
from fsbench.extraction.video_faces import LARGEST, check_face, chosen_faces, chunks, find_faces, reference
from fsbench.faces.detect import Detector
from fsbench.faces.paste import FrameCrop, PasteBack, cut, floor, paste
from fsbench.faces.track import Smoothing
from fsbench.faces.video import SUFFIXES, Video, VideoWriter
from fsbench.files import printable
from fsbench.harness import parts
from fsbench.harness.models import Model, build, prepare_model
from fsbench.harness.written_images import burn_in, is_image, save_image
from fsbench.images import in_threads, list_images, read_image
from fsbench.interfaces import Context, Faces, Source, Targets
from fsbench.sampling import evenly

OnMissing = Literal["keep", "blank", "stop"]

MOST_SOURCES = 16

FLOORS = 20
"""Frames in which the unchanged crop is pasted back, one of each batch."""


@dataclass(frozen=True)
class SwapOptions:
    """How faces are found, and put back."""

    paste: PasteBack
    smoothing: Smoothing = Smoothing()  # noqa: RUF009 - frozen
    face: str = LARGEST  # or a number, or the path of a picture
    fill: int = 0  # frames without the face that are filled by interpolation
    missing: OnMissing = "keep"
    size: int = 256  # pixels, side of a crop
    lossless: bool = False
    side_by_side: bool = False
    label: bool = False


@dataclass
class SwapReport:
    """What became of the frames."""

    out: Path
    n_frames: int = 0
    missing: dict[int, str] = field(default_factory=dict)  # frames that were not swapped, and why
    notes: list[str] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)

    @property
    def floor(self) -> float | None:
        """Mean absolute difference, in levels of 255, that pasting the unchanged crop makes inside its square.

        It separates what the network does from what its paste-back does. None where nothing was swapped.
        """
        return float(np.mean(self.floors)) if self.floors else None

    @property
    def n_swapped(self) -> int:
        """Frames that were swapped."""
        return self.n_frames - len(self.missing)


def swap(
    given: Path, model: str, source: Path, out: Path, options: SwapOptions, context: Context, *, identity: str = ""
) -> SwapReport:
    """Swap the face of a source into a video, an image or a folder of images, and write that to `out`.

    `model` is a pipeline whose parts need no training, or name their weights. `identity` is what a model that knows its
    people calls the source; by default the name of the folder. Raises FsbenchError; what was written of a video by then
    stays under another name (`VideoWriter`).
    """
    like_path = check_face(options.face)
    if given.is_dir() and (out.is_file() or out.suffix.lower() in SUFFIXES):
        raise UsageError(f"{given} is a folder of images, and {out} no folder", "name a folder that they go to")
    if not given.is_dir() and not is_image(given) and out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{out.name} is no name of a video", f"let it end with {', '.join(SUFFIXES)}")
    if out.exists() and given.exists() and out.samefile(given):
        raise UsageError(f"{out} is the input itself", "name another file")
    swapper = _Swapper(_ready(model, context), _source(source, identity, options.size, context), options, context)
    if given.is_dir() or is_image(given):
        return _swap_images(given, out, swapper)
    video = Video(given)
    faces = find_faces(video, like_path is not None, context)
    like = None if like_path is None else reference(like_path, context)
    landmarks, n_tracks = chosen_faces(faces, options.face, like, options.fill, options.smoothing)
    known = np.isfinite(landmarks).all((1, 2))
    if not known.any():
        raise DataError(f"no face to swap was found in any of the {len(known)} frames of {given}", "see --face")
    report = SwapReport(out, notes=_notes(video, len(faces.cuts), n_tracks))
    size = (video.info.width * (2 if options.side_by_side else 1), video.info.height)
    progress = context.stage("swapping")
    with VideoWriter(out, video, size, lossless=options.lossless) as writer:
        for chunk in chunks(video):
            numbers, images = [number for number, *_ in chunk], [image for _, image, *_ in chunk]
            swapped = swapper.swap(images, landmarks[numbers], numbers, report)
            for (_, image, pts, duration), result in zip(chunk, swapped, strict=True):
                writer.write(swapper.finished(image, result), pts, duration)
            report.n_frames += len(chunk)
            progress(report.n_frames, len(known))
    return report


def _notes(video: Video, n_cuts: int, n_tracks: int) -> list[str]:
    notes = [f"{n_tracks} face{'s' * (n_tracks != 1)} over time, {n_cuts} cut{'s' * (n_cuts != 1)}"]
    if video.info.colour.guessed:
        notes.append("the video does not say which colour matrix it has; it was taken for " + _matrix(video))
    if video.n_restamped:
        notes.append(f"{video.n_restamped} frames had no time stamp of their own, and got the next one")
    return notes


def _matrix(video: Video) -> str:
    return "BT.709" if video.info.colour.matrix == 1 else "BT.601"


@dataclass(frozen=True)
class _Swapper:
    """A model, whose face it swaps in, and how that is put back."""

    model: Model
    source: Source
    options: SwapOptions
    context: Context

    def swap(
        self, images: Sequence[np.ndarray], landmarks: np.ndarray, numbers: Sequence[int], report: SwapReport
    ) -> list[np.ndarray | None]:
        """Return frames with their faces swapped, None for those that were not; the report is told."""
        results: list[np.ndarray | None] = [None] * len(images)
        reasons = ["no face"] * len(images)
        rows = np.flatnonzero(np.isfinite(landmarks).all((1, 2))).tolist()
        if rows:
            size, how = self.options.size, self.options.paste
            crops = in_threads(lambda row: cut(images[row], landmarks[row], size), rows)
            output = parts.swap(self.model.parts, self.source, self._targets(crops, [numbers[row] for row in rows]))
            faces = output.images.permute(0, 2, 3, 1).cpu().numpy()
            alphas = [None] * len(rows) if output.alpha is None else list(output.alpha[:, 0].cpu().numpy())
            if len(report.floors) < FLOORS:
                report.floors.append(floor(images[rows[0]], crops[0], how))
            pasted = in_threads(
                lambda row, *face: paste(images[row], face[0], face[1], how, face[2]), rows, faces, crops, alphas
            )
            for row, result, state in zip(rows, pasted, output.absent or ("",) * len(rows), strict=True):
                reasons[row] = f"the model's output is {state}"
                results[row] = None if state else result
        report.missing |= {
            number: reason for number, reason, result in zip(numbers, reasons, results, strict=True) if result is None
        }
        if self.options.missing == "stop" and report.missing:
            number, why = min(report.missing.items())
            raise DataError(
                f"frame {number} was not swapped: {why}", "--on-missing keep goes on, and lists all of them"
            )
        return results

    def _targets(self, crops: Sequence[FrameCrop], numbers: Sequence[int]) -> Targets:
        images = torch.from_numpy(np.stack([crop.image for crop in crops])).permute(0, 3, 1, 2).contiguous()
        levels = (images * 255).round() / 255  # those that models are shown elsewhere
        points = torch.from_numpy(np.stack([crop.landmarks for crop in crops]))
        table = pd.DataFrame({"id": [str(n) for n in numbers], "clip": "video", "frame": list(numbers)})
        return Targets(levels.to(self.context.device), points.to(self.context.device), table)

    def finished(self, image: np.ndarray, result: np.ndarray | None) -> np.ndarray:
        """The picture that is written: with what stands for one that was not swapped, the input beside it, a label."""
        options = self.options
        if result is None:
            shown = np.zeros_like(image) if options.missing == "blank" else image
        else:
            shown = burn_in(result) if options.label else result
        return np.concatenate([image, shown], 1) if options.side_by_side else shown


def _swap_images(given: Path, out: Path, swapper: _Swapper) -> SwapReport:
    """Swap the most prominent face of each image."""
    detector, report = Detector(swapper.context.device), SwapReport(out)
    if swapper.options.face != LARGEST and not swapper.options.face.isdecimal():
        raise UsageError("--face PICTURE follows a person through a video", "of an image name largest, or a number")
    rank = 0 if swapper.options.face == LARGEST else int(swapper.options.face)
    for number, (path, name) in enumerate(_images(given)):
        image = read_image(path)
        found = detector.detect_photo(image).landmarks
        landmarks = found[rank : rank + 1] if rank < len(found) else np.full((1, 5, 2), np.nan)
        result = swapper.swap([image], landmarks, [number], report)[0]
        target = out if not given.is_dir() else out / Path(name).with_suffix(".png")
        save_image(swapper.finished(image, result), target)
        report.n_frames += 1
    return report


def _images(given: Path) -> Iterator[tuple[Path, str]]:
    if not given.is_dir():
        yield given, given.name
        return
    files = list_images(given, "name a video, an image, or a folder of images").files
    if not files:
        raise DataError(f"{printable(str(given))} holds no image", "name a video, an image, or a folder of images")
    yield from ((file.path, file.name) for file in files)


def _ready(text: str, context: Context) -> Model:
    """A pipeline that is ready; raises UsageError for one that has to be trained."""
    pipeline = parse_pipeline(text)

    def untrained() -> Faces:
        hint = "name its weights, NAME@FILE: fsbench run leaves them in DIR/models"
        raise UsageError(f"{pipeline.label} is not trained", hint)

    return prepare_model(build(pipeline, context), untrained, "auto", 0, context)


def _source(folder: Path, identity: str, size: int, context: Context) -> Source:
    """The person whose photographs lie in a folder; raises DataError where no face is found."""
    hint = "--source names a folder with photographs of one person"
    photos = [Photo(file) for file in list_images(folder, hint).files]
    if not photos:
        raise DataError(f"{folder} holds no image", hint)
    cuts = cut_photos(photos, size, f"finding faces: {folder.name}", context)
    rows = np.flatnonzero(cuts.state == USED)
    if not len(rows):
        raise DataError(f"no face was found in the images of {folder}", hint)
    spread = rows[evenly(len(rows), MOST_SOURCES)]
    return Source(identity or folder.resolve().name, cuts.crops.on(context.device, spread))
