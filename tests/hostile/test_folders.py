"""Folders as tools and systems leave them: nothing in them becomes a person, and all of it is told."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fsbench import files
from fsbench.datasets import _twins
from fsbench.datasets.people import open_album
from fsbench.errors import DataError, MissingData
from fsbench.files import Listing
from fsbench.images import ImageSet, list_images
from fsbench.interfaces import Context
from fsbench.png import write_png


def image(path: Path) -> Path:
    write_png(path, np.zeros((4, 4, 3), np.uint8))
    return path


def names(listing: Listing) -> list[str]:
    return [file.name for file in listing.files]


def why(listing: Listing) -> dict[str, str]:
    return {name: unused.reason for unused in listing.unused for name in unused.files}


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "lost+found",
        "__MACOSX",
        ".AppleDouble",
        "System Volume Information",
        ".@__thumb",
        ".Trash-1000",
        "@Recycle",
        ".picasaoriginals",
        ".thumbnails",
        "FOUND.000",
        "Catalog Previews.lrdata",
        "LOST.DIR",
        ".git",
        "@EADIR",
        "$recycle.bin",
        ".dropbox.cache",
        "Photos.photoslibrary",
        "Thumbnails",
        ".anything",
    ],
)
def test_machine_made_folders_are_no_people(tmp_path: Path, name: str) -> None:
    image(tmp_path / "ann" / "2001" / "a.png")
    for place in (tmp_path, tmp_path / "ann", tmp_path / "ann" / "2001"):
        image(place / name / "a.png")
    found = list_images(tmp_path)
    assert names(found) == ["ann/2001/a.png"]
    assert set(why(found)) == {f"{name}/", f"ann/{name}/", f"ann/2001/{name}/"}


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", "._a.jpg", ".DS_Store", "THUMBS.DB", "Icon\r"])
def test_machine_made_files_are_counted(tmp_path: Path, name: str) -> None:
    image(tmp_path / "ann" / "a.png")
    (tmp_path / "ann" / name).write_bytes(b"x")
    found = list_images(tmp_path)
    assert names(found) == ["ann/a.png"]
    assert why(found) == {f"ann/{files.printable(name)}": files.MADE}


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    ann = image(tmp_path / "ann" / "a.png").parent
    os.mkfifo(ann / "pipe.png")
    (ann / "null.png").symlink_to("/dev/null")
    (ann / "dead.png").symlink_to("nowhere")
    (ann / "circle.png").symlink_to("circle.png")
    image(ann / "folder.jpg" / "x.png")
    (ann / "kernel").symlink_to("/proc/self")
    (ann / "up").symlink_to("..")
    (ann / "again").symlink_to(".")
    found = list_images(tmp_path)
    assert names(found) == ["ann/a.png"]
    assert why(found) == {
        "ann/pipe.png": files.NOT_REGULAR,
        "ann/null.png": files.NOT_REGULAR,
        "ann/dead.png": files.DEAD_LINK,
        "ann/circle.png": files.DEAD_LINK,
        "ann/folder.jpg/": files.LIKE_FILE,
        "ann/kernel/": files.KERNEL,
        "ann/up/": files.AROUND,
        "ann/again/": files.AGAIN,
    }


def test_a_link_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    image(tmp_path / "zoe" / "a.png")
    (tmp_path / "ann").symlink_to("zoe")
    image(tmp_path.parent / f"{tmp_path.name}-elsewhere" / "b.png")
    (tmp_path / "bob").symlink_to(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    found = list_images(tmp_path)
    assert names(found) == ["bob/b.png", "zoe/a.png"]
    assert why(found) == {"ann/": files.AGAIN}


@pytest.mark.parametrize("raw", [b"\xff.png", b"caf\xe9.png", b"\xed\xa0\x80.png"])
def test_names_that_are_not_utf_8(tmp_path: Path, raw: bytes) -> None:
    image(tmp_path / "ann" / "a.png")
    Path(os.fsdecode(os.fsencode(tmp_path / "ann") + b"/" + raw)).write_bytes(b"x")
    found = list_images(tmp_path)
    assert names(found) == ["ann/a.png"]
    ((name, reason),) = why(found).items()
    assert reason == files.NOT_UTF8
    assert "\\x" in name
    name.encode()


@pytest.mark.parametrize("name", ["Zoë", "Ångström", "한글"])
def test_two_forms_of_unicode_are_one_name(tmp_path: Path, name: str) -> None:
    for form in ("NFC", "NFD"):
        image(tmp_path / unicodedata.normalize(form, name) / "a.png")
    image(tmp_path / unicodedata.normalize("NFD", name) / "b.png")
    found = list_images(tmp_path)
    assert names(found) == [f"{name}/a.png", f"{name}/b.png"]
    assert why(found) == {f"{name}/a.png": files.SAME_NAME}


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path / "ann" / "a.png")
    image(tmp_path / "bob" / "b.png")
    listed = os.listdir

    def refusing(path: Path) -> list[str]:
        if Path(path).name in refused:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(files.os, "listdir", refusing)
    refused = {"bob"}
    found = list_images(tmp_path)
    assert (names(found), why(found)) == (["ann/a.png"], {"bob/": files.DENIED})
    refused = {tmp_path.name}
    with pytest.raises(DataError, match="cannot be listed: permission denied"):
        list_images(tmp_path)


@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("film.mp4", "is a file, not a folder", "ffmpeg"),
        ("all.zip", "is a file, not a folder", "unpack"),
        ("a.png", "is a file, not a folder", "a folder of images"),
        ("gone", "there is no folder", "a folder of images"),
        ("x" * 300, "too long", "a folder of images"),
        ("a\0b", "there is no folder", "a folder of images"),
    ],
)
def test_what_is_there_instead_of_a_folder(tmp_path: Path, name: str, said: str, remedy: str) -> None:
    if "." in name:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MissingData, match=said) as caught:
        list_images(tmp_path / name)
    assert remedy in caught.value.hint


@pytest.mark.parametrize("place", ["/proc", "/sys", "/dev", "/proc/self"])
def test_the_system_is_no_data_set(place: str, context: Context) -> None:
    with pytest.raises(DataError, match="part of the system"):
        open_album(Path(place), 64, context)


def test_nobody_has_no_home() -> None:
    with pytest.raises(MissingData, match="nobody of that name"):
        files.home_of("~nobody-of-that-name/photos")


def test_a_flat_folder_says_how_it_is_read(tmp_path: Path, context: Context) -> None:
    for name in ("a", "b"):
        image(tmp_path / f"{name}.png")
    album = open_album(tmp_path, 64, replace(context))
    assert album.flat
    assert [photo.identity for photo in album.photos] == ["a", "b"]


def face(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    return Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC)


def test_one_photograph_in_two_files_is_found_and_others_are_not() -> None:
    faces = [face(seed) for seed in range(30)]
    changed = [
        faces[0].resize((64, 64)).resize((128, 128)),
        faces[1].filter(ImageFilter.GaussianBlur(1)),
        faces[2].point(lambda level: min(255, level * 1.05 + 3)),
        faces[3].quantize(64).convert("RGB"),
    ]
    bits = _twins.hashes(ImageSet(np.stack([np.asarray(one) for one in (*faces, *changed)])))
    pairs = _twins.near(bits, lambda i, j: np.ones(len(i), bool))
    assert sorted(map(tuple, pairs.tolist())) == [(0, 30), (1, 31), (2, 32), (3, 33)]
    assert len(_twins.near(bits, lambda i, j: np.zeros(len(i), bool))) == 0
    assert len(_twins.near(bits[:0], lambda i, j: np.ones(len(i), bool))) == 0
