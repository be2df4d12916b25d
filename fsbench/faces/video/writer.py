"""Writes videos: time stamps and sound as in the input, colours tagged, and never half a file under the final name."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from fsbench.errors import OutputError, UsageError
from fsbench.faces.video.reader import BT601, BT709, Colour, Video, exact_conversion
from fsbench.files import printable

_H264 = ("libx264", "yuv420p", {"crf": "18", "preset": "medium"})
_H264_LOSSLESS = ("libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast"})
_VP9 = ("libvpx-vp9", "yuv420p", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"})
_VP9_LOSSLESS = ("libvpx-vp9", "gbrp", {"lossless": "1", "cpu-used": "4", "row-mt": "1"})
_GIF = ("gif", "rgb8", dict[str, str]())

_FORMATS = {  # by suffix: FFmpeg's name of the container, encoding by default, lossless
    ".mp4": ("mp4", _H264, _H264_LOSSLESS),
    ".m4v": ("mp4", _H264, _H264_LOSSLESS),
    ".mov": ("mov", _H264, _H264_LOSSLESS),
    ".mkv": ("matroska", _H264, _H264_LOSSLESS),
    ".webm": ("webm", _VP9, _VP9_LOSSLESS),
    ".gif": ("gif", _GIF, None),
}
SUFFIXES = tuple(_FORMATS)
"""Of files that can be written.

By default H.264 at crf 18, or VP9 at crf 24 in webm, 4:2:0; GIF has 256 fixed colours and stamps in hundredths of a
second. Lossless is H.264 or VP9 in RGB, which not every player shows. Sides that are odd are kept by giving up 4:2:0.
"""

DEFAULT = f"H.264 at crf {_H264[2]['crf']}, 4:2:0"
"""What a video is written as, by default."""

SYNTHETIC = "Synthetic: faces in this video were swapped by a program (IPTC digital source type compositeSynthetic)."
"""Comment that is written into every video."""


class VideoWriter:
    """Writes frames of one size; leaves the file under its name when the `with` block ends without an error.

    Until then, and after an error or Ctrl-C, what was written so far is `NAME.partial.SUFFIX`, which plays up to its
    end; where it cannot be ended, for the disk is full, or has no frame, it is removed. Raises UsageError for a suffix
    that is not in SUFFIXES, OutputError where the file cannot be written.

    Time stamps are those of `like`; its sound is copied packet by packet, not encoded again, unless `sound` is False.
    Raises UsageError where the container cannot hold it.
    """

    def __init__(
        self,
        path: Path,
        like: Video,
        size: tuple[int, int] | None = None,
        *,
        lossless: bool = False,
        sound: bool = True,
    ) -> None:
        form = _FORMATS.get(path.suffix.lower())
        if form is None:
            raise UsageError(f"{path.name} is no name of a video", f"let it end with {', '.join(SUFFIXES)}")
        container, encoding, exact = form
        if lossless and exact is None:
            raise UsageError("a GIF has 256 colours: it cannot be lossless", "name an .mp4")
        self.path, self.n_frames = path, 0
        self.partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        self._info = like.info
        self.size = size or (like.info.width, like.info.height)
        with self._told():
            self._container: Any = _open(self.partial, container)
        with self._told():
            self._stream = self._add_pictures(*(exact if lossless and exact else encoding))
            copied = sound and like.info.audio and container != "gif"
            self._sound = _Sound(like.path, self._container, path) if copied else None
            self._container.metadata["comment"] = SYNTHETIC
            self._container.start_encoding()  # opens the file: one that cannot be written is told before any work

    def _add_pictures(self, codec: str, pixels: str, options: dict[str, str]) -> Any:
        info = self._info
        stream = self._container.add_stream(codec, rate=info.rate, options=options)
        stream.width, stream.height = self.size
        odd = pixels == "yuv420p" and (self.size[0] % 2 or self.size[1] % 2)
        stream.pix_fmt = "yuv444p" if odd else pixels
        self._rgb = not stream.pix_fmt.startswith("yuv")
        self._time_base = Fraction(1, 100) if codec == "gif" else info.time_base
        stream.time_base = stream.codec_context.time_base = self._time_base
        if not self._rgb:
            colour, context = self._colour, stream.codec_context
            context.colorspace, context.color_range = colour.matrix, 2 if colour.full_range else 1
            context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        return stream

    @property
    def _colour(self) -> Colour:
        """Colours as in the input; what the encoder cannot tell is BT.709 or BT.601."""
        colour = self._info.colour
        known = colour.matrix in (BT709, 4, 5, BT601, 7, 9)
        return colour if known else Colour()

    def write(self, image: np.ndarray, pts: int, duration: int = 0) -> None:
        """Add a frame, (H, W, 3) uint8 RGB, with a time stamp and a duration in units of the input's time base."""
        import av

        assert image.shape == (self.size[1], self.size[0], 3)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        if self._rgb:
            frame = frame.reformat(format=self._stream.pix_fmt)
        else:
            colour = self._colour
            frame = frame.reformat(
                format=self._stream.pix_fmt,
                src_color_range=2,
                dst_colorspace=colour.matrix,
                dst_color_range=2 if colour.full_range else 1,
                interpolation=exact_conversion(),
            )
        scale = self._info.time_base / self._time_base
        frame.pts, frame.duration, frame.time_base = round(pts * scale), round(duration * scale), self._time_base
        with self._told():
            if self._sound is not None:
                self._sound.copy(until=float(pts * self._info.time_base))
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        self.n_frames += 1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:  # the error that led here is the one to tell
            try:
                self._finish()
                playable = self.n_frames > 0
            except Exception:  # noqa: BLE001 - a file without an end
                playable = False
            if not playable:
                self.partial.unlink(missing_ok=True)
            return
        with self._told():
            try:
                self._finish()
                self.partial.replace(self.path)
            except BaseException:
                self.partial.unlink(missing_ok=True)
                raise

    def _finish(self) -> None:
        try:
            if self.n_frames:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
                if self._sound is not None:
                    self._sound.copy(until=float("inf"))
        finally:
            if self._sound is not None:
                self._sound.close()
            self._container.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what the system or FFmpeg says into an OutputError."""
        import av

        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
            why = "the disk is full" if full else " ".join(str(getattr(error, "strerror", "") or error).split())
            raise OutputError(
                f"{printable(str(self.path))} cannot be written: {why}",
                "make room on the disk" if full else "name a file in a folder that you may write to",
            ) from error


class _Sound:
    """The packets of a file's sound, copied as they are."""

    def __init__(self, path: Path, out: Any, name: Path) -> None:
        import av

        self._source = av.open(str(path.absolute()), options={"protocol_whitelist": "file"})
        stream = self._source.streams.best("audio")
        assert stream is not None
        self._out = out
        try:
            self._stream = out.add_stream_from_template(stream)
        except (av.error.FFmpegError, ValueError) as error:
            codec = stream.codec_context.name
            raise UsageError(
                f"{name.name} cannot hold the sound of {path.name} ({codec})", "name an .mp4, .mov or .mkv"
            ) from error
        self._packets = self._source.demux(stream)
        self._next = next(self._packets, None)

    def copy(self, until: float) -> None:
        """Write the packets up to a time in seconds."""
        while (packet := self._next) is not None:
            if packet.dts is not None:  # the last one is empty
                if float(packet.dts * packet.time_base) > until:
                    return
                packet.stream = self._stream
                self._out.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Close the file that the sound comes from."""
        self._source.close()


def _open(path: Path, container: str) -> Any:
    import av

    return av.open(str(path.absolute()), "w", format=container)
