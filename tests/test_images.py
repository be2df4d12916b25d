from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fsbench.errors import BadImage
from fsbench.images import ImageSet, read_image, resize, shrink, to_bytes, to_float
from fsbench.png import write_png


@pytest.fixture
def pixels() -> np.ndarray:
    """(24, 40, 3) uint8: a red left half, a blue right half with a green top."""
    image = np.zeros((24, 40, 3), np.uint8)
    image[:, :20, 0] = 200
    image[:, 20:, 2] = 150
    image[:6, 20:, 1] = 250
    return image


def png_with_header(path: Path, width: int, height: int) -> Path:
    """A PNG file that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_png_is_lossless_and_atomic(tmp_path: Path, pixels: np.ndarray) -> None:
    write_png(tmp_path / "below" / "a.png", pixels)
    assert np.array_equal(read_image(tmp_path / "below" / "a.png"), pixels)
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["a.png"]
    write_png(tmp_path / "mask.png", pixels[..., :1])
    assert np.array_equal(read_image(tmp_path / "mask.png"), pixels[..., [0, 0, 0]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path: Path, pixels: np.ndarray, orientation: int) -> None:
    # What each orientation does to upright pixels, by the EXIF standard (tag 0x0112): row 0 and column 0 are, in order,
    # top left, top right, bottom right, bottom left, left top, right top, right bottom, left bottom.
    turned = [
        pixels,
        pixels[:, ::-1],
        pixels[::-1, ::-1],
        pixels[::-1],
        pixels.swapaxes(0, 1),
        np.rot90(pixels, 1),
        pixels[::-1, ::-1].swapaxes(0, 1),
        np.rot90(pixels, -1),
    ][orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels)


def test_transparent_parts_become_white(tmp_path: Path, pixels: np.ndarray) -> None:
    alpha = np.full((24, 40, 1), 255, np.uint8)
    alpha[:, :10] = 0
    Image.fromarray(np.concatenate([pixels, alpha], 2)).save(tmp_path / "a.png")
    expected = pixels.copy()
    expected[:, :10] = 255
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)


def test_a_palette_may_hold_transparency(tmp_path: Path, pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels).quantize(4)
    background = int(np.asarray(image)[20, 30])
    image.save(tmp_path / "a.png", transparency=background)
    found = read_image(tmp_path / "a.png")
    assert (found[20, 30] == 255).all()
    assert np.array_equal(found[:, :20], pixels[:, :20])


def test_16_bit_levels_keep_their_order(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(levels).save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name)[..., 0].ravel(), np.arange(256))


@pytest.mark.parametrize(
    ("mode", "name", "tolerance"),
    [
        ("CMYK", "a.jpg", 12),
        ("CMYK", "a.tif", 0),
        ("L", "a.png", 0),
        ("1", "a.png", 0),
        ("LA", "a.png", 0),
        ("P", "a.gif", 0),
        ("YCbCr", "a.jpg", 12),
        ("RGB", "a.webp", 20),
        ("RGB", "a.bmp", 0),
    ],
)
def test_every_mode_gives_rgb(tmp_path: Path, pixels: np.ndarray, mode: str, name: str, tolerance: int) -> None:
    image = Image.fromarray(pixels)
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    image.save(tmp_path / name, quality=95)
    found = read_image(tmp_path / name)
    assert found.shape == (24, 40, 3)
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - np.asarray(image.convert("RGB")).astype(int))
    assert np.quantile(difference, 0.9) <= tolerance  # lossy files differ most where colours meet


def test_the_first_frame_of_an_animation(tmp_path: Path, pixels: np.ndarray) -> None:
    first, second = Image.fromarray(pixels).quantize(8), Image.fromarray(255 - pixels).quantize(8)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert np.array_equal(read_image(tmp_path / "a.gif"), pixels)


def bad_files(folder: Path, pixels: np.ndarray) -> dict[str, Path]:
    Image.fromarray(np.repeat(pixels, 20, 0)).save(folder / "whole.jpg")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(folder / "whole.png")
    Image.fromarray(np.ones((8, 8), np.float32)).save(folder / "float.tif")
    for suffix in ("jpg", "png"):
        data = (folder / f"whole.{suffix}").read_bytes()
        (folder / f"truncated.{suffix}").write_bytes(data[: len(data) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is not an image")
    (folder / "folder.jpg").mkdir()
    png_with_header(folder / "huge.png", 20_000, 20_000)
    png_with_header(folder / "large.png", 11_000, 11_000)
    png_with_header(folder / "hollow.png", 100, 100)
    return {path.name: path for path in folder.iterdir()} | {"gone": folder / "gone.jpg"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated.jpg", "truncated"),
        ("truncated.png", "truncated"),
        ("hollow.png", "truncated"),
        ("empty.jpg", "0 bytes"),
        ("text.jpg", "not an image"),
        ("float.tif", "floating-point"),
        ("huge.png", "120 million pixels"),
        ("large.png", "120 million pixels"),
        ("gone", "No such file"),
        ("folder.jpg", "directory"),
    ],
)
def test_a_bad_file_gets_one_sentence_and_a_remedy(tmp_path: Path, pixels: np.ndarray, name: str, reason: str) -> None:
    path = bad_files(tmp_path, pixels)[name]
    with pytest.raises(BadImage, match=reason) as caught:
        read_image(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_damaged_bytes_never_raise_anything_else(tmp_path: Path, pixels: np.ndarray) -> None:
    random = np.random.default_rng(0)
    for suffix in ("png", "jpg", "gif", "tif", "webp", "bmp"):
        Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
        whole = np.frombuffer((tmp_path / f"a.{suffix}").read_bytes(), np.uint8)
        n_bad = 0
        for _ in range(60):
            damaged = whole.copy()
            damaged[random.integers(0, len(whole), 4)] = random.integers(0, 256, 4)
            (tmp_path / f"b.{suffix}").write_bytes(damaged.tobytes())
            try:
                assert read_image(tmp_path / f"b.{suffix}").ndim == 3
            except BadImage:
                n_bad += 1
        assert n_bad > 0, f"no damage to {suffix} was noticed: the test shows nothing"


def test_bytes_survive_the_way_through_floats() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(to_bytes(to_float(levels)), levels)
    assert np.array_equal(to_float(levels).numpy(), np.moveaxis(levels, -1, -3).astype(np.float32) / np.float32(255))
    assert to_bytes(torch.tensor([[[-0.5, 1.5]]])).ravel().tolist() == [0, 255]


def test_an_image_set_hashes_content_and_shape(pixels: np.ndarray) -> None:
    images = ImageSet(pixels[None])
    assert images.content_hash() == ImageSet(pixels[None].copy()).content_hash()
    assert images.content_hash() != ImageSet(pixels.swapaxes(0, 1)[None]).content_hash()
    assert images[0].shape == (3, 24, 40)
    assert images[[0, 0]].shape == (2, 3, 24, 40)
    with pytest.raises(TypeError, match="uint8"):
        ImageSet(pixels[None].astype(np.float32))


def test_making_smaller_does_not_alias() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = shrink(stripes, 60)
    assert small.shape == (60, 60, 3)
    assert np.abs(small[8:-8, 8:-8].astype(int) - 128).max() <= 3
    assert (resize(to_float(stripes)[None], 60)[0, :, 8:-8, 8:-8] - 0.5).abs().max() < 0.02


def test_sizes_after_resizing(pixels: np.ndarray) -> None:
    assert shrink(pixels, 40) is pixels
    assert shrink(pixels, 20).shape == (12, 20, 3)
    assert shrink(np.zeros((1, 4000, 3), np.uint8), 100).shape == (1, 100, 3)
    images = to_float(pixels)[None]
    assert resize(images, (24, 40)) is images
    larger = resize(images, (48, 80))
    assert larger.shape == (1, 3, 48, 80)
    assert larger.min() >= 0
    assert larger.max() <= 1
