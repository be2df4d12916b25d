"""Images that say that they are synthetic: in their metadata, and where asked in their pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from fsbench.atomic import atomic_path
from fsbench.errors import OutputError, UsageError
from fsbench.images import suffixes

_XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic\
</Iptc4xmpExt:DigitalSourceType></rdf:Description></rdf:RDF></x:xmpmeta>"""
"""IPTC's digital source type of a composite with synthetic parts, as XMP."""

_LABEL = "SYNTHETIC: FACE SWAPPED"
_WRITTEN = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name; a GIF is a video."""
    return path.suffix.lower() in suffixes() - {".gif"}


def save_image(image: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) uint8 as PNG, JPEG or WebP, with XMP that says that it is synthetic.

    Raises UsageError for another suffix, OutputError where the file cannot be written.
    """
    form = _WRITTEN.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"{path.name} is no name of an image that can be written", f"use {', '.join(_WRITTEN)}")
    extra: dict[str, Any] = {"xmp": _XMP.encode()}
    if form == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", _XMP)
        extra = {"pnginfo": text}
    elif form == "JPEG":
        extra |= {"quality": 95, "subsampling": 0}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial:
            Image.fromarray(image).save(partial, form, **extra)
    except OSError as error:
        why = error.strerror or error
        raise OutputError(f"{path} cannot be written: {why}", "name a file that you may write") from error


def burn_in(image: np.ndarray) -> np.ndarray:
    """Return a copy with a visible label in the lower left corner, a fiftieth of the image's height."""
    picture = Image.fromarray(image)
    draw, size = ImageDraw.Draw(picture), max(10, image.shape[0] // 40)
    font = ImageFont.load_default(size)
    left, top, right, bottom = draw.textbbox((0, 0), _LABEL, font)
    height = bottom - top + size
    draw.rectangle((0, image.shape[0] - height, right - left + size, image.shape[0]), fill=(0, 0, 0))
    draw.text((size // 2, image.shape[0] - height + size // 2 - top), _LABEL, (255, 255, 255), font)
    return np.asarray(picture)
