"""Videos as a data set: painted people, whose frames are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from discs import BLUE, GREY, RED, DiscDetector, frame

from fsbench import contracts
from fsbench.errors import DataError, FsbenchError
from fsbench.extraction import video_faces
from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.video import Video
from fsbench.harness.sets import by_set
from fsbench.interfaces import Context, Faces, WithFrames, WithVideos
from fsbench.pairs import Group, Pairs
from fsbench.registry import datasets

COLOURS = {"ann": RED, "bob": BLUE}


@pytest.fixture(autouse=True)
def _discs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_faces, "Detector", DiscDetector)


def write(path: Path, colour: tuple[int, int, int], n: int, without: tuple[int, ...] = (), cut: int = 0) -> Path:
    """A clip of a face that moves, in a scene that changes at `cut`; 25 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grounds = [GREY if not cut or i < cut else (250, 250, 250) for i in range(n)]
    frames = [
        frame(ground=ground) if i in without else frame((colour, 60 + i % 40, 48, 50), ground=ground)
        for i, ground in enumerate(grounds)
    ]
    return write_clip(path, frames)


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Three clips of each of two people."""
    for name, colour in COLOURS.items():
        for number in (1, 2, 3):
            write(tmp_path / "videos" / name / f"clip{number}.mp4", colour, 10)
    return tmp_path / "videos"


@pytest.mark.parametrize(("every", "rate"), [(1, 25.0), (2, 12.5)])
def test_clips_tell_their_rate(several: Path, context: Context, every: int, rate: float) -> None:
    test = datasets.build(f"video(every={every}):{several}", context).faces("test")
    assert test.rows["rate"].to_numpy() == pytest.approx(rate)
    pairs = Pairs((Group("ann", test.crops, np.arange(len(test)), test, None),), "all")
    clips = pairs.samples("clip")
    assert clips["rate"].to_numpy() == pytest.approx(rate)
    assert clips["frames"].tolist() == [10 // every] * 2


def test_the_last_clips_are_held_out(several: Path, context: Context) -> None:
    dataset = datasets.build(f"video:{several}", context)
    train, test = dataset.faces("train"), dataset.faces("test")
    assert (len(train), len(test)) == (40, 20)
    assert set(train.rows["session"]) == {"clip1", "clip2"}
    assert set(test.rows["session"]) == {"clip3"}
    assert test.rows["id"].iloc[3] == "ann/clip3/000003"
    assert test.rows.groupby("identity")["frame"].apply(list).to_dict() == {name: list(range(10)) for name in COLOURS}
    assert [*by_set(test)] == ["clips"]
    assert np.abs(test.landmarks - TEMPLATE * 128).max() < 1e-3
    middle = test.crops.levels()[:, 60:68, 60:68].mean((1, 2))
    for name, colour in COLOURS.items():
        assert np.abs(middle[(test.rows["identity"] == name).to_numpy()] - colour).max() < 25
    assert dataset.truth("ann", test) is None


def test_it_keeps_the_contract_of_data_sets(several: Path, context: Context) -> None:
    contracts.check_dataset(datasets.build(f"video(size=64):{several}", context))


def test_of_a_single_clip_the_last_part_is_held_out_and_a_second_between(tmp_path: Path, context: Context) -> None:
    for name, colour in COLOURS.items():
        write(tmp_path / f"{name}.mp4", colour, 80)
    dataset = datasets.build(f"video:{tmp_path}", context)
    train, test = dataset.faces("train").of("ann"), dataset.faces("test").of("ann")
    assert test.rows["frame"].tolist() == list(range(60, 80))
    assert train.rows["frame"].tolist() == list(range(35 + 1))
    assert (train.rows["clip"].unique(), test.rows["clip"].unique()) == (["ann.first"], ["ann.last"])
    assert "ann, bob: there is one clip" in dataset.info.warnings[0]


def test_frames_without_the_face_are_left_out_and_counted_and_cuts_are_gaps(tmp_path: Path, context: Context) -> None:
    write(tmp_path / "ann" / "a.mp4", RED, 12, without=(4, 5), cut=8)
    write(tmp_path / "ann" / "b.mp4", RED, 6)
    write(tmp_path / "bob" / "a.mp4", BLUE, 6)
    write(tmp_path / "bob" / "b.mp4", BLUE, 6)
    dataset = datasets.build(f"video:{tmp_path}", context)
    assert "ann/a: 10 of 12 frames show the face; 2 faces over time, 1 cuts" in dataset.info.notes
    own = dataset.faces("train").of("ann").rows["frame"].tolist()
    assert own == [0, 1, 2, 3, 6, 7, 9, 10, 11, 12]  # from 8 on one more: nothing moves across a cut


def test_every_other_frame(several: Path, context: Context) -> None:
    dataset = datasets.build(f"video(every=3):{several}", context)
    assert dataset.faces("test").of("bob").rows["frame"].tolist() == [0, 1, 2, 3]
    assert dataset.info.revision != datasets.build(f"video:{several}", context).info.revision


def test_crops_are_kept(several: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first = datasets.build(f"video:{several}", context)
    before = first.faces("test").content_hash()
    monkeypatch.setattr(DiscDetector, "detect_frames", lambda self, images: 1 / 0)
    again = datasets.build(f"video:{several}", context)
    assert again.faces("test").content_hash() == before
    assert again.info.revision == first.info.revision


def test_other_files_are_told(several: Path, context: Context) -> None:
    (several / "notes.txt").write_text("nothing")
    info = datasets.build(f"video:{several}", context).info
    assert [(unused.reason, unused.files) for unused in info.unused] == [("no video, by its name", ("notes.txt",))]


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("one person", "videos of fewer than two people"),
        ("no video", "videos of fewer than two people"),
        ("no face", "no face was found in any frame"),
        ("damaged", "cannot be read as a video"),
        ("short", "too few frames with a face: bob"),
        ("nowhere", "no folder"),
    ],
)
def test_bad_input_is_one_sentence(case: str, sentence: str, tmp_path: Path, context: Context) -> None:
    folder = tmp_path / "videos"
    if case != "nowhere":
        folder.mkdir()
    if case not in ("nowhere", "no video"):
        write(folder / "ann.mp4", RED, 60)
    if case == "no face":
        write(folder / "bob.mp4", BLUE, 3, without=(0, 1, 2))
    elif case == "damaged":
        (folder / "bob.mp4").write_bytes(b"no video")
    elif case == "short":
        write(folder / "bob.mp4", BLUE, 20)
    with pytest.raises(FsbenchError, match=sentence) as caught:
        datasets.build(f"video:{folder}", context).faces("train")
    assert caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("spec", ["video", "video(size=8):X", "video(test=0.9):X", "video(every=0):X"])
def test_what_is_typed_wrong(spec: str, several: Path, context: Context) -> None:
    with pytest.raises(FsbenchError) as caught:
        datasets.build(spec.replace("X", str(several)), context)
    assert caught.value.hint


def test_another_split_is_refused(several: Path, context: Context) -> None:
    with pytest.raises(DataError, match="no split gallery"):
        datasets.build(f"video:{several}", context).faces("gallery")


def test_frames_are_those_that_crops_were_cut_from(several: Path, context: Context) -> None:
    """In any order, over clips and splits, and with the landmarks that give the very crops again."""
    dataset = datasets.build(f"video:{several}", context)
    assert isinstance(dataset, WithFrames)
    for split in ("train", "test"):
        faces = dataset.faces(split)
        chosen = faces.select(np.random.default_rng(1).permutation(len(faces))[:12])
        for i, (image, landmarks) in enumerate(dataset.frames(chosen)):
            assert image.shape == (96, 160, 3)
            crop, own = align(image, landmarks[0], 128)
            assert np.array_equal(crop, chosen.crops.levels(i))
            assert np.array_equal(own, chosen.landmarks[i])
    strange = chosen.select([0])
    strange.rows["id"] = "ann/clip9/000000"
    with pytest.raises(DataError, match="is not an image of this data set"):
        next(dataset.frames(strange))


def test_a_video_is_decoded_once_for_frames_that_follow(
    several: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = datasets.build(f"video:{several}", context)
    faces, begun = dataset.faces("test"), []
    decode = Video.frames
    monkeypatch.setattr(Video, "frames", lambda self: (begun.append(self.path.name), decode(self))[1])
    for rows in (slice(0, 4), slice(4, 10), slice(10, 20)):
        assert len(list(dataset.frames(faces.select(rows)))) == len(faces.select(rows))
    assert begun == ["clip3.mp4"] * 2
    list(dataset.frames(faces.select(slice(0, 4))))
    assert len(begun) == 3


def test_frames_where_some_are_left_out(tmp_path: Path, context: Context) -> None:
    for name, colour in COLOURS.items():
        for number in (1, 2):
            write(tmp_path / name / f"{number}.mp4", colour, 14, without=(3, 4), cut=8)
    dataset = datasets.build(f"video(every=2):{tmp_path}", context)
    faces = dataset.faces("test")
    for i, (image, landmarks) in enumerate(dataset.frames(faces)):
        assert np.array_equal(align(image, landmarks[0], 128)[0], faces.crops.levels(i))


def test_frames_are_written_to_a_video_and_read_again(tmp_path: Path, context: Context) -> None:
    """What a codec changes is little, and something; frames without the face are written too, and not asked for."""
    for name, colour in COLOURS.items():
        write(tmp_path / f"{name}.mp4", colour, 90, without=(75, 76))
    dataset = datasets.build(f"video(size=64):{tmp_path}", context)
    assert isinstance(dataset, WithVideos)
    test = dataset.faces("test").of("bob")
    before, after = list(dataset.frames(test)), list(dataset.written(test))
    assert len(before) == len(after) == len(test)
    assert 75 not in test.rows["frame"].tolist()
    changes = []
    for (image, faces), (again, same) in zip(before, after, strict=True):
        assert np.array_equal(faces, same)
        changes.append(np.abs(image.astype(int) - again).mean())
    assert 0.05 < np.mean(changes) < 4
    assert max(changes) < 8  # no frame is taken for another: the face moves by a pixel a frame
    assert not np.array_equal(before[0][0], after[0][0])
    foreign = Faces(test.crops, test.rows.assign(id="nobody"), test.landmarks)
    with pytest.raises(DataError, match="nobody"):
        next(iter(dataset.written(foreign)))
