"""The only place that knows files, 8-bit pixels and resize filters.

In memory an image is float32 RGB `(N, 3, H, W)` in [0, 1]. An `ImageSet` holds many as 8-bit pixels and gives them out
in that form.
"""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fsbench.errors import BadImage
from fsbench.store import atomic_path

MAX_PIXELS = 120_000_000
"""A larger image is refused unread: it is an accident or a decompression bomb, and would fill the memory."""

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tif", ".tiff", ".webp"))
"""Lower-case suffixes of the files that are taken for images."""

# What Pillow's decoders were seen to raise for files that are not what they say.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
               struct.error, zlib.error)

Index = int | slice | Sequence[int] | np.ndarray


def to_float(pixels: np.ndarray) -> Tensor:
    """(..., H, W, C) uint8 -> (..., C, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, -3))).float() / 255


def to_bytes(images: Tensor) -> np.ndarray:
    """(..., C, H, W) float in [0, 1] -> (..., H, W, C) uint8, rounded to nearest; values outside are clipped."""
    return np.moveaxis((images.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy(), -3, -1)


def read_image(path: Path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 RGB, upright, the first frame where there are several.

    Transparent parts become white, 16-bit levels are divided by 257, CMYK is converted without a colour profile.
    Raises BadImage for a file that is missing, empty, truncated, not an image or larger than MAX_PIXELS; the size is
    read from the header, before anything is decoded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                  # of odd metadata, and of sizes that are checked here
        try:
            if path.stat().st_size == 0:
                raise BadImage(f"{path} is empty (0 bytes)", "remove the file, or copy it again")
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _too_large(path)
                return np.array(_to_rgb(ImageOps.exif_transpose(image)))
        except Image.DecompressionBombError as error:
            raise _too_large(path) from error
        except UnidentifiedImageError as error:
            raise BadImage(f"{path} is not an image that can be read", "use PNG, JPEG, WebP, TIFF or BMP") from error
        except _UNREADABLE as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise BadImage(f"{path} cannot be read: {reason}", "remove the file, or copy it again") from error


def _too_large(path: Path) -> BadImage:
    return BadImage(f"{path} has more than {MAX_PIXELS // 10**6} million pixels",
                    "shrink it, or cut the part with the face")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):                       # 16-bit levels, or the same in 32 bits
        levels = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W, 3) or (H, W, 1) uint8 without loss, atomically."""
    with atomic_path(path) as partial:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(partial, format="PNG")


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


@dataclass(eq=False)
class ImageSet:
    """Many images of one size, kept as 8-bit pixels; indexing gives float32 `(C, H, W)` or `(N, C, H, W)`."""

    pixels: np.ndarray  # (N, H, W, C) uint8

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4:
            raise TypeError(f"expected (N, H, W, C) uint8, not {self.pixels.dtype} {self.pixels.shape}")

    @classmethod
    def of(cls, images: Tensor) -> ImageSet:
        """Take (N, C, H, W) float in [0, 1]."""
        return cls(to_bytes(images))

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Index) -> Tensor:
        return to_float(self.pixels[index])

    def select(self, index: np.ndarray) -> ImageSet:
        """Return the images that a boolean mask or a list of indices names."""
        return ImageSet(self.pixels[index])

    def hashes(self) -> list[bytes]:
        """SHA-256 of the pixels of each image."""
        return [hashlib.sha256(np.ascontiguousarray(pixels).data).digest() for pixels in self.pixels]

    def content_hash(self) -> str:
        """SHA-256 over shape and pixels, 64 hex digits."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return digest.hexdigest()
