"""What each family of one-shot swappers wants and gives: a row of a table, and the files that are known by hash.

The contracts are those by which facefusion 3 (commit 33cc6b40), InsightFace and VisoMaster-Fusion (commit e5897dee) run
the published files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Levels = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and standard deviation of each channel, red first, of pixels in [0, 1]."""

UNIT: Levels = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SIGNED: Levels = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET: Levels = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Identity = Literal["image", "features", "mapped", "converted", "summed"]
"""How a source is shown to a swapper.

- image: one photograph;
- features: those of a recogniser, of length 1;
- mapped: these times a matrix that the swapper's file ends with, of length 1 again;
- converted: by a network that makes a recogniser's features into those that the swapper was trained with;
- summed: of two recognisers, each of length 1, added.
"""


@dataclass(frozen=True)
class Family:
    """How the swappers of one family are run: sizes in pixels, templates by name (`fsbench.faces.templates`)."""

    size: int  # of the target, where the file does not fix it
    template: str
    levels: Levels
    identity: Identity
    signed: bool  # whether outputs are in [-1, 1]
    licence: str
    normalised: bool = True  # whether what identity gives has length 1
    source_template: str = "arcface_112_v2"
    source_size: int = 112
    source_levels: Levels = SIGNED
    own_levels: Levels = SIGNED  # of a recogniser that the family was trained with
    converter: str = ""  # usual name of the network that makes features into the swapper's
    inputs: tuple[tuple[str, str], ...] = (("target", "source"),)  # names of target and source, in any of the exports


_NON_COMMERCIAL = "non-commercial research only"
_SIMSWAP = Family(
    size=256,
    template="arcface_112_v1",
    levels=IMAGENET,
    identity="converted",
    signed=False,
    licence=f"SimSwap's: {_NON_COMMERCIAL}",
    own_levels=IMAGENET,
    converter="crossface_simswap.onnx",
    inputs=(("target", "source"), ("input", "onnx::Gemm_1")),
)

FAMILIES: Mapping[str, tuple[Family, ...]] = {
    "inswapper": (
        Family(128, "arcface_128", UNIT, "mapped", signed=False, licence=f"InsightFace's: {_NON_COMMERCIAL}"),
    ),
    "hyperswap": (Family(256, "arcface_128", SIGNED, "features", signed=True, licence="ResearchRAIL-MS"),),
    "simswap": (_SIMSWAP, replace(_SIMSWAP, size=512, levels=UNIT)),
    "ghost": (
        Family(
            256,
            "arcface_112_v1",
            SIGNED,
            "converted",
            signed=True,
            licence="Apache-2.0",
            normalised=False,
            converter="crossface_ghost.onnx",
        ),
    ),
    "blendswap": (
        Family(
            256, "ffhq_512", UNIT, "image", signed=False, licence=f"BlendFace's: {_NON_COMMERCIAL}", source_levels=UNIT
        ),
    ),
    "uniface": (
        Family(
            256,
            "ffhq_512",
            SIGNED,
            "image",
            signed=True,
            licence="not known",
            source_template="ffhq_512",
            source_size=256,
            source_levels=UNIT,
        ),
    ),
    "hififace": (
        Family(
            256, "mtcnn_512", SIGNED, "converted", signed=True, licence="not known", converter="crossface_hififace.onnx"
        ),
    ),
    "cscs": (
        Family(
            256,
            "ffhq_512",
            SIGNED,
            "summed",
            signed=True,
            licence="not known",
            normalised=False,
            source_template="ffhq_512",
            converter="cscs_id_adapter.onnx",
            inputs=(("input_1", "input_2"), ("target", "source")),
        ),
    ),
}
"""By name; where a family's files differ by their size, a row for each, the usual one first."""

RECOGNISERS = ("arcface_w600k_r50.onnx", "w600k_r50.onnx")
"""Usual names of the recogniser on whose features swappers are conditioned."""

OWN_RECOGNISERS = {
    "simswap": "simswap_arcface_model.onnx",
    "ghost": "ghost_arcface_backbone.onnx",
    "cscs": "cscs_arcface_model.onnx",
}
"""Usual names of recognisers that a family was trained with: their features need no converter."""

W600K = ("arcface_mbf", "arcface_w600k_r50", "w600k_r50")
"""Names under which a judge can be the recogniser that most swappers are conditioned on, or one of its training set."""


@dataclass(frozen=True)
class Known:
    """A file whose hash is known."""

    name: str
    family: str = ""  # of a swapper, or of those that a recogniser is their own; "" for the recogniser of most
    is_swapper: bool = True


KNOWN: Mapping[str, Known] = {
    "e4a3f08c753cb72d04e10aa0f7dbe3deebbf39567d4ead6dce08e98aa49e16af": Known("inswapper_128", "inswapper"),
    "0fa95f167682b4f61edf24f8d66c46b4ab130e8be058f00c8150e6d0170ca72f": Known("inswapper_128", "inswapper"),
    "c4eccca86ad177586c85c28bf1a64a9d9ed237e283a15818d831f7facfd3f420": Known("inswapper_128_fp16", "inswapper"),
    "6d51a9278a1f650cffefc18ba53f38bf2769bf4bbff89267822cf72945f8a38b": Known("inswapper_128_fp16", "inswapper"),
    "c0e98a8a03a238f461ed3d2570e426b49f46745ee400854a60dceeb70c246add": Known("hyperswap_1a_256", "hyperswap"),
    "08c6ca9c0a65eff119bea42686a4574337141de304b9d26e2f9d11e78d9e8e86": Known("simswap_unofficial_512", "simswap"),
    "304a86bccb325e7fcf5ab4f4f84ba5172e319bccc9de15d299bb436746e2e024": Known("ghost_1_256", "ghost"),
    "25b72c107aabe27fc65ac5bf5377e58eda0929872d4dd3de5d5a9edefc49fa9f": Known("ghost_2_256", "ghost"),
    "f471d4f322903da2bca360aa0d7ab9922e3b0001d683f825ca6b15d865382935": Known("ghost_3_256", "ghost"),
    "664f8f7cab655b825fe8cf57ab90bfbcbb0acf75eab8e7771c824f18bdb28b67": Known("cscs_256", "cscs"),
    "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43": Known("w600k_r50", is_swapper=False),
    "f1f79dc3b0b79a69f94799af1fffebff09fbd78fd96a275fd8f0cbbea23270d1": Known("w600k_r50", is_swapper=False),
    "58949c864ab4a89012aaefc117f1ab8548c5f470bbc3889474bca13a412fc843": Known("simswap_arcface", "simswap", False),
    "18bb8057d1cd3ca39411b8a4dde485fa55783e08ceecaf2352f551ca39cd1357": Known("ghost_arcface", "ghost", False),
    "cd81a1745a736402d100d32c362918aee46d9a3f58c9c5ecbf0e415cf2df9dc0": Known("cscs_arcface", "cscs", False),
    "288ee88fa208e64846261f9c16f19362db000074b2f4c9000ea49b2311a6d55b": Known("cscs_id_adapter", "cscs", False),
}
"""By SHA-256; the hashes are those that VisoMaster-Fusion publishes with its links."""
