"""The only place that knows files, 8-bit pixels and resize filters.

In memory an image is float32 RGB `(N, 3, H, W)` in [0, 1]. An `ImageSet` stands for many, and gives them out in that
form.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from fsbench.errors import BadImage, DataError
from fsbench.files import Listing, Unopened, gather, printable, read, walk
from fsbench.guard import one_thread
from fsbench.hashes import HASH
from fsbench.store import release
from fsbench.stored import StoredArrays

MAX_PIXELS = 120_000_000
"""A larger image is refused unread: it is an accident or a decompression bomb, and would fill the memory."""

NO_IMAGE = "no image, by its name"
"""Why `list_images` does not use a file."""

_HEIF = (".heic", ".heif", ".hif")
_RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
_NEED_MORE = {"JPEG XL": ((".jxl",), (b"\xff\x0a", b"\0\0\0\x0cJXL ")), "SVG": ((".svg",), (b"<svg",))}
"""Pictures that are told apart but not read here: their suffixes, and how their content begins."""

_NO_PICTURES = frozenset(("EPS", "MPEG", "WMF"))
"""What Pillow opens by running another program, or does not open at all, besides its mere stubs."""

_LFS = b"version https://git-lfs.github.com/spec/"
_DAMAGED = "remove the file, or copy it again"

PORTION = 64
"""Images that are read into memory at a time."""

T = TypeVar("T")
Index = int | slice | Sequence[int] | np.ndarray


def to_float(pixels: np.ndarray, device: torch.device | str | None = None) -> Tensor:
    """(..., H, W, C) uint8 -> (..., C, H, W) float32 in [0, 1], on the CPU or on `device`, where it is converted."""
    levels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, -3))).to(device)
    return levels.float() / torch.tensor(255.0, device=device)  # by a number, CUDA multiplies: another last bit


def to_bytes(images: Tensor) -> np.ndarray:
    """(..., C, H, W) float in [0, 1] -> (..., H, W, C) uint8, rounded to nearest; values outside are clipped."""
    return np.moveaxis((images.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy(), -3, -1)


def to_levels(images: Tensor) -> Tensor:
    """(..., C, H, W) float in [0, 1] -> the same, rounded to the 8-bit levels that a file or a cache would hold."""
    return to_float(to_bytes(images), images.device)


@functools.cache
def formats() -> Mapping[str, tuple[str, ...]]:
    """Return the formats that Pillow reads here, each with its suffixes in lower case.

    HEIC is among them where pillow-heif is installed (the extra `heic`).
    """
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    Image.init()
    stubs = {
        name
        for name, (opener, _) in Image.OPEN.items()
        if isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)
    }
    readable = {*Image.OPEN, "MPO"} - stubs - _NO_PICTURES  # MPO is JPEG with more pictures behind the first
    suffixes = sorted((name, suffix) for suffix, name in Image.registered_extensions().items())
    return {name: tuple(suffix for of, suffix in suffixes if of == name) for name in sorted(readable)}


@functools.cache
def suffixes() -> frozenset[str]:
    """Return the lower-case suffixes of files that are taken for images, also those that are not read here.

    Of the latter `read_image` says what they need; a file that is no image by its name is not even tried.
    """
    elsewhere = (*_HEIF, *_RAW, *(suffix for names, _ in _NEED_MORE.values() for suffix in names))
    return frozenset((*elsewhere, *(suffix for names in formats().values() for suffix in names)))


def decoders() -> str:
    """Return the libraries that decide what a file's pixels are, with their versions, for the keys of caches."""
    return ", ".join(release("pillow", *(["pillow-heif"] if "HEIF" in formats() else [])))


def list_images(root: Path, hint: str = "name a folder of images") -> Listing:
    """`fsbench.files.walk`, where files that are no images by their names are not used; raises what it raises."""
    found = walk(root, suffixes(), hint)
    images = tuple(file for file in found.files if file.path.suffix.lower() in suffixes())
    names = {file.name for file in images}
    others = gather(root.name, [(NO_IMAGE, file.name) for file in found.files if file.name not in names])
    return replace(found, files=images, unused=(*found.unused, *others))


def read_image(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, upright, the first frame where there are several.

    Transparent parts become white, 16-bit levels are divided by 257, CMYK is converted without a colour profile.
    Raises BadImage, with the reason, for whatever is no image of at most MAX_PIXELS: missing, no regular file, empty,
    truncated, of a format that is not installed. The size is read from the header, before anything is decoded.
    """
    shown = printable(str(path))
    try:
        content = read(path)
    except OSError as error:
        why = str(error) if isinstance(error, Unopened) else f"cannot be read: {error.strerror or error}"
        raise BadImage(shown, why, "remove it, or make it a file that can be read") from error
    except ValueError as error:  # NUL in a name
        raise BadImage(shown, f"cannot be read: {error}", "correct the name") from error
    if not content:
        raise BadImage(shown, "is empty (0 bytes)", _DAMAGED)
    if path.suffix.lower() in _RAW:  # many are TIFF files of a thumbnail, at first sight
        raise BadImage(shown, "is a camera's raw file, which is not read here", "convert it to PNG")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")  # why Pillow knows no decoder is a warning of its
        try:
            with Image.open(io.BytesIO(content), formats=_tried()) as image:
                _check_size(image)
                return np.array(_to_rgb(_upright(image)))
        except (Image.DecompressionBombError, _TooLarge) as error:
            raise BadImage(
                shown, f"has more than {MAX_PIXELS // 10**6} million pixels", "shrink it, or cut the part with the face"
            ) from error
        except UnidentifiedImageError as error:
            raise BadImage(shown, *_unknown(path, content, [str(one.message) for one in told])) from error
        except MemoryError as error:
            raise BadImage(shown, "needs more memory than there is", "shrink it") from error
        except Exception as error:  # decoders raise anything for bytes that are not what they say
            raise BadImage(shown, f"cannot be read: {_said(error)}", _DAMAGED) from error


def _tried() -> list[str]:
    """The formats in Pillow's order: those that cannot be told by their first bytes come late."""
    readable = formats()  # before ID is read: until this loads Pillow's decoders, there are none
    return [name for name in Image.ID if name in readable]


class _TooLarge(Exception):
    pass


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _TooLarge


def _upright(image: Image.Image) -> Image.Image:
    """Turn it as its EXIF data asks; what cannot be understood there is no reason to lose the picture."""
    image.load()
    _check_size(image)  # some headers are wrong, and the decoder knows better
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - as above
        return image


def _unknown(path: Path, content: bytes, told: Sequence[str]) -> tuple[str, str]:
    """Say why no decoder takes a file, and what to do."""
    suffix = path.suffix.lower()
    if content.startswith(_LFS):
        return "is a pointer of Git LFS, not the image", "fetch the images with git lfs pull"
    if content[4:8] == b"ftyp" and content[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        if "HEIF" not in formats():
            return "is HEIC, for which pillow-heif is not installed", "install fsbench[heic], or convert it to PNG"
        return "cannot be read: damaged, or HEIC of an unknown kind", _DAMAGED
    for kind, (names, starts) in _NEED_MORE.items():
        if suffix in names or (starts and content.lstrip().startswith(starts)):
            return f"is {kind}, which is not read here", "convert it to PNG"
    if lacking := [text for text in told if "not installed" in text or "not available" in text]:
        return f"cannot be read: {_shortened(lacking[-1])}", "install Pillow with it, or convert it to PNG"
    return "is not an image that can be read", "use PNG, JPEG, WebP, TIFF or BMP"


def _said(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return _shortened(reason)


def _shortened(text: str) -> str:
    """On one line and without the counts that would make one reason look like many."""
    return printable(re.sub(r" \(\d+ bytes not processed\)", "", " ".join(text.split())))[:160]


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit levels, or the same in 32 bits
        levels = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def in_threads(work: Callable[..., T], *items: Iterable[Any]) -> list[T]:
    """Return what `work` gives for each item, on as many cores as torch uses; worth it for decoders and encoders."""
    with ThreadPoolExecutor(torch.get_num_threads()) as threads, one_thread():  # each of them with one of torch's
        return list(threads.map(work, *items))


def shrink(pixels: np.ndarray, longest: int) -> np.ndarray:
    """(H, W, 3) uint8 -> the same picture, antialiased, with neither side above `longest` pixels."""
    height, width = pixels.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, reducing_gap=3))


def resize(images: Tensor, size: int | tuple[int, int], *, antialias: bool = True) -> Tensor:
    """(N, C, H, W) in [0, 1] -> (N, C, *size), bicubic, clipped; unchanged where the size is right already."""
    goal = (size, size) if isinstance(size, int) else size
    if images.shape[-2:] == goal:
        return images
    return F.interpolate(images, goal, mode="bicubic", align_corners=False, antialias=antialias).clamp(0, 1)


@dataclass(eq=False, slots=True)
class _Block:
    """Images that lie in one place, and the hashes of those that were hashed before."""

    shape: tuple[int, ...]  # (N, H, W, C)
    read: Callable[[np.ndarray], np.ndarray]  # rows (K,) of int64 -> (K, H, W, C) uint8

    _hashes: np.ndarray | None = None  # (N, 32) uint8
    _hashed: np.ndarray | None = None  # (N,) bool

    def hashes(self, rows: np.ndarray) -> np.ndarray:
        """SHA-256 of shape and pixels of each image, (K,) rows -> (K, 32) uint8."""
        if self._hashes is None or self._hashed is None:
            self._hashes, self._hashed = np.empty((self.shape[0], HASH), np.uint8), np.zeros(self.shape[0], bool)
        new = np.unique(rows[~self._hashed[rows]])
        for part in _portions(new):
            for row, pixels in zip(part, self.read(part), strict=True):
                digest = hashlib.sha256(repr(pixels.shape).encode())
                digest.update(np.ascontiguousarray(pixels).data)
                self._hashes[row] = np.frombuffer(digest.digest(), np.uint8)
            self._hashed[part] = True
        hashes: np.ndarray = self._hashes[rows]
        return hashes


class ImageSet:
    """Many images of one size, read where they are asked for; indexing gives float32 `(C, H, W)` or `(N, C, H, W)`.

    They lie in memory, in the store or in files, or are made when they are read. `select` and `join` name images of the
    same places and copy no pixels; an image is hashed once, whatever sets it is in. What is given out are copies.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        """Take (N, H, W, C) uint8, which must not change any more."""
        if pixels.dtype != np.uint8 or pixels.ndim != 4:
            raise TypeError(f"expected (N, H, W, C) uint8, not {pixels.dtype} {pixels.shape}")
        self._put([_Block(pixels.shape, pixels.__getitem__)], np.arange(len(pixels)))

    @classmethod
    def of(cls, images: Tensor) -> ImageSet:
        """Take (N, C, H, W) float in [0, 1]."""
        return cls(to_bytes(images))

    @classmethod
    def made(cls, shape: tuple[int, int, int, int], read: Callable[[np.ndarray], np.ndarray]) -> ImageSet:
        """Take a function that makes images whenever they are read: rows (K,) of N -> (K, H, W, C) uint8."""
        return cls.__new__(cls)._put([_Block(shape, read)], np.arange(shape[0]))

    @classmethod
    def stored(cls, entries: Sequence[StoredArrays], name: str) -> ImageSet:
        """Take an array (N, H, W, C) uint8 of each of some entries of the store, in their order."""
        blocks = [_Block(entry.shape(name), functools.partial(entry.rows, name)) for entry in entries]
        return cls.__new__(cls)._put(blocks, np.arange(sum(block.shape[0] for block in blocks)))

    @classmethod
    def of_files(cls, paths: Sequence[Path]) -> ImageSet:
        """Take image files of one size, which `read_image` decodes whenever they are read, on several cores.

        Raises BadImage for a file that is no image, now or later; DataError for one of another size than the first.
        """
        height, width, channels = read_image(paths[0]).shape

        def decode(row: int) -> np.ndarray:
            pixels = read_image(paths[row])
            if pixels.shape != (height, width, channels):
                sizes = [
                    f"{name} has {w} x {h} pixels"
                    for name, (h, w) in ((paths[row], pixels.shape[:2]), (paths[0], (height, width)))
                ]
                raise DataError(f"images of several sizes: {' and '.join(sizes)}", "give all of them one size")
            return pixels

        return cls.made((len(paths), height, width, channels), lambda rows: np.stack(in_threads(decode, rows)))

    @classmethod
    def join(cls, parts: Sequence[ImageSet]) -> ImageSet:
        """Put sets of one size together, in their order; raises DataError for several sizes."""
        blocks = list({id(block): block for part in parts for block in part._blocks}.values())
        whole = cls.__new__(cls)._put(blocks, np.empty(0, np.int64))
        start, rows = {id(block): at for block, at in zip(blocks, whole._starts, strict=True)}, []
        for part in parts:
            moved = np.array([start[id(block)] for block in part._blocks]) - part._starts
            rows.append(part._rows + moved[np.searchsorted(part._starts, part._rows, side="right") - 1])
        return whole._put(blocks, np.concatenate(rows))

    def _put(self, blocks: Sequence[_Block], rows: np.ndarray) -> ImageSet:
        """Let it hold these rows of some blocks that are thought of as put together."""
        sizes = {block.shape[1:] for block in blocks}
        if len(sizes) != 1:
            shown = " and ".join(sorted(" x ".join(map(str, size)) for size in sizes)) or "none"
            raise DataError(f"images of one set have one size, not {shown}", "make them all of one size")
        self._blocks, self._rows = blocks, rows
        self._starts = np.cumsum([0, *(block.shape[0] for block in blocks[:-1])])
        return self

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, H, W and C."""
        height, width, channels = self._blocks[0].shape[1:]
        return len(self), height, width, channels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Index) -> Tensor:
        return to_float(self.levels(index))

    def on(self, device: torch.device | str, index: Index = slice(None)) -> Tensor:
        """What indexing gives, on a device: levels travel there as bytes."""
        return to_float(self.levels(index), device)

    def levels(self, index: Index = slice(None)) -> np.ndarray:
        """Return 8-bit levels, (H, W, C) or (N, H, W, C) uint8, as a copy."""
        rows = self._rows[index]
        pixels = np.empty((rows.size, *self.shape[1:]), np.uint8)
        for block, inside, here in self._by_block(rows.ravel()):
            pixels[here] = block.read(inside)
        return pixels.reshape(*rows.shape, *self.shape[1:])

    def portions(self) -> Iterator[np.ndarray]:
        """Give the levels of all images, PORTION images at a time."""
        return map(self.levels, _portions(np.arange(len(self))))

    def select(self, index: np.ndarray | Sequence[int] | slice) -> ImageSet:
        """Return the images that a mask, a list of indices or a slice names."""
        chosen = copy.copy(self)
        chosen._rows = self._rows[index]
        return chosen

    def hashes(self) -> np.ndarray:
        """SHA-256 of shape and pixels of each image, (N, 32) uint8."""
        digests = np.empty((len(self), HASH), np.uint8)
        for block, inside, here in self._by_block(self._rows):
            digests[here] = block.hashes(inside)
        return digests

    def content_hash(self) -> str:
        """SHA-256 over shape and hashes of the images, 64 hex digits."""
        return hashlib.sha256(repr(self.shape).encode() + self.hashes().tobytes()).hexdigest()

    def _by_block(self, rows: np.ndarray) -> Iterator[tuple[_Block, np.ndarray, np.ndarray]]:
        """Blocks in which rows lie, rows of the block, and their places among `rows`."""
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(owner, kind="stable")
        for here in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1) if len(rows) else ():
            block = owner[here[0]]
            yield self._blocks[block], rows[here] - self._starts[block], here


def _portions(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + PORTION] for start in range(0, len(rows), PORTION)]
