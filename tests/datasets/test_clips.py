"""Clips in folders, for `folder(clips=true)`; the detector is replaced, as in test_folder.py."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fsbench.datasets import _photos
from fsbench.datasets._clips import ClipFrames
from fsbench.datasets.folder import Folder
from fsbench.errors import DataError
from fsbench.faces.align import TEMPLATE
from fsbench.faces.detect import Detections
from fsbench.interfaces import Context, Faces
from fsbench.png import write_png


class FakeDetector:
    """Finds a face in the middle of every image that is not black."""

    def __init__(self, device: object) -> None:
        pass

    def detect_photo(self, image: np.ndarray) -> Detections:
        seen = image.max() > 0
        landmarks = np.where(seen, TEMPLATE * image.shape[0], np.nan).astype(np.float32)
        return Detections(np.zeros((1, 4), np.float32), landmarks[None], np.array([float(seen)], np.float32))


@pytest.fixture(autouse=True)
def _fake_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_photos.detect, "Detector", FakeDetector)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two people with three clips and some stills each."""
    folder = tmp_path / "people"
    for person in ("ann", "bob"):
        for session in ("v1", "v2", "v3"):
            fill(folder / person / session, [f"frame_{number:04d}" for number in range(1, 5)], person + session)
        fill(folder / person / "shoot", ["a", "b"], person)
    return folder


def fill(folder: Path, stems: list[str], what: str, size: int = 64, level: int = 1) -> None:
    for stem in stems:
        seed = zlib.crc32(f"{what}/{stem}".encode())
        pixels = np.random.default_rng(seed).integers(1, 256, (size, size + 6, 3), np.uint8)
        write_png(folder / f"{stem}.png", pixels * np.uint8(level))


def read(root: Path, context: Context, clips: bool = True) -> tuple[Folder, Faces]:
    data = Folder(context=replace(context, path=str(root)), size=48, clips=clips)
    return data, data.faces("test")


def test_numbered_frames_are_clips_where_the_user_says_so(root: Path, context: Context) -> None:
    data, test = read(root, context)
    clips = test.rows[test.rows["clip"] != ""]
    assert clips.groupby(["identity", "session", "clip"])["frame"].apply(list).tolist() == [[1, 2, 3, 4]] * len(
        clips.groupby(["identity", "session", "clip"])
    )
    everything = [*data.faces("train").rows["id"], *test.rows["id"]]
    assert len(set(everything)) == len(everything) == 28
    shoot = [*data.faces("train").rows["clip"], *test.rows["clip"]].count("")
    assert shoot == 4, "names without numbers are stills"
    assert any("shoot" in warning and "count as stills" in warning for warning in data.info.warnings)
    stills = read(root, context, clips=False)[1]
    assert set(stills.rows["clip"]) == {""}
    assert set(stills.rows["frame"]) == {0}
    assert data.info.revision != read(root, context, clips=False)[0].info.revision


def test_clips_of_one_session_are_told_apart(root: Path, context: Context) -> None:
    for person in ("ann", "bob"):
        for take in ("take1", "take2"):
            fill(root / person / "v9" / take, ["0", "1", "2"], person + take)
    _, test = read(root, context)
    own = test.rows[test.rows["session"] == "v9"]
    assert own.groupby(["identity", "clip"]).size().to_dict() == {
        (person, take): 3 for person in ("ann", "bob") for take in ("take1", "take2")
    }


def test_missing_frames_repeated_numbers_and_sizes_are_told(root: Path, context: Context) -> None:
    (root / "ann/v1/frame_0003.png").unlink()
    fill(root / "ann/v2", ["frame_004"], "ann again")  # number 4 a second time
    fill(root / "bob/v1", ["frame_0002"], "larger", size=80)
    (root / "bob/v3/frame_0003.png").write_bytes((root / "bob/v3/frame_0002.png").read_bytes())
    data, _ = read(root, context)
    text = "\n".join(data.info.warnings)
    assert "ann/v1 lacks 3" in text
    assert "not all of one size" in text
    assert "bob/v1" in text
    assert "1 frames have the same bytes as the frame before them: bob/v3/frame_0003.png" in text
    assert "another file is the same frame of its clip: ann/v2/frame_004.png" in text
    frames = [*data.faces("train").rows["id"], *data.faces("test").rows["id"]]
    assert "ann/v2/frame_0004" in frames
    assert "ann/v2/frame_004" not in frames


def test_a_frame_without_a_face_is_a_gap(root: Path, context: Context) -> None:
    fill(root / "bob/v3", ["frame_0002"], "nobody", level=0)
    data, _ = read(root, context)
    assert any("bob/v3 lacks 2" in warning for warning in data.info.warnings)


def test_a_clip_of_one_frame_is_no_clip(root: Path, context: Context) -> None:
    fill(root / "ann/v5", ["0001"], "alone")
    data, test = read(root, context)
    assert any("ann/v5" in warning and "count as stills" in warning for warning in data.info.warnings)
    rows = test.rows if "v5" in set(test.rows["session"]) else data.faces("train").rows
    assert rows.loc[rows["session"] == "v5", "clip"].tolist() == [""]


def test_a_clip_that_would_be_split_is_refused(tmp_path: Path, context: Context) -> None:
    for person in ("ann", "bob"):
        fill(tmp_path / person, [str(number) for number in range(10)], person)
    with pytest.raises(DataError, match=r"ann and bob|ann, bob") as refused:
        read(tmp_path, context)
    assert "split over train and test" in refused.value.message
    read(tmp_path, context, clips=False)


def test_the_clips_of_a_single_session_are_refused(tmp_path: Path, context: Context) -> None:
    for person in ("ann", "bob"):
        for take in ("one", "two"):
            fill(tmp_path / person / "only" / take, [str(number) for number in range(6)], person + take)
    with pytest.raises(DataError, match="ann has one session, whose clips would be split over train and test: one"):
        read(tmp_path, context)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["x1", "x2", "x10"], None),  # three of ten numbers: no consecutive frames
        (["x1", "x2", "x3", "x5"], [1, 2, 3, 5]),
        (["a1", "b2"], None),
        (["1", "x"], None),
        (["09", "10", "11"], [9, 10, 11]),
        (["v2_001", "v2_002"], [1, 2]),
        (["7", "07"], None),  # one number only
    ],
)
def test_which_names_are_frames(names: list[str], numbers: list[int] | None) -> None:
    found = ClipFrames.find([f"ann/s/{name}.jpg" for name in names])
    assert found.clip.tolist() == ["" if numbers is None else "s"] * len(names)
    assert found.frame.tolist() == (numbers or [0] * len(names))
    assert found.stills == (("ann/s",) if numbers is None else ())
