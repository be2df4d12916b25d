"""A model's faces back in their frames: nothing is passed through in silence."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import packets, write_clip
from discs import BLUE, GREEN, GREY, HEIGHT, RED, WIDTH, DiscDetector, frame
from PIL import Image

from fsbench.errors import DataError, FsbenchError, UsageError
from fsbench.extraction import video_faces
from fsbench.faces import detect
from fsbench.faces.paste import PRESETS
from fsbench.faces.track import Smoothing
from fsbench.faces.video import Video
from fsbench.harness import swap as service
from fsbench.harness.swap import SwapOptions, SwapReport, swap
from fsbench.interfaces import Context, EmbedderInfo, Source, Swapped, Targets
from fsbench.registry import embedders, swappers


class ColourJudge:
    """Knows people by their colour."""

    info = EmbedderInfo(family="colour", dim=3, weights=(), description="-")

    def embed(self, crops: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        middle = crops.shape[-1] // 2
        return crops[:, :, middle, middle] * 2


class Green:
    """Fills a square in the middle with green, and leaves out what frames whose number is 3 show."""

    def swap(self, source: Source, targets: Targets) -> Swapped:
        assert source.identity in ("ann", "other")
        images, alpha = targets.images.clone(), torch.zeros_like(targets.images[:, :1])
        quarter = images.shape[-1] // 4
        alpha[..., quarter:-quarter, quarter:-quarter] = 1
        images[..., quarter:-quarter, quarter:-quarter] = torch.tensor(GREEN).view(3, 1, 1) / 255
        absent = tuple("missing" if n == 3 else "" for n in targets.rows["frame"])
        return Swapped(images, alpha, absent)


@pytest.fixture(autouse=True)
def discs(registering: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (detect, video_faces, service):
        monkeypatch.setattr(module, "Detector", DiscDetector)
    embedders.register("disc_colour")(ColourJudge)
    swappers.register("green")(Green)
    monkeypatch.setattr(video_faces, "RECOGNISER", "disc_colour")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "ann"
    folder.mkdir()
    Image.fromarray(frame((RED, 80, 48, 60))).save(folder / "1.png")
    return folder


@pytest.fixture
def run(source: Path, tmp_path: Path, fresh_context: Context) -> Callable[..., SwapReport]:
    def call(
        given: Path, model: str = "green", out: str = "out.mp4", preset: str = "fsbench", **options: object
    ) -> SwapReport:
        settings = SwapOptions(PRESETS[preset], size=64, **options)  # type: ignore[arg-type]
        return swap(given, model, source, tmp_path / out, settings, fresh_context)

    return call


def clip(folder: Path, frames: list[np.ndarray], **options: object) -> Path:
    return write_clip(folder / "clip.mp4", frames, pixels="yuv420p", options={"qp": "0"}, **options)  # type: ignore[arg-type]


def colour_at(image: np.ndarray, x: int, y: int) -> np.ndarray:
    return image[y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))


def is_colour(image: np.ndarray, x: int, y: int, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(colour_at(image, x, y) - colour).max() < 40)


def test_a_video_keeps_its_stamps_and_sound_and_lists_what_was_not_swapped(
    run: Callable[..., SwapReport], tmp_path: Path
) -> None:
    """Frames 5 and 6 show no face, of frame 3 the model has no output."""
    stamps = [0, 40, 80, 120, 140, 160, 180, 240, 300]
    shown = [frame((RED, 60 + 2 * i, 48, 50)) if i not in (5, 6) else frame() for i in range(9)]
    path = clip(tmp_path, shown, pts=stamps, time_base=Fraction(1, 1000), sound="aac", seconds=0.4)
    report = run(path)
    assert report.missing == {3: "the model's output is missing", 5: "no face", 6: "no face"}
    assert (report.n_frames, report.n_swapped) == (9, 6)
    out = Video(report.out)
    frames = list(out.frames())
    assert [each.time for each in frames] == pytest.approx([stamp / 1000 for stamp in stamps])
    assert packets(report.out, "audio") == packets(path, "audio")
    for i, each in enumerate(frames):
        wanted = GREY if i in (5, 6) else RED if i == 3 else GREEN
        assert is_colour(each.image, 60 + 2 * i, 48, wanted), i
        assert is_colour(each.image, 150, 10, GREY)


@pytest.mark.parametrize(("missing", "colour"), [("keep", GREY), ("blank", (0, 0, 0))])
def test_what_stands_for_a_frame_that_was_not_swapped(
    missing: str, colour: tuple[int, int, int], run: Callable[..., SwapReport], tmp_path: Path
) -> None:
    path = clip(tmp_path, [frame((RED, 80, 48, 50)), frame(), frame((RED, 80, 48, 50))])
    report = run(path, missing=missing)
    assert list(report.missing) == [1]
    assert is_colour(list(Video(report.out).frames())[1].image, 80, 48, colour)


def test_stopping_leaves_what_was_written_under_another_name(run: Callable[..., SwapReport], tmp_path: Path) -> None:
    path = clip(tmp_path, [frame((RED, 80, 48, 50))] * 20 + [frame()] * 3)
    with pytest.raises(DataError, match="frame 20 was not swapped: no face") as caught:
        run(path, model="copy_target", missing="stop")
    assert "--on-missing keep" in caught.value.hint
    assert not (tmp_path / "out.mp4").exists()
    assert Video(tmp_path / "out.partial.mp4").count() == 16


def test_a_gap_is_filled_where_that_is_wanted(run: Callable[..., SwapReport], tmp_path: Path) -> None:
    path = clip(tmp_path, [frame((RED, 60 + 4 * i, 48, 50)) if i != 2 else frame() for i in range(5)])
    assert list(run(path).missing) == [2, 3]
    report = run(path, fill=1)
    assert list(report.missing) == [3]
    assert is_colour(list(Video(report.out).frames())[2].image, 68, 48, GREEN)


TWO = [frame((RED, 40, 48, 60), (BLUE, 120, 48, 40)) for _ in range(3)]


@pytest.mark.parametrize(("face", "swapped"), [("largest", 40), ("0", 40), ("1", 120)])
def test_of_two_faces_one_is_swapped(face: str, swapped: int, run: Callable[..., SwapReport], tmp_path: Path) -> None:
    report = run(clip(tmp_path, TWO), face=face)
    assert not report.missing
    image = next(Video(report.out).frames()).image
    assert is_colour(image, swapped, 48, GREEN)
    assert is_colour(image, 160 - swapped, 48, BLUE if swapped == 40 else RED)


def test_a_person_is_followed_by_a_picture_also_after_a_cut(run: Callable[..., SwapReport], tmp_path: Path) -> None:
    """After the cut the other one is the larger; in the last scene the person is not there at all."""
    other = [frame((BLUE, 50, 48, 80), (RED, 130, 48, 40), ground=(250, 250, 250)) for _ in range(3)]
    alone = [frame((BLUE, 80, 48, 60), ground=(10, 10, 10)) for _ in range(2)]
    like = tmp_path / "like.png"
    Image.fromarray(frame((RED, 80, 48, 40))).save(like)
    report = run(clip(tmp_path, [*TWO, *other, *alone]), face=str(like))
    assert report.missing == {3: "the model's output is missing", 6: "no face", 7: "no face"}
    assert "5 faces over time, 2 cuts" in report.notes
    images = [each.image for each in Video(report.out).frames()]
    assert is_colour(images[1], 40, 48, GREEN)
    assert is_colour(images[4], 130, 48, GREEN)
    assert is_colour(images[4], 50, 48, BLUE)
    assert is_colour(images[7], 80, 48, BLUE)


def test_smoothing_changes_where_the_face_lies(run: Callable[..., SwapReport], tmp_path: Path) -> None:
    jump = [frame((RED, 60 if i < 6 else 72, 48, 50)) for i in range(8)]
    path = clip(tmp_path, jump)
    places = []
    for how in ("off", "mean"):
        report = run(path, smoothing=Smoothing(how))  # type: ignore[arg-type]
        image = list(Video(report.out).frames())[6].image.astype(int)
        green = np.nonzero(np.abs(image - GREEN).max(-1) < 50)[1]
        places.append(green.mean())
    assert places[0] - places[1] == pytest.approx(0.65 * 12, abs=1)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_identity_swap_is_the_floor_of_each_preset(
    preset: str, run: Callable[..., SwapReport], tmp_path: Path
) -> None:
    report = run(clip(tmp_path, [frame((RED, 80, 48, 50))] * 3), model="copy_target", preset=preset, lossless=True)
    pairs = zip(Video(tmp_path / "clip.mp4").frames(), Video(report.out).frames(), strict=True)
    assert report.floor is not None
    assert 0 <= report.floor < 2
    assert max(np.abs(a.image.astype(int) - b.image).mean() for a, b in pairs) < 1


def test_side_by_side_and_label(run: Callable[..., SwapReport], tmp_path: Path) -> None:
    report = run(clip(tmp_path, [frame((RED, 80, 40, 50))] * 2), side_by_side=True, label=True)
    image = next(Video(report.out).frames()).image
    assert image.shape == (HEIGHT, 2 * WIDTH, 3)
    assert is_colour(image, 80, 40, RED)
    assert is_colour(image, WIDTH + 80, 40, GREEN)
    assert colour_at(image, 3, HEIGHT - 4).mean() > 90
    assert colour_at(image, WIDTH + 3, HEIGHT - 4).mean() < 40


def test_one_frame_and_odd_sizes(run: Callable[..., SwapReport], tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [frame((RED, 80, 40, 50))[:95, :159]])
    report = run(path)
    assert (report.n_frames, report.n_swapped) == (1, 1)
    assert next(Video(report.out).frames()).image.shape == (95, 159, 3)


def test_faces_are_found_once(run: Callable[..., SwapReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path, [frame((RED, 80, 48, 50))] * 3)
    run(path)
    monkeypatch.setattr(DiscDetector, "detect_photo", lambda self, image: 1 / 0)
    assert run(path, out="again.mp4").n_swapped == 3


def test_images_and_folders_say_that_they_are_synthetic(run: Callable[..., SwapReport], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(frame((RED, 80, 48, 50))).save(folder / "a.png")
    Image.fromarray(frame()).save(folder / "deep" / "b.png")
    Image.fromarray(frame((BLUE, 60, 48, 50))).save(folder / "deep" / "c.bmp")
    report = run(folder, out="swapped")
    assert report.missing == {1: "no face"}
    written = sorted(path.relative_to(tmp_path / "swapped").as_posix() for path in (tmp_path / "swapped").rglob("*.*"))
    assert written == ["a.png", "deep/b.png", "deep/c.png"]
    for out in ("one.png", "one.jpg", "one.webp"):
        assert run(folder / "a.png", out=out).n_swapped == 1
        with Image.open(tmp_path / out) as image:
            assert b"digitalsourcetype/compositeSynthetic" in (tmp_path / out).read_bytes()
            assert is_colour(np.asarray(image.convert("RGB")), 80, 48, GREEN)


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("no face", "no face to swap was found in any of the 2 frames"),
        ("untrained", "gan_mask is not trained"),
        ("no source", "no folder"),
        ("empty source", "holds no image"),
        ("faceless source", "no face was found in the images of"),
        ("no picture", "is no file"),
        ("itself", "is the input itself"),
        ("text", "cannot be read as a video"),
        ("suffix", "no name of a video"),
        ("folder to file", "is a folder of images"),
    ],
)
def test_bad_input_is_one_sentence(
    case: str, sentence: str, source: Path, tmp_path: Path, fresh_context: Context
) -> None:
    face = frame((RED, 80, 48, 50))
    given, model, out, options = (
        clip(tmp_path, [frame() if case == "no face" else face] * 2),
        "green",
        tmp_path / "o.mp4",
        {},
    )
    if case == "untrained":
        model = "gan_mask"
    elif case == "no source":
        source = tmp_path / "nowhere"
    elif case in ("empty source", "faceless source"):
        source = tmp_path / "empty"
        source.mkdir()
        if case == "faceless source":
            Image.fromarray(frame()).save(source / "a.png")
    elif case == "no picture":
        options = {"face": "nobody.png"}
    elif case == "itself":
        out = given
    elif case == "text":
        given = tmp_path / "text.mp4"
        given.write_text("no video")
    elif case == "suffix":
        out = tmp_path / "o.txt"
    elif case == "folder to file":
        given = source
    with pytest.raises(FsbenchError, match=sentence) as caught:
        swap(given, model, source, out, SwapOptions(PRESETS["fsbench"], size=64, **options), fresh_context)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert not (tmp_path / "o.mp4").exists()
    assert not list(tmp_path.glob("*partial*"))


def test_a_model_that_knows_its_people_is_told_the_name(source: Path, tmp_path: Path, fresh_context: Context) -> None:
    path = clip(tmp_path, [frame((RED, 80, 48, 50))])
    settings = SwapOptions(PRESETS["fsbench"], size=64)
    assert swap(path, "green", source, tmp_path / "o.mp4", settings, fresh_context, identity="other").n_swapped == 1
    with pytest.raises(FsbenchError):
        swap(path, "green", source, tmp_path / "o.mp4", settings, fresh_context, identity="stranger")


def test_what_the_command_line_offers_is_what_there_is() -> None:
    from typing import get_args, get_type_hints

    from fsbench.cli import swap as command
    from fsbench.faces import colour, paste

    assert get_args(command.Preset) == tuple(PRESETS)
    assert get_args(command.Shape) == get_args(paste.Shape)
    assert get_args(command.Blend) == get_args(paste.Blend)
    assert get_args(command.Colour) == get_args(colour.Match)
    assert get_args(command.Missing) == get_args(service.OnMissing)
    assert command._smoothing("kalman(process=0.01)") == Smoothing("kalman", process=0.01)
    assert get_type_hints(Smoothing)["how"]
    for text in ("kalmann", "kalman(prozess=1)", "mean(share=much)"):
        with pytest.raises(UsageError):
            command._smoothing(text)
