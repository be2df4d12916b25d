"""Most tests replace the detector: drawings show no face, and photographs cannot be committed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fsbench.datasets import _photos
from fsbench.datasets.folder import BLOCKS, TWIN, Folder
from fsbench.errors import BadParameter, DataError, MissingData, UsageError
from fsbench.faces.align import TEMPLATE, align
from fsbench.faces.detect import Detections
from fsbench.harness.pairing import make_pairs
from fsbench.interfaces import Context
from fsbench.png import write_png

SIZE = 64


class FakeDetector:
    """Finds a face in the middle of every image that is not black; its first pixel says how far it is turned."""

    calls = 0

    def __init__(self, device: object) -> None:
        pass

    def detect_photo(self, image: np.ndarray) -> Detections:
        FakeDetector.calls += 1
        seen = image.max() > 0
        landmarks = np.where(seen, TEMPLATE * image.shape[0], np.nan).astype(np.float32)
        landmarks[2, 0] += (image[0, 0, 0] / 255 - 0.5) * 0.4 * image.shape[0]
        return Detections(np.zeros((1, 4), np.float32), landmarks[None], np.array([float(seen)], np.float32))


@pytest.fixture(autouse=True)
def _fake_detector(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "shared" not in request.fixturenames:
        monkeypatch.setattr(_photos.detect, "Detector", FakeDetector)


def photograph(path: Path, seed: int, level: int = 1) -> None:
    """A small picture, the same for a seed; black where `level` is 0."""
    write_png(path, np.random.default_rng(seed).integers(0, 256, (70, 80, 3), np.uint8) * np.uint8(level))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the data set."""
    (tmp_path / "people").mkdir()
    return tmp_path / "people"


def people(root: Path, **images: int) -> Path:
    """Identities without sessions."""
    for k, (name, count) in enumerate(images.items()):
        for i in range(count):
            photograph(root / name / f"{i:03d}.png", 1000 * k + i)
    return root


def load(root: Path, context: Context, **parameters: float) -> Folder:
    return Folder(context=replace(context, path=str(root)), **{"size": SIZE, **parameters})


def test_sessions_are_split_whole(root: Path, fresh_context: Context) -> None:
    for name in ("ann", "bob"):
        for session in ("2019", "2020", "2021", "2022"):
            for i in range(5):
                photograph(root / name / session / f"{i}.png", 1000 * ord(name[0]) + 10 * int(session) + i)
    data = load(root, fresh_context)
    train, test = data.faces("train"), data.faces("test")
    assert sorted(train.rows["session"].unique()) == ["2019", "2020"]
    assert sorted(test.rows["session"].unique()) == ["2021", "2022"]
    assert train.identities == test.identities == ["ann", "bob"]
    assert train.rows["id"].iloc[0] == "ann/2019/0"
    assert not any("sessions are known" in note for note in data.info.notes)
    assert data.info.warnings == ()
    assert train.crops[:].shape == (20, 3, SIZE, SIZE)
    assert np.isfinite(train.landmarks).all()


def test_without_sessions_blocks_stand_for_them_and_the_user_is_told(root: Path, fresh_context: Context) -> None:
    data = load(people(root, ann=10, bob=100), fresh_context)
    rows = pd.concat([data.faces("train").rows.assign(split=0), data.faces("test").rows.assign(split=1)])
    bob = rows[rows["identity"] == "bob"].sort_values("id")
    assert bob["session"].nunique() == BLOCKS
    assert bob.groupby("session").size().min() >= 2
    assert bob["split"].is_monotonic_increasing  # the last blocks are held out
    assert bob.sort_values("id")["id"].str.rsplit("/", n=1).str[1].is_monotonic_increasing
    assert 25 <= bob["split"].sum() <= 30
    assert rows[rows["identity"] == "ann"]["split"].sum() == 4
    assert any(note.startswith("ann, bob: no sessions are known") for note in data.info.notes)


def test_rows_are_what_the_interface_promises(root: Path, fresh_context: Context) -> None:
    people(root, ann=8, bob=8)
    photograph(root / "ann" / "000.bmp.png", 700)
    (root / "ann" / "000.bmp.png").rename(root / "ann" / "000.webp")  # the same stem twice
    data = load(root, fresh_context)
    rows = pd.concat([data.faces(split).rows for split in data.info.splits])
    assert set(rows.columns) == {"id", "identity", "session", "clip", "frame", "yaw", "pitch", "faces"}
    assert np.isfinite(rows[["yaw", "pitch"]]).all(axis=None)
    assert rows["id"].is_unique
    assert len(rows) == 17
    assert data.truth("ann", data.faces("test")) is None
    with pytest.raises(DataError, match="gallery"):
        data.faces("gallery")


def test_what_is_left_out_is_counted_and_named(root: Path, fresh_context: Context) -> None:
    people(root, ann=12, bob=12)
    photograph(root / "ann" / "black.png", 0, level=0)
    (root / "bob" / "empty.jpg").write_bytes(b"")
    (root / "bob" / "broken.png").write_bytes((root / "bob" / "000.png").read_bytes()[:200])
    (root / "bob" / "notes.txt").write_text("hello")
    (root / "bob" / ".hidden.png").write_bytes(b"")
    data = load(root, fresh_context)
    no_face, truncated, empty, hidden, others = data.info.warnings
    assert no_face == "1 of 27 images left out, no face found: ann/black.png"
    assert truncated == "1 of 27 images left out, unreadable, image file is truncated: bob/broken.png"
    assert empty == "1 of 27 images left out, unreadable, it is empty (0 bytes): bob/empty.jpg"
    assert hidden == "1 file not used (hidden: the name begins with a dot): bob/.hidden.png"
    assert others == "1 file not used (no image, by its name): bob/notes.txt"
    assert [(unused.where, *unused.files) for unused in data.info.unused] == [
        ("people", "ann/black.png"),
        ("people", "bob/broken.png"),
        ("people", "bob/empty.jpg"),
        ("people", "bob/.hidden.png"),
        ("people", "bob/notes.txt"),
    ]
    assert data.files["state"].value_counts().to_dict() == {"used": 24, "no face": 1, "unreadable": 2}
    assert len(data.faces("train")) + len(data.faces("test")) == 24


def test_many_names_are_shortened(root: Path, fresh_context: Context) -> None:
    people(root, ann=12, bob=12)
    for i in range(9):
        photograph(root / "ann" / f"black{i}.png", 0, level=0)
    warning = load(root, fresh_context).info.warnings[0]
    assert warning.endswith("ann/black0.png, ann/black1.png, ann/black2.png and 6 more")


def test_imbalance_is_warned_of(root: Path, fresh_context: Context) -> None:
    for session, count in (("a", 12), ("b", 4), ("c", 4)):
        for i in range(count):
            photograph(root / "ann" / session / f"{i}.png", 100 * ord(session) + i)
    people(root, bob=90)
    dominant, unequal = load(root, fresh_context).info.warnings
    assert dominant.startswith("ann: session a holds 12 of 20 images")
    assert unequal == "bob has 90 images, ann only 20"


def test_faces_are_found_once_and_again_only_where_content_changed(root: Path, fresh_context: Context) -> None:
    people(root, ann=40, bob=40)
    FakeDetector.calls = 0
    first = load(root, fresh_context)
    crops = first.faces("test").crops.levels()
    assert FakeDetector.calls == 80
    again = load(root, fresh_context)
    assert again.info == first.info
    assert np.array_equal(again.faces("test").crops.levels(), crops)
    assert FakeDetector.calls == 80
    photograph(root / "bob" / "039.png", 5)
    changed = load(root, fresh_context)
    assert changed.info.revision != first.info.revision
    assert 80 < FakeDetector.calls <= 80 + _photos._CHUNK


@pytest.mark.parametrize("parameters", [{"size": 96}, {"test": 0.5}])
def test_parameters_are_part_of_the_revision(root: Path, fresh_context: Context, parameters: dict[str, float]) -> None:
    people(root, ann=12, bob=12)
    assert load(root, fresh_context, **parameters).info.revision != load(root, fresh_context).info.revision


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({}, "two or more identities; none has"),
        ({"ann": 0, "bob": 0}, "none has"),
        ({"ann": 9}, "only ann has"),
        ({"ann": 9, "bob": 0}, "only ann has"),
        ({"ann": 9, "bob": 3}, r"too few images .* bob has 3 \(\d for training, \d held out\)"),
        ({"ann": 9, "bob": 1}, "too few images"),
    ],
)
def test_a_folder_that_cannot_be_used_says_why(
    root: Path, fresh_context: Context, images: dict[str, int], message: str
) -> None:
    for name in images:
        (root / name).mkdir()
    people(root, **images)
    with pytest.raises(DataError, match=message) as caught:
        load(root, fresh_context).faces("train")
    assert caught.value.hint


def test_people_with_few_images_are_measured_where_nothing_is_trained(root: Path, fresh_context: Context) -> None:
    people(root, ann=3, bob=2)
    with pytest.raises(DataError, match="too few images") as caught:
        load(root, fresh_context).faces("test")
    assert "folder(test=1)" in caught.value.hint
    data = load(root, fresh_context, test=1)
    assert data.info.splits == ("test",)
    assert any("every image is held out" in note for note in data.info.notes)
    assert data.faces("test").rows["identity"].value_counts().to_dict() == {"ann": 3, "bob": 2}
    with pytest.raises(DataError, match=r"folder\(test=1\) holds every image out") as caught:
        data.faces("train")
    assert "leave test=1 out" in caught.value.hint
    pairs = make_pairs(data, data.faces("test"))
    assert {(group.identity, len(group.index), len(group.references)) for group in pairs.groups} == {
        ("ann", 2, 3), ("bob", 3, 2),
    }  # fmt: skip


def test_one_image_is_too_few_even_where_nothing_is_trained(root: Path, fresh_context: Context) -> None:
    with pytest.raises(DataError, match=r"too few images .* bob has 1") as caught:
        load(people(root, ann=9, bob=1), fresh_context, test=1).faces("test")
    assert "test=1" not in caught.value.hint


def test_sessions_stay_where_all_are_held_out(root: Path, fresh_context: Context) -> None:
    for name in ("ann", "bob"):
        for session in ("a", "b", "c"):
            photograph(root / name / session / "0.png", ord(name[0]) + ord(session))
    rows = load(root, fresh_context, test=1).faces("test").rows
    assert sorted(rows["session"]) == ["a", "a", "b", "b", "c", "c"]


def test_no_face_at_all_is_an_error(root: Path, fresh_context: Context) -> None:
    for name in ("ann", "bob"):
        for i in range(8):
            photograph(root / name / f"{i}.png", i, level=0)
    with pytest.raises(DataError, match="no face was found in any of the 16 images"):
        load(root, fresh_context).faces("train")


def test_what_was_typed_wrongly(root: Path, fresh_context: Context) -> None:
    with pytest.raises(MissingData, match="there is no folder"):
        load(root / "nowhere", fresh_context)
    with pytest.raises(UsageError, match="needs a path"):
        Folder(context=fresh_context)
    for parameters in ({"size": 8}, {"test": 0.9}, {"test": 1.1}):
        with pytest.raises(BadParameter):
            load(people(root, ann=9, bob=9), fresh_context, **parameters)


def test_links_to_folders(root: Path, fresh_context: Context) -> None:
    people(root / "all", ann=12, bob=12, eve=12)
    pair = root / "pair"
    pair.mkdir()
    (pair / "ann").symlink_to("../all/ann")
    (pair / "bob").write_text("../all/bob")  # what git makes of a link where there are none
    (pair / "README").write_text("two of three people")
    data = load(pair, fresh_context)
    assert data.faces("train").identities == ["ann", "bob"]
    assert data.files["file"].iloc[-1] == "bob/011.png"


@pytest.mark.parametrize(
    "text",
    ["x" * 600, "x" * 254, "long name/" * 60, "all rights reserved\n../all/ann\n", "..", ".", "../..", "", "a\0b"],
)
def test_a_text_beside_the_identities_is_no_identity(root: Path, fresh_context: Context, text: str) -> None:
    pair = people(root / "pair", ann=9, bob=9)
    people(root / "all", ann=9)
    (pair / "LICENSE").write_text(text)
    assert load(pair, fresh_context).faces("train").identities == ["ann", "bob"]


def test_a_link_around_the_identities_is_none(root: Path, fresh_context: Context) -> None:
    people(root, ann=9, bob=9)
    (root / "everybody").symlink_to(".")
    (root / "above").symlink_to("..")
    assert load(root, fresh_context).faces("train").identities == ["ann", "bob"]


def test_linked_sessions_are_followed_and_loops_end(root: Path, fresh_context: Context) -> None:
    pair = people(root / "pair", bob=9)
    (pair / "ann").mkdir()
    for shoot in range(3):
        for i in range(4 + shoot):
            photograph(root / "shoots" / f"shoot{shoot}" / f"{i}.png", 100 * shoot + 50 + i)
        (pair / "ann" / f"session{shoot}").symlink_to(root / "shoots" / f"shoot{shoot}")
    (root / "shoots" / "shoot1" / "loop").symlink_to(pair / "ann")
    (pair / "ann" / "everybody").symlink_to("..")
    files = load(pair, fresh_context).files
    ann = files[files["identity"] == "ann"]
    assert ann["session"].value_counts().to_dict() == {"session0": 4, "session1": 5, "session2": 6}
    assert len(files) == 15 + 9


def test_images_that_are_held_out_too_are_not_trained_on(root: Path, fresh_context: Context) -> None:
    for k, name in enumerate(("ann", "bob")):
        for i in range(24):
            photograph(root / name / f"shoot{i // 6}" / f"{i:02d}.png", 100 * k + i)
    for copy, of in (
        ("ann/shoot0/00", "ann/shoot3/20"),
        ("ann/shoot0/01", "ann/shoot2/13"),
        ("ann/shoot1/06", "ann/shoot1/07"),
        ("bob/shoot0/05", "ann/shoot3/21"),
    ):
        (root / f"{copy}.png").write_bytes((root / f"{of}.png").read_bytes())
    data = load(root, fresh_context)
    assert data.info.warnings == (
        "3 of 48 images left out, the same bytes are held out: ann/shoot0/00.png, ann/shoot0/01.png, bob/shoot0/05.png",
    )
    assert len(data.faces("train")) == 24 - 3
    assert len(data.faces("test")) == 24
    assert not set(data.files.loc[data.files["state"] == TWIN, "id"]) & set(data.faces("train").rows["id"])


def test_too_few_because_of_copies_says_so(root: Path, fresh_context: Context) -> None:
    people(root, ann=12, bob=12)
    for i in range(5):
        (root / "ann" / f"{i:03d}.png").write_bytes((root / "ann" / "011.png").read_bytes())
    with pytest.raises(DataError, match=r"ann has 7 \(3 for training, 4 held out\); 5 more have the same bytes"):
        load(root, fresh_context).faces("train")


def test_a_held_out_photograph_saved_otherwise_is_warned_of_or_left_out(root: Path, fresh_context: Context) -> None:
    for k, name in enumerate(("ann", "bob")):
        for i in range(24):
            coarse = np.random.default_rng(100 * k + i).integers(0, 256, (9, 9, 3), np.uint8)
            path = root / name / f"shoot{i // 6}" / f"{i:02d}.png"
            write_png(path, np.asarray(Image.fromarray(coarse).resize((80, 80), Image.Resampling.BICUBIC)))
    for copy, of in (("ann/shoot0/00", "ann/shoot3/20"), ("ann/shoot0/01", "bob/shoot2/13")):
        (root / f"{copy}.png").unlink()
        Image.open(root / f"{of}.png").save(root / f"{copy}.jpg", quality=80)
    data = load(root, fresh_context)
    (warning,) = data.info.warnings
    assert warning.startswith("2 training images show what a held-out image shows")
    assert {frozenset(pair) for pair in data.near_twins[["one", "other"]].to_numpy().tolist()} == {
        frozenset(("ann/shoot0/00.jpg", "ann/shoot3/20.png")),
        frozenset(("ann/shoot0/01.jpg", "bob/shoot2/13.png")),
    }
    assert len(data.faces("train")) == 24
    apart = load(root, fresh_context, dedup=True)
    assert apart.info.warnings == (
        "2 of 48 images left out, the same photograph is held out, saved otherwise: "
        "ann/shoot0/00.jpg, ann/shoot0/01.jpg",
    )
    assert (len(apart.faces("train")), len(apart.faces("test"))) == (22, 24)
    assert apart.info.revision != data.info.revision


def test_two_of_three_sessions_are_held_out(root: Path, fresh_context: Context) -> None:
    for k, name in enumerate(("ann", "bob")):
        for i in range(15):
            photograph(root / name / f"shoot{i // 5}" / f"{i}.png", 100 * k + i)
    data = load(root, fresh_context)
    assert sorted(data.faces("test").rows["session"].unique()) == ["shoot1", "shoot2"]
    assert data.info.warnings == ()


def test_images_outside_the_identities_and_empty_folders_are_told(root: Path, fresh_context: Context) -> None:
    photograph(people(root, ann=9, bob=9) / "loose.png", 77)
    (root / "empty").mkdir()
    assert load(root, fresh_context).info.warnings == (
        "1 folder not used (a folder without an image): empty/",
        "1 file not used (beside the folders of identities): loose.png",
    )


def test_a_run_is_no_photographs(root: Path, fresh_context: Context) -> None:
    people(root, ann=9, bob=9)
    (root / "ann" / "plan.json").write_text("{}")
    with pytest.raises(DataError, match="a run of fsbench"):
        load(root, fresh_context)


@pytest.mark.parametrize("shoots", [(5, 5), (3, 3, 5)])  # with two held out, the second would train on three
def test_one_held_out_session_is_warned_of(root: Path, fresh_context: Context, shoots: tuple[int, ...]) -> None:
    people(root, bob=12)
    for i, shoot in enumerate(np.repeat(range(len(shoots)), shoots)):
        photograph(root / "ann" / f"shoot{shoot}" / f"{i}.png", i + 500)
    data = load(root, fresh_context)
    test = data.faces("test").rows
    assert test.groupby("identity")["session"].nunique().to_dict() == {"ann": 1, "bob": 2}
    (warning,) = data.info.warnings
    assert warning.startswith("ann: only one session is held out, so id_leakage and id_nearer_source cannot be scored")


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_folder
from fsbench.datasets import _photos
from fsbench.environment import make_context

class Dying(test_folder.FakeDetector):
    def detect_photo(self, image):
        if test_folder.FakeDetector.calls == 70:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().detect_photo(image)

_photos.detect.Detector = Dying
_photos._AT_ONCE = 1  # otherwise each core has a chunk under way, and which are whole is a matter of luck
test_folder.load(Path(sys.argv[2]), make_context("cpu")).faces("train")
"""


def test_a_kill_loses_one_chunk_at_most(root: Path, fresh_context: Context) -> None:
    people(root, ann=50, bob=50)
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(root)], env={**os.environ}, timeout=120
    )
    assert died.returncode == -signal.SIGKILL
    FakeDetector.calls = 0
    data = load(root, fresh_context)
    assert len(data.faces("train")) + len(data.faces("test")) == 100
    assert FakeDetector.calls == 100 - 50  # of the second identity, no chunk of 32 was whole


def test_real_photographs(root: Path, fresh_context: Context, shared: Path) -> None:
    for name in ("Colin_Powell", "George_W_Bush"):
        (root / name).mkdir()
        for path in sorted((shared / "data/lfw" / name).glob("*.jpg"))[:8]:
            (root / name / path.name).write_bytes(path.read_bytes())
    data = load(root, fresh_context, size=128)
    faces = data.faces("train")
    assert data.info.warnings == ()
    assert np.abs(faces.landmarks - TEMPLATE * 128).max() < 12
    assert np.abs(faces.landmarks.mean(0) - TEMPLATE * 128).max() < 2


def test_frames_are_the_photographs(root: Path, fresh_context: Context) -> None:
    people(root, ann=8, bob=8)
    data = load(root, fresh_context)
    faces = data.faces("test")
    for i, (image, landmarks) in enumerate(data.frames(faces)):
        assert image.shape == (70, 80, 3)
        crop, own = align(image, landmarks[0], SIZE)
        assert np.array_equal(crop, faces.crops.levels(i))
        assert np.array_equal(own, faces.landmarks[i])
    faces.rows["id"] = "nobody"
    with pytest.raises(DataError, match="nobody is not an image of"):
        next(data.frames(faces))
