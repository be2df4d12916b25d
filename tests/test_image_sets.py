"""Sets of images are lists of what lies elsewhere: they are read where they are asked for, and hashed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fsbench.errors import BadImage, DataError
from fsbench.images import PORTION, ImageSet, read_image, to_float
from fsbench.png import write_png, write_pngs
from fsbench.store import Store

RANDOM = np.random.default_rng(0)


def levels(n: int, side: int = 4, channels: int = 3) -> np.ndarray:
    return RANDOM.integers(0, 256, (n, side, side, channels), np.uint8)


def in_memory(pixels: np.ndarray, folder: Path) -> ImageSet:
    return ImageSet(pixels)


def in_store(pixels: np.ndarray, folder: Path) -> ImageSet:
    """In blocks of uneven sizes, one of them without an image."""
    parts = np.split(pixels, [2, 2, 5])
    store = Store(folder / "cache")
    entries = [store.entry("x", k, lambda part=part: {"x": part}) for k, part in enumerate(parts)]  # type: ignore[misc]
    return ImageSet.stored(entries, "x")


def in_files(pixels: np.ndarray, folder: Path) -> ImageSet:
    paths = [folder / f"{k}.png" for k in range(len(pixels))]
    for path, picture in zip(paths, pixels, strict=True):
        write_png(path, picture)
    return ImageSet.of_files(paths)


def made(pixels: np.ndarray, folder: Path) -> ImageSet:
    return ImageSet.made(pixels.shape, pixels.__getitem__)


PLACES = [in_memory, in_store, in_files, made]
INDICES: list[object] = [
    slice(None),
    slice(2, 5),
    slice(None, None, -2),
    slice(3, 3),
    [4],
    [],
    [0, -1, 0, 5, 5],
    np.array([True, False, True, True, False, False, True]),
    np.array([6, 2, 3], np.int32),
    3,
    -7,
    np.array([[0, 1], [6, 6]]),
]


@pytest.mark.parametrize("place", PLACES)
def test_indices_mean_what_they_mean_for_arrays(place: Callable[[np.ndarray, Path], ImageSet], tmp_path: Path) -> None:
    pixels = levels(7)
    images = place(pixels, tmp_path)
    assert images.shape == (7, 4, 4, 3)
    for index in INDICES:
        assert np.array_equal(images.levels(index), pixels[index])  # type: ignore[arg-type, index]
        assert torch.equal(images[index], to_float(pixels[index]))  # type: ignore[index]
        assert torch.equal(images.on("cpu", index), images[index])  # type: ignore[arg-type, index]
    for index in (7, -8, [0, 7]):
        with pytest.raises(IndexError):
            images.levels(index)
    assert np.array_equal(images.hashes(), ImageSet(pixels).hashes())
    assert images.content_hash() == ImageSet(pixels).content_hash()


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=25)
@given(data=st.data())
def test_lists_of_lists_are_those_of_arrays(
    place: Callable[[np.ndarray, Path], ImageSet], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    pixels, other = levels(7), levels(3)
    images = [place(pixels, tmp_path_factory.mktemp("a")), ImageSet(other)]
    arrays = [pixels, other]
    for _ in range(data.draw(st.integers(1, 6))):
        k = data.draw(st.integers(0, len(images) - 1))
        if data.draw(st.booleans()):
            n = len(arrays[k])
            index = np.array(data.draw(st.lists(st.integers(-n, n - 1), max_size=9) if n else st.just([])), np.int64)
            images.append(images[k].select(index))
            arrays.append(arrays[k][index])
        else:
            parts = data.draw(st.lists(st.integers(0, len(images) - 1), min_size=1, max_size=4))
            images.append(ImageSet.join([images[part] for part in parts]))
            arrays.append(np.concatenate([arrays[part] for part in parts]))
    assert np.array_equal(images[-1].levels(), arrays[-1])
    assert len(images[-1]) == len(arrays[-1])
    assert np.array_equal(images[-1].hashes(), ImageSet(arrays[-1]).hashes())
    assert images[-1].content_hash() == ImageSet(arrays[-1]).content_hash()


class Counting:
    """Images that remember which of them were read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.read = pixels, []  # type: ignore[var-annotated]
        self.images = ImageSet.made(pixels.shape, self)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.read += rows.tolist()
        return self.pixels[rows]


def test_only_what_is_asked_for_is_read() -> None:
    counting = Counting(levels(300))
    images = counting.images
    joined = ImageSet.join([images.select(slice(100, 200)), ImageSet(levels(5)), images]).select([0, 104, 105, 404])
    assert (len(joined), joined.shape, counting.read) == (4, (4, 4, 4, 3), [])
    joined.levels([0, 2])
    assert counting.read == [100, 0]
    counting.read.clear()
    assert next(images.portions()).shape == (PORTION, 4, 4, 3)
    assert counting.read == list(range(PORTION))


def test_an_image_is_hashed_once_whatever_sets_it_is_in() -> None:
    counting = Counting(levels(200))
    some = counting.images.select([3, 3, 150])
    assert len(np.unique(some.hashes(), axis=0)) == 2
    assert counting.read == [3, 150]
    counting.images.hashes()
    ImageSet.join([some, counting.images.select(slice(None, None, -1))]).content_hash()
    assert sorted(counting.read) == list(range(200))


def test_hashes_are_of_shape_and_pixels() -> None:
    pixels = np.zeros((1, 2, 8, 3), np.uint8)
    shapes = [pixels, pixels.reshape(1, 8, 2, 3), pixels.reshape(1, 4, 4, 3), pixels.reshape(1, 6, 8, 1)]
    assert len({ImageSet(array).hashes().tobytes() for array in shapes}) == 4
    assert ImageSet(pixels).content_hash() != ImageSet(np.repeat(pixels, 2, 0)).content_hash()


def test_what_is_given_out_is_a_copy() -> None:
    pixels = levels(4)
    images = ImageSet(pixels.copy())
    for index in (slice(None), slice(1, 3), [0, 1], 2):
        images.levels(index)[:] = 0
        images[index].zero_()
    images.select(slice(0, 2)).levels()[:] = 0
    assert np.array_equal(images.levels(), pixels)


def test_sets_of_several_sizes_are_refused_with_the_sizes() -> None:
    with pytest.raises(DataError, match="4 x 4 x 3 and 5 x 5 x 3"):
        ImageSet.join([ImageSet(levels(1)), ImageSet(levels(1, side=5))])
    with pytest.raises(DataError, match="4 x 4 x 1 and 4 x 4 x 3"):
        ImageSet.join([ImageSet(levels(0)), ImageSet(levels(2, channels=1))])
    with pytest.raises(DataError, match="none"):
        ImageSet.join([])


def test_files_of_several_sizes_are_refused_with_the_names(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    write_png(paths[0], levels(1, side=6)[0])
    write_png(paths[1], levels(1, side=6)[0, :5])
    images = ImageSet.of_files(paths)
    assert images.levels(0).shape == (6, 6, 3)
    with pytest.raises(DataError, match=r"b.png has 6 x 5 pixels and .*a.png has 6 x 6 pixels") as error:
        images.levels()
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    "change", [Path.unlink, lambda path: path.write_bytes(b""), lambda path: path.write_text("no")]
)
def test_a_file_that_vanishes_is_one_sentence(tmp_path: Path, change: Callable[[Path], object]) -> None:
    images = in_files(levels(3), tmp_path)
    change(tmp_path / "1.png")
    assert images.levels([0, 2]).shape == (2, 4, 4, 3)
    with pytest.raises(BadImage, match=r"1\.png") as error:
        images[:]
    assert "\n" not in error.value.message


# --------------------------------------------------------------------------------------------------------- PNG files


def written(paths: Sequence[Path]) -> list[int]:
    """Which of some files are not the ones that `age` left."""
    return [k for k, path in enumerate(paths) if path.stat().st_mtime_ns != 10**9]


def age(paths: Sequence[Path]) -> None:
    for path in paths:
        os.utime(path, ns=(10**9, 10**9))


def test_a_png_that_shows_the_same_is_not_written_again(tmp_path: Path) -> None:
    pixels = levels(70)
    paths = [tmp_path / f"{k % 3}" / f"{k}.png" for k in range(70)]
    write_pngs(paths, ImageSet(pixels))
    assert all(np.array_equal(read_image(path), picture) for path, picture in zip(paths, pixels, strict=True))
    age(paths)
    write_pngs(paths, ImageSet(pixels))
    assert written(paths) == []
    changed = pixels.copy()
    changed[66, 0, 0, 0] ^= 1
    write_pngs(paths, ImageSet(changed))
    assert written(paths) == [66]
    assert np.array_equal(read_image(paths[66]), changed[66])
    assert not list(tmp_path.rglob("*.partial"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "empty": lambda path: path.write_bytes(b""),
    "a flipped bit": lambda path: path.write_bytes(path.read_bytes()[:60] + b"\xff" + path.read_bytes()[61:]),
    "another size": lambda path: write_png(path, levels(1, side=5)[0]),
    "another picture before the same end": lambda path: path.write_bytes(
        path.with_name("2.png").read_bytes()[:-56] + path.read_bytes()[-56:]
    ),
    "the file of another image": lambda path: path.write_bytes(path.with_name("2.png").read_bytes()),
    "encoded again": lambda path: Image.open(path).copy().save(path),
    "gone": Path.unlink,
    "a dead link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_png_that_is_damaged_is_written_again(tmp_path: Path, damage: str) -> None:
    images = ImageSet(levels(3, side=12))
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    write_pngs(paths, images)
    age(paths)
    DAMAGES[damage](paths[1])
    write_pngs(paths, images)
    assert written(paths) == [1]
    assert np.array_equal(read_image(paths[1]), images.levels(1))
