"""Videos as frames and back: each case is one that some tool gets wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import packets, picture, write_clip

from fsbench.errors import DataError, FsbenchError, OutputError, UsageError
from fsbench.faces.video import SUFFIXES, Video, VideoWriter

PICTURES = [picture(seed=i) for i in range(6)]


def copy(video: Video, path: Path, *, lossless: bool = False) -> Video:
    """What was read, written again: the identity swap."""
    with VideoWriter(path, video, lossless=lossless) as writer:
        for frame in video.frames():
            writer.write(frame.image, frame.pts, frame.duration)
    return Video(path)


def times(video: Video) -> list[float]:
    return [frame.time for frame in video.frames()]


def difference(one: Video, other: Video) -> float:
    """Mean absolute difference in levels of 255."""
    pairs = zip(one.frames(), other.frames(), strict=True)
    return float(np.mean([np.abs(a.image.astype(int) - b.image).mean() for a, b in pairs]))


# the eight cases


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_variable_frame_rate_keeps_frames_stamps_and_sound(suffix: str, tmp_path: Path) -> None:
    """10 frames at 10 a second, then 20 at 30 a second, in 1.67 seconds with sound."""
    stamps = [*range(0, 600, 60), *range(600, 1000, 20)]
    path = write_clip(
        tmp_path / f"vfr{suffix}",
        [picture(seed=i) for i in range(30)],
        pts=stamps,
        time_base=Fraction(1, 600),
        sound="aac",
        seconds=1.7,
    )
    video = Video(path)
    assert video.count() == 30
    assert times(video) == pytest.approx([stamp / 600 for stamp in stamps], abs=1e-9)
    again = copy(video, tmp_path / f"copy{suffix}")
    assert times(again) == times(video)
    assert packets(again.path, "audio") == packets(path, "audio")
    assert video.info.audio == again.info.audio == "aac"


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_clip_of_a_phone_held_upright_is_read_as_a_player_shows_it(degrees: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", PICTURES[:2], rotation=degrees)
    plain = write_clip(tmp_path / "turned.mp4", [np.rot90(image, degrees // 90) for image in PICTURES[:2]])
    video, turned = Video(path), Video(plain)
    assert (video.info.width, video.info.height) == (turned.info.width, turned.info.height)
    assert video.info.rotation == degrees
    assert difference(video, turned) < 0.6
    capture = cv2.VideoCapture(str(path))
    _, frame = capture.read()
    capture.release()
    assert np.abs(frame[..., ::-1].astype(int) - next(video.frames()).image).max() <= 1
    again = copy(video, tmp_path / "copy.mp4", lossless=True)
    assert again.info.rotation == 0
    assert difference(video, again) == 0


def test_a_rate_that_is_a_fraction_stays_exact(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)
    path = write_clip(tmp_path / "ntsc.mp4", PICTURES, rate=rate, time_base=1 / rate)
    video = Video(path)
    again = copy(video, tmp_path / "copy.mp4")
    assert video.info.rate == again.info.rate == rate
    assert [Fraction(frame.pts) * again.info.time_base for frame in again.frames()] == [i / rate for i in range(6)]


def test_more_than_9999_frames_are_all_there_in_order(tmp_path: Path) -> None:
    n, step = 10_007, 500
    grey = [np.full((16, 16, 3), i * 25 % 250, np.uint8) for i in range(10)]
    path = write_clip(
        tmp_path / "long.mp4",
        [grey[i // step % 10] for i in range(n)],
        pixels="yuv420p",
        options={"preset": "ultrafast"},
    )
    levels = [float(frame.image.mean()) for frame in Video(path).frames()]
    assert len(levels) == n
    assert np.abs(np.array(levels) - [i // step % 10 * 25 for i in range(n)]).max() < 4


@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_are_read_and_written_as_tagged(matrix: int, full: bool, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", PICTURES[:2], matrix=matrix, full_range=full)
    video = Video(path)
    assert (video.info.colour.matrix, video.info.colour.full_range, video.info.colour.guessed) == (matrix, full, False)
    for frame, image in zip(video.frames(), PICTURES[:2], strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 1
    again = copy(video, tmp_path / "copy.mp4")
    assert again.info.colour == video.info.colour
    means = [np.mean([frame.image.mean((0, 1)) for frame in clip.frames()], 0) for clip in (video, again)]
    shift = np.abs(means[0] - means[1]).max()  # what is lost at edges of colour is 4:2:0's, and no shift
    assert shift < (1.2 if full else 0.3)  # FFmpeg's conversion to full range rounds one way


@pytest.mark.parametrize(("height", "matrix"), [(96, 6), (720, 1)])
def test_without_a_tag_the_size_decides_and_it_is_said(height: int, matrix: int, tmp_path: Path) -> None:
    image = picture(128, height)
    path = write_clip(tmp_path / "clip.mp4", [image], matrix=matrix, tags={})
    video = Video(path)
    assert (video.info.colour.matrix, video.info.colour.guessed) == (matrix, True)
    assert np.abs(next(video.frames()).image.astype(int) - image).mean() < 1
    assert Video(path).info.colour.matrix == copy(video, tmp_path / "copy.mp4").info.colour.matrix


def test_subsampled_colour_is_the_ceiling_and_lossless_is_exact(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "clip.mp4", PICTURES[:3], pixels="yuv420p"))
    assert 0 < difference(video, copy(video, tmp_path / "lossy.mp4")) < 4
    for suffix in (".mp4", ".mov", ".mkv", ".webm"):
        assert difference(video, copy(video, tmp_path / f"exact{suffix}", lossless=True)) == 0


# what else is read and written


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_read_back(suffix: str, tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "clip.mp4", PICTURES))
    again = copy(video, tmp_path / f"copy{suffix}")
    assert again.count() == 6
    assert times(again) == pytest.approx(times(video), abs=0.006)
    assert difference(video, again) < (30 if suffix == ".gif" else 5)
    assert not list(tmp_path.glob("*partial*"))
    with av.open(str(again.path)) as container:
        assert "ynthetic" in {key.lower(): value for key, value in container.metadata.items()}.get("comment", "") or (
            suffix == ".gif"
        )


@pytest.mark.parametrize("size", [(33, 24), (32, 25), (17, 17)])
def test_odd_sizes_are_kept(size: tuple[int, int], tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "clip.mp4", [picture(*size)] * 2))
    again = copy(video, tmp_path / "copy.mp4")
    assert (again.info.width, again.info.height) == size


def test_sound_of_webm_is_carried_over(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.webm", PICTURES, codec="libvpx-vp9", options={"lossless": "1"}, sound="libopus", seconds=0.3
    )
    again = copy(Video(path), tmp_path / "copy.webm")
    assert packets(again.path, "audio") == packets(path, "audio")
    assert len(packets(path, "audio")) > 5


def test_sound_that_a_container_cannot_hold_is_said_before_any_work(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "clip.mp4", PICTURES, sound="aac", seconds=0.3))
    with pytest.raises(UsageError, match=r"copy\.webm cannot hold the sound of clip\.mp4 \(aac\)"):
        copy(video, tmp_path / "copy.webm")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_stamps_that_are_twice_the_same_are_told_apart(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", PICTURES)
    video = Video(path)
    assert video.count() == 6
    assert video.n_restamped == 0


def test_a_picture_beside_sound_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="ipod") as container:
        track = container.add_stream("aac", rate=48000)
        track.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    with pytest.raises(DataError, match="has sound alone"):
        Video(path)


def damaged(folder: Path, kind: str) -> Path:
    whole = write_clip(folder / "whole.mp4", PICTURES).read_bytes()
    path = folder / "clip.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "none":
        content = {
            "empty": b"",
            "text": b"no video\n" * 50,
            "cut": whole[: len(whole) // 2],
            "picture": b"\xff\xd8\xff\xe0" + bytes(60),
        }
        path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize("kind", ["none", "folder", "fifo", "empty", "text", "cut", "picture"])
def test_what_is_no_video_is_one_sentence(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        Video(damaged(tmp_path, kind))
    assert "clip.mp4" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_file_that_breaks_off_says_after_how_many_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", [picture(seed=i) for i in range(40)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    video, read = Video(path), list[int]()

    def all_frames() -> None:
        read.extend(frame.pts for frame in video.frames())

    with suppress(DataError):  # FFmpeg takes some breaks for the end
        all_frames()
    n = len(read)
    assert 10 < n < 30


def test_hdr_is_refused_with_the_remedy(tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    path = write_clip(tmp_path / "hdr.mp4", PICTURES[:1], tags=tags)
    with pytest.raises(DataError, match="HDR, smpte2084") as caught:
        Video(path)
    assert "convert it" in caught.value.hint


def test_a_name_is_never_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="not there"):
        Video(Path("http:example.mp4"))


# files that are not finished


def test_an_error_leaves_what_was_written_under_another_name(tmp_path: Path) -> None:
    video, out = Video(write_clip(tmp_path / "clip.mp4", PICTURES)), tmp_path / "out.mp4"
    out.write_bytes(b"from before")

    def broken() -> None:
        with VideoWriter(out, video) as writer:
            for i, frame in enumerate(video.frames()):
                if i == 4:
                    raise KeyboardInterrupt
                writer.write(frame.image, frame.pts, frame.duration)

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert out.read_bytes() == b"from before"
    assert Video(tmp_path / "out.partial.mp4").count() == 4


def test_an_error_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "clip.mp4", PICTURES))
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "out.mp4", video):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


FULL = """
import resource, sys
from pathlib import Path
from fsbench.errors import OutputError
from fsbench.faces.video import Video, VideoWriter
video, out = Video(Path(sys.argv[1])), Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    with VideoWriter(out, video, lossless=True) as writer:
        for frame in video.frames():
            writer.write(frame.image, frame.pts, frame.duration)
except OutputError as error:
    print(error.sentence)
"""


def test_a_disk_that_fills_up_leaves_no_half_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(10)]
    path = write_clip(tmp_path / "clip.mp4", noise)
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(tmp_path / "out.mp4")], capture_output=True, text=True, check=True
    )
    assert "out.mp4 cannot be written: the disk is full" in said.stdout
    assert [each.name for each in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("out.txt", UsageError, "no name of a video"),
        ("out", UsageError, "no name of a video"),
        ("nowhere/out.mp4", OutputError, "cannot be written"),
        ("/dev/full/out.mp4", OutputError, "cannot be written"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_sentence(
    name: str, error: type[FsbenchError], sentence: str, tmp_path: Path
) -> None:
    video = Video(write_clip(tmp_path / "clip.mp4", PICTURES[:1]))
    with pytest.raises(error, match=sentence) as caught:
        VideoWriter(tmp_path / name, video)
    assert caught.value.hint


def test_a_gif_cannot_be_lossless(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "clip.mp4", PICTURES[:1]))
    with pytest.raises(UsageError, match="256 colours"):
        VideoWriter(tmp_path / "out.gif", video, lossless=True)
