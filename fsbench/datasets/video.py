"""Videos of people: a file, or a folder of files, for each."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from fsbench.errors import BadParameter, DataError, UsageError
from fsbench.extraction.video_faces import LARGEST, VideoFaces, chosen_faces, chunks, find_faces
from fsbench.faces import align, detect, track
from fsbench.faces.video import FrameReader, Video, VideoWriter
from fsbench.files import Found, composed, gather, home_of, printable, some, walk
from fsbench.images import ImageSet
from fsbench.interfaces import Context, DatasetInfo, Faces, Split, Truth
from fsbench.registry import datasets
from fsbench.store import Arrays, file_sha256, fingerprint, release
from fsbench.stored import StoredArrays

SUFFIXES = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")

BETWEEN = 1.0
"""Seconds that are left out between the part of a single clip that is trained on and the part that is held out."""

NEEDED = 2
"""Frames with the face that a person needs in each split, at least."""

_VERSION = "video 1"
_STORED = 2  # raised whenever the cache holds something else of the same crops
_SPLITTING = "held out are the last clips of each person, by name, until they hold {test:.0%} of its frames"
_SINGLE = (
    "{names}: there is one clip, of which the last part is held out; it shows the same clothes, light and background "
    "as what was trained on, which flatters every model"
)
_LAYOUT = "lay it out as PERSON/CLIP.mp4, or as PERSON.mp4"


@dataclass(frozen=True)
class Clip:
    """A video, and the frames in which its largest face was cut out; entry i of every array belongs to crop i."""

    identity: str
    name: str
    sha256: str
    # crops (F, S, S, 3), landmarks (F, 5, 2), frame (F,), seconds (F,), counts (3,); number (F,) of the video's frame,
    # and points (F, 5, 2), the landmarks there
    arrays: StoredArrays
    path: Path
    context: Context

    @functools.cached_property
    def found(self) -> VideoFaces:
        """All faces of the video."""
        return find_faces(Video(self.path), False, self.context)

    @functools.cached_property
    def reader(self) -> FrameReader:
        """The frames of the video."""
        return FrameReader(Video(self.path))

    @functools.cached_property
    def rows(self) -> pd.DataFrame:
        """Number and time of each crop's frame; two frames on both sides of a cut do not follow each other."""
        return pd.DataFrame({"frame": self.arrays["frame"], "seconds": self.arrays["seconds"]})

    @property
    def rate(self) -> float:
        """Frames a second of those that are taken; NaN where one alone shows the face."""
        frame, seconds = self.arrays["frame"], self.arrays["seconds"]
        duration = float(seconds[-1] - seconds[0])
        return float(frame[-1] - frame[0]) / duration if duration > 0 else float("nan")

    def n_frames(self, first: int, every: int) -> float:
        """Frames of the video from a number on, of which every n-th is taken, those without the face among them."""
        return float(len(range(first, int(self.arrays["counts"][0]), every)))

    @property
    def sentence(self) -> str:
        """How many frames, faces, tracks and cuts it has."""
        n_frames, n_tracks, n_cuts = self.arrays["counts"].tolist()
        kept = f"{len(self.rows):,} of {n_frames:,} frames show the face"
        return f"{self.identity}/{self.name}: {kept}; {n_tracks} faces over time, {n_cuts} cuts"


@datasets.register("video")
class VideoFolder:
    """Videos of people, `video:PATH`: PERSON/CLIP.mp4, or PERSON.mp4 where there is one of each.

    In every frame the largest face is followed, found by MTCNN and aligned by five landmarks; frames without it are
    left out and counted. Every clip is a session. Held out are the last clips of each person, by name, until they hold
    the share `test` of the frames; of a single clip its last part, without the second before it. Of `every` n frames
    one is taken.
    """

    def __init__(self, *, context: Context, size: int = 128, test: float = 0.25, every: int = 1) -> None:
        if not context.path:
            raise UsageError("the data set `video` needs a path", "write --dataset video:PATH")
        if not 32 <= size <= 1024:
            raise BadParameter(f"video(size={size}): a crop has 32 to 1024 pixels", "the default is 128")
        if not 0.05 <= test <= 0.75:
            raise BadParameter(f"video(test={test}): the held-out share is 0.05 to 0.75", "the default is 0.25")
        if every < 1:
            raise BadParameter(f"video(every={every}) takes no frame", "the default is 1: all")
        self._root, self._context = home_of(context.path).absolute(), context
        self._size, self._test, self._every = size, test, every
        listing = walk(self._root, SUFFIXES, "video:PATH names a folder of videos")
        self._files = [file for file in listing.files if PurePosixPath(file.name).suffix.lower() in SUFFIXES]
        others = [("no video, by its name", file.name) for file in listing.files if file not in self._files]
        self._unused = (*listing.unused, *gather(self._root.name, others))
        if len({_person(file) for file in self._files}) < 2:
            there = some([file.name for file in self._files]) or "none"
            raise DataError(f"{printable(str(self._root))} holds videos of fewer than two people: {there}", _LAYOUT)

    @functools.cached_property
    def info(self) -> DatasetInfo:
        """Facts about the data set: how many frames each clip has, and what was left out."""
        rows = self._rows
        single = sorted(rows.loc[rows["single"], "identity"].unique())
        parts = ([clip.identity, clip.name, clip.sha256] for clip in self._clips)
        recipe = [*parts, self._size, self._test, self._every, _VERSION, *self._versions.values()]
        return DatasetInfo(
            name="video",
            revision=fingerprint(recipe),
            size=self._size,
            description=f"videos of {printable(self._root.name)}",
            licence="unknown: the user's own files",
            splits=("train", "test"),
            notes=(_SPLITTING.format(test=self._test), *(clip.sentence for clip in self._clips)),
            warnings=((_SINGLE.format(names=some(single)),) if single else ()),
            unused=self._unused,
        )

    def faces(self, split: Split) -> Faces:
        """Return one split; raises DataError for one that it does not have.

        Of each frame `rate` is that of its clip in frames a second; of each held-out one `clip_frames` is the number of
        frames that its clip has, with those without the face.
        """
        if split not in self.info.splits:
            raise DataError(f"video has no split {split}", "it has train and test")
        keep = np.flatnonzero(self._rows["split"] == split)
        entries = [clip.arrays for clip in self._clips]
        landmarks = np.concatenate([entry["landmarks"] for entry in entries])
        columns = ["id", "identity", "session", "clip", "frame", "rate"]
        columns += ["clip_frames"] if split == "test" else []
        rows = self._rows.iloc[keep][columns].reset_index(drop=True)
        return Faces(ImageSet.stored(entries, "crops").select(keep), rows, landmarks[keep])

    def truth(self, source: str, targets: Faces) -> Truth | None:
        """Return None: the exact swaps are not known."""
        return None

    def frames(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Decode the frames of some entries; a video that they follow in is decoded once. Raises DataError."""
        for name in targets.rows["id"]:
            clip, number, faces = self._place(name)
            yield clip.reader[number], faces

    def written(self, targets: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """`frames`, after what lies between the first and the last entry was written to a video and read again."""
        clips, numbers, faces = zip(*map(self._place, targets.rows["id"]), strict=True)
        reader = clips[0].reader
        video = reader.video
        step = max(1, round(1 / (video.info.rate * video.info.time_base)))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "written.mkv"
            with VideoWriter(path, video, sound=False) as writer:
                for n, number in enumerate(range(numbers[0], numbers[-1] + 1)):
                    writer.write(reader[number], n * step, step)
            again = FrameReader(Video(path))
            for number, points in zip(numbers, faces, strict=True):
                yield again[number - numbers[0]], points

    def _place(self, name: str) -> tuple[Clip, int, np.ndarray]:
        """The clip of an entry, the number of its frame, and the faces there, its own first (F, 5, 2)."""
        if name not in self._places:
            raise DataError(f"{name} is not an image of this data set", "ids look like PERSON/CLIP/000123")
        clip, i = self._places[name]
        number, cut = (clip.arrays.rows(array, np.array([i]))[0] for array in ("number", "points"))
        found = clip.found.detections[number].landmarks
        own = int(np.abs(found - cut).sum((1, 2)).argmin())
        return clip, int(number), np.concatenate([cut[None], np.delete(found, own, 0)])

    @functools.cached_property
    def _places(self) -> dict[str, tuple[Clip, int]]:
        """The clip of each entry, and its place there."""
        places = [(clip, i) for clip in self._clips for i in range(len(clip.rows))]
        return dict(zip(self._rows["id"], places, strict=True))

    @functools.cached_property
    def _clips(self) -> list[Clip]:
        return [self._clip(file) for file in sorted(self._files, key=lambda file: file.name)]

    @property
    def _versions(self) -> Mapping[str, str]:
        return {"detector": detect.VERSION, "alignment": align.VERSION, "cuts": str(track.CUT), "lost": str(track.LOST)}

    def _clip(self, file: Found) -> Clip:
        digest = file_sha256(file.path)
        recipe = {
            "video": digest,
            "size": self._size,
            "every": self._every,
            "version": _VERSION,
            "stored": _STORED,
            **self._versions,
            "device": self._context.device.type,
            "runtime": release("torch", "av"),
        }
        entry = self._context.store.entry("faces", recipe, lambda: self._cut(Video(file.path)))
        name = PurePosixPath(composed(file.name)).with_suffix("")
        inside = "-".join(name.parts[1:]) or name.name
        return Clip(_person(file), inside, digest, entry, file.path, self._context)

    def _cut(self, video: Video) -> Arrays:
        """Crops of the largest face of each scene; raises DataError for a video without one."""
        found = find_faces(video, False, self._context)
        landmarks, n_tracks = chosen_faces(found, LARGEST, None, 0, track.Smoothing())
        wanted = np.isfinite(landmarks).all((1, 2)) & (np.arange(len(landmarks)) % self._every == 0)
        if not wanted.any():
            raise DataError(f"no face was found in any frame of {video.path}", "remove the video")
        progress, crops, points = self._context.stage(f"cutting faces: {video.path.name}"), [], []
        for chunk in chunks(video):
            for number, image, _, _ in chunk:
                if wanted[number]:
                    crop, own = align.align(image, landmarks[number].astype(np.float32), self._size)
                    crops.append(crop)
                    points.append(own)
            progress(chunk[-1][0] + 1, len(wanted))
        numbers = np.flatnonzero(wanted)
        return {
            "crops": np.stack(crops),
            "landmarks": np.stack(points).astype(np.float32),
            "frame": numbers // self._every + np.searchsorted(found.cuts, numbers, side="right"),
            "seconds": found.times[numbers],
            "number": numbers,
            "points": landmarks[numbers].astype(np.float32),
            "counts": np.array([len(wanted), n_tracks, len(found.cuts)]),
        }

    @functools.cached_property
    def _rows(self) -> pd.DataFrame:
        """One row a crop: the columns of `Faces.rows`, `split` ("" for frames between), and whether its clip is the
        only one of its person."""
        people: dict[str, list[Clip]] = {}
        for clip in self._clips:
            people.setdefault(clip.identity, []).append(clip)
        parts = {id(clip): rows for clips in people.values() for clip, rows in self._split(clips)}
        rows = pd.concat([parts[id(clip)] for clip in self._clips], ignore_index=True)
        counts = rows[rows["split"] != ""].groupby(["identity", "split"]).size().unstack(fill_value=0)
        counts = counts.reindex(columns=["train", "test"], fill_value=0)
        if (short := counts[(counts < NEEDED).any(axis=1)]).size:
            names = [f"{name} ({row['train']} to train on, {row['test']} held out)" for name, row in short.iterrows()]
            raise DataError(f"too few frames with a face: {some(names)}", f"each person needs {NEEDED} of both")
        return rows

    def _split(self, clips: list[Clip]) -> list[tuple[Clip, pd.DataFrame]]:
        """Rows of each clip of one person."""
        frames = [
            clip.rows.assign(
                identity=clip.identity,
                session=clip.name,
                clip=clip.name,
                split="train",
                rate=clip.rate,
                single=False,
                clip_frames=clip.n_frames(0, self._every),
            )
            for clip in clips
        ]
        if len(clips) == 1:
            rows = frames[0]
            start = len(rows) - max(NEEDED, round(self._test * len(rows)))
            held_out = rows.index >= start
            begin = rows["seconds"].iloc[max(start, 0)]
            before = (rows["seconds"] > begin - BETWEEN) & ~held_out
            rows = rows.assign(
                split=np.where(held_out, "test", np.where(before, "", "train")),
                single=True,
                clip_frames=clips[0].n_frames(int(clips[0].arrays["number"][max(start, 0)]), self._every),
            )
            part = np.where(held_out, f"{clips[0].name}.last", f"{clips[0].name}.first")
            frames = [rows.assign(session=part, clip=part)]
        else:
            total, held = sum(map(len, frames)), 0
            for i in range(len(frames) - 1, 0, -1):
                if held >= self._test * total:
                    break
                held += len(frames[i])
                frames[i] = frames[i].assign(split="test")
        return [(clip, rows.assign(id=_ids(rows))) for clip, rows in zip(clips, frames, strict=True)]


def _ids(rows: pd.DataFrame) -> pd.Series[str]:
    return rows["identity"] + "/" + rows["session"] + "/" + rows["frame"].map("{:06d}".format)


def _person(file: Found) -> str:
    """The folder of a video, or its own name where it lies in none."""
    name = PurePosixPath(composed(file.name))
    return name.parts[0] if len(name.parts) > 1 else name.stem
