"""Files that are not what they say: `read_image` gives an array or BadImage, and takes bounded memory and time."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fsbench import files, images
from fsbench.errors import BadImage
from fsbench.images import MAX_PIXELS, formats, list_images, read_image, suffixes

FUZZ = settings(max_examples=400)
WRITTEN = (
    "PNG",
    "JPEG",
    "GIF",
    "TIFF",
    "WEBP",
    "BMP",
    "JPEG2000",
    "AVIF",
    "ICO",
    "TGA",
    "PPM",
    "PCX",
    "SGI",
    "MPO",
    "ICNS",
    "DDS",
    "QOI",
)


def pattern(side: int = 24) -> np.ndarray:
    """(S, S, 3) uint8 noise over a slope."""
    noise = np.random.default_rng(0).integers(0, 60, (side, side, 3))
    return (noise + np.linspace(0, 190, side)[:, None, None]).astype(np.uint8)


def written(form: str) -> bytes:
    """A small picture as a file of one format."""
    file = io.BytesIO()
    Image.fromarray(pattern(32)).save(file, form)
    return file.getvalue()


def reason(path: Path, content: bytes) -> str:
    """Why a file is refused, "" where it is read."""
    path.write_bytes(content)
    try:
        image = read_image(path)
    except BadImage as caught:
        error = caught
    else:
        error = None
    if error is not None:
        assert error.hint
        assert error.message == f"{path} {error.reason}"
        assert "\n" not in error.message
        return error.reason
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.shape[0] * image.shape[1] <= MAX_PIXELS
    return ""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress(b"\0" * (1 + 3 * width) * height) if width * height < 10**6 else zlib.compress(b"\0")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def tiff(width: int, height: int) -> bytes:
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, 100),
    ]
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + b"\0" * 99


def gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + b"\0" * 6
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x02\x4c\x01\x00;"
    )


def webp(width: int, height: int) -> bytes:
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    vp8x = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides
    anim = b"ANIM" + struct.pack("<I", 6) + b"\0" * 6
    return b"RIFF" + struct.pack("<I", 4 + len(vp8x) + len(anim)) + b"WEBP" + vp8x + anim


def jp2(width: int, height: int) -> bytes:
    siz = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, width, height, 0, 0, 3) + b"\x07\x01\x01" * 3
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(siz) + 2) + siz + b"\xff\xd9"


def ppm(width: int, height: int) -> bytes:
    return f"P6 {width} {height} 255\n".encode()


def tga(width: int, height: int) -> bytes:
    return struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, width, height, 24, 0)


@pytest.mark.parametrize("make", [png, bmp, tiff, gif, webp, jp2, ppm, tga])
@pytest.mark.parametrize("side", [11_000, 16_000, 65_000])
def test_huge_declared_sizes_are_refused(tmp_path: Path, make: Callable[[int, int], bytes], side: int) -> None:
    if make is webp and side > 16_383:
        side = 16_383  # the format's own limit
    assert reason(tmp_path / "a.png", make(side, side))


def test_declared_sizes_take_no_memory(tmp_path: Path) -> None:
    for make in (png, bmp, tiff, gif, webp, jp2, ppm, tga):
        for side in (10_000, 16_000, 65_000):  # the first is allowed: 100 million pixels that are not there
            if make is not webp or side <= 16_000:
                (tmp_path / f"{make.__name__}{side}.png").write_bytes(make(side, side))
    code = """
import resource, sys
from pathlib import Path
from fsbench.errors import BadImage
from fsbench.images import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_image(path)
    except BadImage:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    assert float(said.stdout) < 1600, f"{said.stdout} MiB"  # 100 million pixels in RGB, twice or thrice, and no more


def test_the_first_image_of_a_process(tmp_path: Path) -> None:
    """Whoever reads it: nothing else has loaded Pillow's decoders yet."""
    code = (
        "import sys; from pathlib import Path; from fsbench.images import read_image\n"
        "print(read_image(Path(sys.argv[1])).shape)"
    )
    for form in ("PNG", "WEBP", "AVIF"):
        (tmp_path / f"{form}.png").write_bytes(written(form))
        said = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{form}.png")], capture_output=True, text=True, timeout=60
        )
        assert said.stdout.strip() == "(32, 32, 3)", said.stderr


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_bombs_in_the_metadata_of_png(tmp_path: Path, kind: bytes) -> None:
    bomb = zlib.compress(b"\0" * 300_000_000, 9)
    data = {b"iCCP": b"p\0\0" + bomb, b"zTXt": b"k\0\0" + bomb, b"iTXt": b"k\0\1\0\0\0" + bomb}[kind]
    code = (
        "import resource, sys; from pathlib import Path; from fsbench.errors import BadImage; "
        "from fsbench.images import read_image\n"
        "read_image(Path(sys.argv[1])); a = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_image(Path(sys.argv[2]))\nexcept BadImage: pass\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - a) / 1024)"
    )
    (tmp_path / "plain.png").write_bytes(png(8, 8))
    (tmp_path / "bomb.png").write_bytes(png(8, 8, chunk(kind, data)))
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "plain.png"), str(tmp_path / "bomb.png")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert float(said.stdout) < 150, f"{said.stdout} MiB"


@FUZZ
@given(
    form=st.sampled_from(WRITTEN),
    place=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    near=st.booleans(),
)
def test_truncated_and_changed_files(
    tmp_path: Path, form: str, place: float, flips: list[tuple[float, int]], near: bool
) -> None:
    content = bytearray(written(form))
    reach = min(len(content), 80) if near else len(content)  # headers are short, and matter most
    for where, value in flips:
        content[int(where * reach)] = value
    reason(tmp_path / "a.png", bytes(content[: round(len(content) * place)] if len(flips) % 2 else content))


@FUZZ
@given(
    start=st.sampled_from([written(form)[:n] for form in WRITTEN for n in (4, 12, 40)] + [b""]),
    rest=st.binary(max_size=200),
)
def test_beginnings_of_images_and_noise(tmp_path: Path, start: bytes, rest: bytes) -> None:
    reason(tmp_path / "a.png", start + rest)


def test_the_fuzzers_meet_both_ends(tmp_path: Path) -> None:
    for form in WRITTEN:
        whole = written(form)
        assert reason(tmp_path / "a", whole) == ""
        assert reason(tmp_path / "a", whole[:40])


@pytest.mark.parametrize("orientation", [0, 9, 65535, -1, "left", b"\xff", (1, 2), 3.7])
def test_an_orientation_that_means_nothing(tmp_path: Path, orientation: object) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x"
    raw = exif.tobytes()
    if isinstance(orientation, int) and orientation >= 0:
        exif[0x0112] = orientation
        raw = exif.tobytes()
    else:
        raw = raw[:20] + repr(orientation).encode() + raw[20:]
    file = io.BytesIO()
    Image.fromarray(pattern()).save(file, "PNG", exif=raw)
    assert reason(tmp_path / "a.png", file.getvalue()) == ""
    assert np.array_equal(read_image(tmp_path / "a.png"), pattern())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F", "LAB"])
def test_every_mode_is_read_or_refused_with_a_reason(tmp_path: Path, mode: str) -> None:
    if mode.startswith("I"):
        image = Image.fromarray(pattern()[..., 0].astype(np.uint16 if ";" in mode else np.int32) * 200)
    elif mode == "PA":
        image = Image.fromarray(pattern()).convert("P").convert("PA")
    elif mode == "LAB":
        image = Image.frombytes("LAB", (24, 24), pattern().tobytes())
    else:
        image = Image.fromarray(pattern()).convert(mode)
    for form in ("TIFF", "PNG"):
        file = io.BytesIO()
        try:
            image.save(file, form)
        except (OSError, KeyError):
            continue  # the format does not have the mode
        said = reason(tmp_path / "a", file.getvalue())
        assert ("floating-point" in said) if mode == "F" else not said


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_thousands_of_frames_cost_one(tmp_path: Path, form: str) -> None:
    first = Image.fromarray(pattern(8))
    file = io.BytesIO()
    first.save(file, form, save_all=True, append_images=[first.rotate(k % 90) for k in range(3000)], lossless=True)
    assert reason(tmp_path / "a", file.getvalue()) == ""
    assert read_image(tmp_path / "a").shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.mpo", "MPO"),
        ("a.apng", "PNG"),
        ("a.avif", "AVIF"),
        ("a.j2k", "JPEG2000"),
        ("a.tga", "TGA"),
        ("A.JFIF", "JPEG"),
        ("a.dib", "DIB"),
        ("a.qoi", "QOI"),
        ("a.ico", "ICO"),
        ("a.png", "WEBP"),
    ],
)
def test_all_that_pillow_reads_is_found_and_read(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).write_bytes(written(form))
    (found,) = list_images(tmp_path).files
    assert read_image(found.path).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("name", "content", "said", "remedy"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic" + b"\0" * 40, "HEIC, for which pillow-heif is not installed", "fsbench[heic]"),
        ("a.jpg", b"\0\0\0\x18ftypmif1" + b"\0" * 40, "HEIC, for which pillow-heif is not installed", "fsbench[heic]"),
        ("a.jxl", b"\xff\x0a" + b"\0" * 40, "is JPEG XL", "convert"),
        ("a.nef", written("TIFF"), "raw file", "convert"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\noid", "pointer of Git LFS", "git lfs pull"),
        ("a.svg", b"<svg/>", "is SVG", "convert"),
        ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image", "PNG"),
        ("a.jpg", b"", "is empty", "copy"),
        ("a.jpg", b"<html>", "not an image", "PNG"),
    ],
)
def test_a_known_reason_is_told(
    tmp_path: Path, name: str, content: bytes, said: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "formats", lambda: {k: v for k, v in formats().items() if k != "HEIF"})
    assert Path(name).suffix in suffixes()
    assert said in reason(tmp_path / name, content)
    with pytest.raises(BadImage) as caught:
        read_image(tmp_path / name)
    assert remedy in caught.value.hint


def test_a_decoder_that_pillow_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import AvifImagePlugin

    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    assert "AVIF support not installed" in reason(tmp_path / "a.avif", written_avif := written("AVIF"))
    assert written_avif


def test_what_is_no_regular_file_is_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.png"))
        (tmp_path / "zero.png").symlink_to("/dev/zero")
        (tmp_path / "loop.png").symlink_to("loop.png")
        (tmp_path / "dead.png").symlink_to("nowhere")
        for name, said in (
            ("pipe", "no regular file"),
            ("zero", "no regular file"),
            ("s", "cannot be read"),
            ("loop", "cannot be read"),
            ("dead", "No such file"),
        ):
            with pytest.raises(BadImage, match=said):
                read_image(tmp_path / f"{name}.png")
    for path, said in (
        (Path("/proc/self/maps"), "empty"),
        (tmp_path, "directory"),
        (Path("a\0b"), "cannot be read"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(BadImage, match=said):
            read_image(path)


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(files.MAX_BYTES + 1)
    with pytest.raises(BadImage, match="more than 1024 MiB"):
        read_image(tmp_path / "sparse.png")
