"""Which face of a video is swapped: all are found once, followed, and one is chosen in every scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from fsbench.errors import DataError, UsageError
from fsbench.faces import detect
from fsbench.faces.align import align
from fsbench.faces.detect import Detections, Detector
from fsbench.faces.track import Smoothing, Track, find_cuts, follow, thumbnail
from fsbench.faces.video import Video
from fsbench.images import read_image, to_float
from fsbench.interfaces import Context, Embedder
from fsbench.registry import embedders
from fsbench.store import Arrays, file_sha256, release

LARGEST = "largest"

RECOGNISER, SAME_PERSON = "dlib_resnet", 0.6
"""The recogniser that tells people apart, and the distance of its features up to which two faces are one person."""

BYTES_AT_ONCE = 128 * 2**20
"""Of frames that are in memory together."""

MOST_AT_ONCE = 16


@dataclass(frozen=True)
class VideoFaces:
    """All faces of a video, and the scenes that it consists of."""

    detections: tuple[Detections, ...]  # one entry a frame
    features: tuple[np.ndarray, ...] | None  # (F, D) of the faces of each frame, where people are told apart
    times: np.ndarray  # (N,) seconds
    cuts: tuple[int, ...]  # frames that begin a scene

    @property
    def scenes(self) -> list[slice]:
        """The frames of each scene."""
        ends = [*self.cuts, len(self.times)]
        return [slice(a, b) for a, b in zip([0, *self.cuts], ends, strict=True)]

    def tracks(self) -> list[Track]:
        """One face over time each, the largest first."""
        unit = None
        if self.features is not None:
            unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9) for rows in self.features]
        return follow(self.detections, self.cuts, unit)

    def distances(self, track: Track, like: np.ndarray) -> float:
        """Median distance of a track's features to those of a face, (D,)."""
        assert self.features is not None
        found = []
        for frame, box in zip(track.frames, track.boxes, strict=True):
            own = int(np.abs(self.detections[frame].boxes - box).sum(1).argmin())
            found.append(float(np.linalg.norm(self.features[frame][own] - like)))
        return float(np.median(found))


def chunks(video: Video) -> Iterator[list[tuple[int, np.ndarray, int, int]]]:
    """Number, image, time stamp and duration of all frames, so many together as memory allows."""
    info = video.info
    n = max(1, min(MOST_AT_ONCE, BYTES_AT_ONCE // (info.width * info.height * 3)))
    frames = ((i, frame.image, frame.pts, frame.duration) for i, frame in enumerate(video.frames()))
    while chunk := list(islice(frames, n)):
        yield chunk


def find_faces(video: Video, people: bool, context: Context) -> VideoFaces:
    """Find all faces of all frames, once for each file; with `people`, their features too. Frames are streamed."""
    recipe = {
        "video": file_sha256(video.path),
        "detector": detect.VERSION,
        "recogniser": RECOGNISER if people else "",
        "device": context.device.type,
        "runtime": release("torch", "av"),
    }
    arrays = context.store.arrays("video", recipe, lambda: _find(video, people, context))
    ends = np.cumsum(arrays["counts"])[:-1]
    parts = [np.split(arrays[name], ends) for name in ("boxes", "landmarks", "probability")]
    return VideoFaces(
        tuple(Detections(*faces) for faces in zip(*parts, strict=True)),
        tuple(np.split(arrays["features"], ends)) if people else None,
        arrays["times"],
        tuple(arrays["cuts"].tolist()),
    )


def _find(video: Video, people: bool, context: Context) -> Arrays:
    detector, progress = Detector(context.device), context.stage("finding faces")
    embedder = embedders.build(RECOGNISER, context) if people else None
    found: list[Detections] = []
    features: list[np.ndarray] = []
    thumbnails: list[np.ndarray] = []
    stamps: list[int] = []
    for chunk in chunks(video):
        images = [image for _, image, _, _ in chunk]
        faces = detector.detect_frames(images)
        found += faces
        thumbnails += [thumbnail(image) for image in images]
        stamps += [pts for _, _, pts, _ in chunk]
        if embedder is not None:
            features += [
                features_of(embedder, image, each.landmarks) for image, each in zip(images, faces, strict=True)
            ]
        progress(len(found), max(video.info.n_stated, len(found)))
    if not found:
        raise DataError(f"{video.path} has no frame", "is it a video that plays?")
    return {
        "counts": np.array([len(faces.boxes) for faces in found]),
        "boxes": np.concatenate([faces.boxes for faces in found]),
        "landmarks": np.concatenate([faces.landmarks for faces in found]),
        "probability": np.concatenate([faces.probability for faces in found]),
        "features": np.concatenate(features) if features else np.zeros(0, np.float32),
        "times": np.array([float(stamp * video.info.time_base) for stamp in stamps]),
        "cuts": np.array(find_cuts(thumbnails), np.int64),
    }


def features_of(embedder: Embedder, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(F, D) features of faces (F, 5, 2) of a picture; rows of NaN for rows of NaN."""
    crops, points = [], []
    for face in landmarks:
        known = np.isfinite(face).all()
        crop, own = align(image, face, 160) if known else (np.zeros((160, 160, 3), np.uint8), face)
        crops.append(to_float(crop))
        points.append(torch.from_numpy(own.astype(np.float32)))
    with torch.inference_mode():
        features: np.ndarray = embedder.embed(torch.stack(crops), torch.stack(points)).cpu().numpy()
    return features


def reference(path: Path, context: Context) -> np.ndarray:
    """Features (D,) of the first face of a picture; raises DataError for one without a face."""
    image = read_image(path)
    found = Detector(context.device).detect_photo(image)
    if not np.isfinite(found.landmarks[0]).all():
        raise DataError(f"no face was found in {path}", "--face names a picture of the person who is swapped")
    features: np.ndarray = features_of(embedders.build(RECOGNISER, context), image, found.landmarks[:1])[0]
    return features


def chosen_faces(
    faces: VideoFaces, face: str, like: np.ndarray | None, fill: int, smoothing: Smoothing
) -> tuple[np.ndarray, int]:
    """Return landmarks (N, 5, 2) of the face that is swapped in each frame, NaN without one, and the number of tracks.

    In each scene it is the track that is largest over the scene, the one of a number by that order (0 is the largest),
    or the one that is most like `like`, if it is the same person. What the same track has lost for up to `fill` frames
    is filled; later tracks at the same place go on where it ends.
    """
    landmarks = np.full((len(faces.times), 5, 2), np.nan)
    tracks = faces.tracks()
    for scene in faces.scenes:
        own = [track for track in tracks if scene.start <= track.frames[0] < scene.stop]
        for track in _chosen(faces, own, face, like):
            whole = smoothing.apply(track.filled(fill), faces.times)
            landmarks[whole.frames] = whole.landmarks
    return landmarks, len(tracks)


def _chosen(faces: VideoFaces, tracks: Sequence[Track], face: str, like: np.ndarray | None) -> list[Track]:
    """The tracks of a scene that are swapped, none of which shares a frame with another."""
    if like is not None:
        near = sorted((faces.distances(track, like), i) for i, track in enumerate(tracks))
        ranked = [tracks[i] for distance, i in near if distance <= SAME_PERSON]
        return _apart(ranked, same_place=False)
    if face == LARGEST:
        return _apart(tracks, same_place=True)
    return [tracks[int(face)]] if int(face) < len(tracks) else []


def _apart(tracks: Sequence[Track], same_place: bool) -> list[Track]:
    """The first, and each that shares no frame with those before; `same_place`: and overlaps with one of them."""
    kept: list[Track] = []
    for track in tracks:
        free = all(not np.intersect1d(track.frames, other.frames).size for other in kept)
        if free and (not kept or not same_place or any(_near(track, other) for other in kept)):
            kept.append(track)
    return kept


def _near(one: Track, other: Track) -> bool:
    """Whether two tracks overlap where the one ends and the other begins."""
    first, second = (one, other) if one.frames[0] < other.frames[0] else (other, one)
    low = np.maximum(first.boxes[-1, :2], second.boxes[0, :2])
    high = np.minimum(first.boxes[-1, 2:], second.boxes[0, 2:])
    return bool((high > low).all())


def check_face(face: str) -> Path | None:
    """The picture that `--face` names, None for the largest or a number; raises UsageError for anything else."""
    if face == LARGEST or face.isdecimal():
        return None
    path = Path(face).expanduser()
    if not path.is_file():
        hint = "write largest, a number (0 is the largest), or a picture of the person"
        raise UsageError(f"--face {face} is no file", hint)
    return path
