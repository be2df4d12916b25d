"""Reads videos: every frame once, upright, in RGB by the colours that the file says, with its time stamp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fsbench.errors import DataError
from fsbench.files import printable

if TYPE_CHECKING:
    import av

_UNKNOWN = 2
"""What FFmpeg calls a matrix, primaries or a transfer function of which a file says nothing."""

BT709, BT601 = 1, 6
"""FFmpeg's numbers of the matrices, and of primaries and transfer functions, of HD and of SD (SMPTE 170M)."""

_COVER = 0x400  # AV_DISPOSITION_ATTACHED_PIC: a picture beside sound
_HDR = {16: "smpte2084 (PQ)", 18: "arib-std-b67 (HLG)"}
_LIMITED, _FULL = 1, 2
_HD = 720
"""Pixels of height from which on a video without a tag is taken for BT.709, and below for BT.601, as players do."""

_HINT = "is it a video that plays?"


@dataclass(frozen=True)
class Colour:
    """How a video's levels are meant, in FFmpeg's numbers."""

    matrix: int = BT709
    primaries: int = BT709
    transfer: int = BT709
    full_range: bool = False
    guessed: bool = False  # the file does not say which matrix


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself, but for what only decoding tells: how many frames it has."""

    width: int  # upright
    height: int
    rotation: int  # degrees, anticlockwise, by which frames were turned to be upright: 0, 90, 180 or 270
    time_base: Fraction  # seconds in a unit of time stamps
    rate: Fraction  # mean number of frames a second
    colour: Colour
    codec: str
    audio: str  # codec of its sound, "" without
    n_stated: int  # frames as the file states, 0 where it does not; not to be relied on
    seconds: float  # as the file states, 0 where it does not


@dataclass(frozen=True)
class Frame:
    """One frame."""

    image: np.ndarray  # (H, W, 3) uint8 RGB, upright
    pts: int  # time stamp, in units of VideoInfo.time_base; each is larger than the one before
    duration: int  # in the same units; 0 where it is not known
    time: float  # seconds


class Video:
    """A video file. Raises DataError for one that cannot be read, without pictures, in HDR, or cut short.

    PyAV does not rotate frames by itself, nor say what a file without tags means; here both is done. `frames` can be
    called again and again. `n_restamped` counts the frames of the last time whose stamp was missing or not larger than
    the one before; they got the next one that is free.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.n_restamped = path, 0
        self.info  # noqa: B018 - a file that cannot be read is told at once

    @cached_property
    def info(self) -> VideoInfo:
        """Read from the header and the first frame."""
        with _opened(self.path) as container:
            stream = _pictures(container, self.path)
            with _told(self.path, 0):
                first = next(container.decode(stream), None)
            if first is None:
                raise DataError(f"{_shown(self.path)} has no frame", _HINT)
            rotation = first.rotation % 360
            if rotation % 90:
                raise DataError(f"{_shown(self.path)} is to be turned by {rotation} degrees", "turn it by quarters")
            width, height = (first.width, first.height) if rotation % 180 == 0 else (first.height, first.width)
            audio = container.streams.best("audio")
            duration = container.duration or 0
            return VideoInfo(
                width,
                height,
                rotation,
                Fraction(stream.time_base or Fraction(1, 1000)),
                Fraction(stream.average_rate or stream.guessed_rate or 25),
                _colour(first, self.path),
                stream.codec_context.name,
                audio.codec_context.name if audio is not None else "",
                stream.frames,
                duration / 1e6,
            )

    def frames(self) -> Iterator[Frame]:
        """Yield every frame once, in the order in which they are shown; raises DataError where the file breaks off."""
        info, self.n_restamped = self.info, 0
        step = max(1, round(1 / (info.rate * info.time_base)))
        last: int | None = None
        with _opened(self.path) as container:
            stream = _pictures(container, self.path)
            stream.thread_type = "AUTO"
            decoded, n = container.decode(stream), 0
            while True:
                with _told(self.path, n):
                    frame = next(decoded, None)
                if frame is None:
                    return
                pts = frame.pts
                if pts is None or (last is not None and pts <= last):
                    self.n_restamped += 1
                    pts = 0 if last is None else last + (step if pts is None else 1)
                last, n = pts, n + 1
                yield Frame(_pixels(frame, info), pts, frame.duration or 0, float(pts * info.time_base))

    def count(self) -> int:
        """Return the exact number of frames, by decoding all."""
        return sum(1 for _ in self.frames())


class FrameReader:
    """Frames of a video by number: it is decoded on from the last one that was asked for, else anew."""

    def __init__(self, video: Video) -> None:
        self.video = video
        self._frames: Iterator[Frame] = iter(())
        self._next = 0  # number of the frame that comes next; there is none at first

    def __getitem__(self, number: int) -> np.ndarray:
        """Return a frame (H, W, 3) uint8; raises DataError where the video does not have so many."""
        if self._next > number or not self._next:
            self._frames, self._next = self.video.frames(), 0
        for frame in self._frames:
            self._next += 1
            if self._next > number:
                return frame.image
        raise DataError(f"{_shown(self.video.path)} has no frame {number:,}", "it was changed while it was read")


def _pixels(frame: av.VideoFrame, info: VideoInfo) -> np.ndarray:
    """(H, W, 3) uint8, upright."""
    colour = info.colour
    if frame.format.is_rgb:
        pixels = frame.to_ndarray(format="rgb24")
    else:
        levels = _FULL if colour.full_range else _LIMITED
        meant = frame.reformat(
            format="rgb24",
            src_colorspace=colour.matrix,
            src_color_range=levels,
            dst_color_range=_FULL,
            interpolation=exact_conversion(),
        )
        pixels = meant.to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, info.rotation // 90))


def exact_conversion() -> int:
    """How FFmpeg converts between RGB and 4:2:0, either way.

    By default it takes what is fastest, and what comes back is darker by 1.1 to 1.4 levels of 255; so it is by 0.02.
    """
    from av.video.reformatter import Interpolation

    exact = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    return int(Interpolation.BILINEAR | exact)


def _colour(frame: av.VideoFrame, path: Path) -> Colour:
    transfer = int(frame.color_trc)
    if transfer in _HDR:
        raise DataError(
            f"{_shown(path)} is HDR, {_HDR[transfer]}, which is not read here",
            "convert it to BT.709 first, for example with FFmpeg's zscale and tonemap",
        )
    usual = BT709 if frame.height >= _HD else BT601
    matrix, primaries = int(frame.colorspace), int(frame.color_primaries)
    guessed = matrix == _UNKNOWN and not frame.format.is_rgb
    return Colour(
        usual if matrix in (0, _UNKNOWN) else matrix,
        usual if primaries == _UNKNOWN else primaries,
        usual if transfer == _UNKNOWN else transfer,
        int(frame.color_range) == _FULL,
        guessed,
    )


def _pictures(container: Any, path: Path) -> Any:
    """The stream of pictures of a file."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _COVER]
    stream = container.streams.best("video")
    if stream not in streams:
        stream = streams[0] if streams else None
    if stream is None:
        what = "sound alone" if container.streams.audio else "neither pictures nor sound"
        raise DataError(f"{_shown(path)} has {what}", "name a video")
    return stream


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import av

    if not path.is_file():
        there = "a folder" if path.is_dir() else "no regular file" if path.exists() else "not there"
        raise DataError(f"no video {_shown(path)}: it is {there}", "name a video file")
    if not path.stat().st_size:
        raise DataError(f"{_shown(path)} is empty (0 bytes)", "copy it again")
    with _told(path, 0):  # absolute: a name such as http:a.mp4 is no address
        container = av.open(str(path.absolute()), options={"protocol_whitelist": "file"}, metadata_errors="replace")
    with container:
        yield container


@contextmanager
def _told(path: Path, n: int) -> Iterator[None]:
    """Turn what FFmpeg says of a file into a DataError; `n` frames were read before."""
    import av

    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        why = " ".join(str(getattr(error, "strerror", "") or error).split())
        where = f"breaks off after {n:,} frames" if n else "cannot be read as a video"
        hint = "copy it again: it is cut short or damaged" if n else _HINT
        raise DataError(f"{_shown(path)} {where}: {why}", hint) from error


def _shown(path: Path) -> str:
    return printable(str(path))
