from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fsbench.datasets import balance
from fsbench.datasets.people import open_album, read_people
from fsbench.errors import DataError, MissingData
from fsbench.faces.align import TEMPLATE
from fsbench.interfaces import Context

Photograph = Callable[..., None]
SIZE = 64


def test_sessions_are_folders(tmp_path: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i, place in enumerate(("ann/2001/a", "ann/2001/deep/b", "ann/2002/a", "bob/2001/a")):
        photograph(tmp_path / f"{place}.png", place[:3], i)
    rows = read_people(tmp_path, SIZE, fresh_context).rows
    assert rows[["id", "identity", "session"]].to_numpy().tolist() == [
        ["ann/2001/a", "ann", "2001"],
        ["ann/2001/deep/b", "ann", "2001"],
        ["ann/2002/a", "ann", "2002"],
        ["bob/2001/a", "bob", "2001"],
    ]
    assert set(rows.columns) == {"id", "identity", "session", "clip", "frame", "yaw", "pitch", "faces"}


def test_without_sessions_each_image_is_its_own(tmp_path: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i in range(3):
        photograph(tmp_path / "ann" / f"{i}.png", "ann", i)
    (tmp_path / "ann" / "2.webp").write_bytes((tmp_path / "ann" / "2.png").read_bytes())
    faces = read_people(tmp_path, SIZE, fresh_context)
    assert faces.rows["session"].tolist() == ["0.png", "1.png", "2.png", "2.webp"]
    assert faces.rows["id"].tolist() == ["ann/0", "ann/1", "ann/2", "ann/2~2"]
    assert faces.identities == ["ann"]  # one person will do
    assert faces.crops[:].shape == (4, 3, SIZE, SIZE)
    assert np.allclose(faces.landmarks, TEMPLATE * SIZE, atol=1e-3)
    assert np.isfinite(faces.rows[["yaw", "pitch"]]).all(axis=None)


def test_unknown_sessions_are_told(tmp_path: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i, place in enumerate(("ann/0", "ann/1", "bob/0", "eve/2001/0", "eve/2001/1")):
        photograph(tmp_path / f"{place}.png", place[:3], i)
    (said,) = open_album(tmp_path, SIZE, fresh_context).warnings
    assert said.startswith("no sessions are known of ann: each image counts as one;")
    assert said.endswith("lay them out as PERSON/SESSION/*.jpg")


def test_uneven_people_are_told_up_to_a_few(tmp_path: Path, fresh_context: Context, photograph: Photograph) -> None:
    for k in range(5):
        for i in range(3):
            photograph(tmp_path / f"eve{k}" / f"s{i // 2}" / f"{i}.png", "eve", 10 * k + i)
    photograph(tmp_path / "ann" / "only.png", "ann", 99)  # one image is neither even nor uneven
    *told, rest = open_album(tmp_path, SIZE, fresh_context).uneven
    assert told[0].startswith("eve0: session s0 holds 2 of 3 images (67%)")
    assert len(told) == 3
    assert int(rest.split()[0]) == len(balance.warnings(read_people(tmp_path, SIZE, fresh_context).rows.iloc[1:])) - 3


def test_flat_files_are_a_person_each(tmp_path: Path, fresh_context: Context, photograph: Photograph) -> None:
    for i, name in enumerate(("ann", "bob")):
        photograph(tmp_path / f"{name}.png", name, i)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert read_people(tmp_path, SIZE, fresh_context).identities == ["ann", "bob"]
    said = open_album(tmp_path, SIZE, fresh_context).warnings
    assert any("empty/" in warning for warning in said)
    assert any(
        warning.startswith("2 images lie in no folder of a person, so each was read as another person")
        and "/PERSON/*.jpg" in warning
        for warning in said
    )


def test_what_is_left_out_is_logged(tmp_path: Path, fresh_context: Context, photograph: Photograph) -> None:
    photograph(tmp_path / "ann" / "a.png", "ann", 0)
    photograph(tmp_path / "ann" / "b.png", "nobody", 1)
    (tmp_path / "ann" / "c.png").write_bytes(b"")
    (tmp_path / "ann" / "notes.txt").write_text("")
    photograph(tmp_path / "loose.png", "bob", 2)
    said: list[str] = []
    faces = read_people(tmp_path, SIZE, replace(fresh_context, log=said.append))
    assert faces.rows["id"].tolist() == ["ann/a"]
    assert [line.partition(": ")[2] for line in said] == [
        "1 of 3 images left out, no face found: ann/b.png",
        "1 of 3 images left out, unreadable, it is empty (0 bytes): ann/c.png",
        "1 file not used (no image, by its name): ann/notes.txt",
        "1 file not used (beside the folders of identities): loose.png",
    ]


def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path, fresh_context: Context, photograph: Photograph) -> None:
    with pytest.raises(MissingData, match="there is no folder"):
        read_people(tmp_path / "nowhere", SIZE, fresh_context)
    with pytest.raises(DataError, match="holds no image") as caught:
        read_people(tmp_path, SIZE, fresh_context)
    assert "IDENTITY/SESSION" in caught.value.hint
    photograph(tmp_path / "ann.png", "nobody", 0)
    with pytest.raises(DataError, match="no face was found in any of the 1 images"):
        read_people(tmp_path, SIZE, fresh_context)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(DataError, match="a run of fsbench"):
        read_people(tmp_path, SIZE, fresh_context)
