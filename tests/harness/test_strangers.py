"""Strangers: of the data set, of a folder, of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsbench import contracts
from fsbench.errors import DataError
from fsbench.harness import strangers
from fsbench.interfaces import Context, DatasetInfo, Faces


class Toys:
    """Two people, and maybe two strangers."""

    def __init__(self, strangers: bool) -> None:
        splits = ("test", "gallery") if strangers else ("test",)
        self.info = DatasetInfo("toys", "1", 16, "toys", "CC0-1.0", splits)  # type: ignore[arg-type]

    def faces(self, split: str) -> Faces:
        faces = contracts.toy_faces(2, 1, 2, 16)
        if split == "gallery":
            faces.rows["identity"] = faces.rows["identity"].str.replace("toy", "stranger")
        return faces


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> str:
    read = lambda path, size, context: contracts.toy_faces(4, 1, 1, size, seed=1)  # noqa: E731
    monkeypatch.setattr(strangers, "read_people", read)
    return "somewhere"


def names(own: bool, folder: str, context: Context) -> list[str] | None:
    found = strangers.gather(Toys(own), Toys(own).faces("test"), folder, context)
    return None if found is None else found.identities


def test_strangers_come_from_both(folder: str, context: Context) -> None:
    assert names(False, "", context) is None
    assert names(True, "", context) == ["stranger0", "stranger1"]
    assert names(True, folder, context) == ["stranger0", "stranger1", "toy2", "toy3"]


def test_who_is_swapped_is_no_stranger(folder: str, context: Context) -> None:
    assert names(False, folder, context) == ["toy2", "toy3"]


def test_who_is_swapped_is_no_stranger_under_another_name(
    folder: str, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def renamed(path: Path, size: int, context: Context) -> Faces:
        faces = contracts.toy_faces(4, 1, 3, size)
        faces.rows["identity"] = faces.rows["identity"].str.replace("toy", "alias")
        return faces

    monkeypatch.setattr(strangers, "read_people", renamed)
    assert names(False, folder, context) == ["alias2", "alias3"]  # two images of the first two are the test split's


def test_a_gallery_of_nobody_else_is_told(folder: str, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "read_people", lambda path, size, context: contracts.toy_faces(2, 1, 1, size))
    with pytest.raises(DataError, match="only people"):
        names(False, folder, context)


def test_the_parts_stay_together(folder: str, context: Context) -> None:
    found = strangers.gather(Toys(True), Toys(True).faces("test"), folder, context)
    assert found is not None
    assert len(found) == len(found.crops) == len(found.landmarks) == 6


def test_a_folder_that_is_not_there_is_told(context: Context, tmp_path: Path) -> None:
    from fsbench.errors import MissingData

    with pytest.raises(MissingData):
        strangers.gather(Toys(False), Toys(False).faces("test"), str(tmp_path / "nowhere"), context)
