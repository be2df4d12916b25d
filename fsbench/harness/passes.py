"""What became of outputs that were fed back, pass by pass: a table and images for the report."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from fsbench.errors import NotScorable
from fsbench.evidence.recursion import PASSES, FedBack
from fsbench.harness.evaluation import Evaluation
from fsbench.harness.run_folder import RunFolder
from fsbench.harness.summarise import batches
from fsbench.images import ImageSet, write_png
from fsbench.metrics._skin import delta_e, grown, skin
from fsbench.pairs import Pairs
from fsbench.results import column, slug

IDENTITY = "id_similarity"


def write(evaluation: Evaluation, folder: RunFolder, fed_back: Mapping[str, FedBack]) -> None:
    """Write the passes of each model, as images and as a table; nothing where nothing was fed back."""
    for label, passes in fed_back.items():
        for n, images in passes.images.items():
            for row, pixels in zip(passes.rows, images.pixels, strict=True):
                write_png(folder.path / "recursion" / slug(label) / str(row) / f"{n}.png", pixels)
    if fed_back:
        tables = [describe(evaluation, label, passes) for label, passes in fed_back.items()]
        folder.write_table("recursion.parquet", pd.concat(tables, ignore_index=True))


def describe(evaluation: Evaluation, label: str, passes: FedBack) -> pd.DataFrame:
    """Rows of recursion.parquet for one model."""
    fed = evaluation.pairs.take(passes.rows)
    pairs = Pairs(fed.groups * len(passes.images), fed.rule)  # once per number of passes
    images = ImageSet.join(list(passes.images.values()))
    first = passes.images[PASSES[0]][:].repeat(len(passes.images), 1, 1, 1)
    target, mask = (torch.cat(parts) for parts in zip(
        *((batch.target, batch.mask) for batch in batches(pairs, images, {})), strict=True))
    table = pd.DataFrame({
        "model": label,
        "row": np.tile(passes.rows, len(passes.images)),
        "n": np.repeat(list(passes.images), len(passes.rows)),
        "colour": delta_e(images[:], first, skin(mask)).numpy(),
        "sharpness": (sharpness(images[:], mask) / sharpness(target, mask)).numpy(),
    })
    identity = evaluation.alone(pairs, IDENTITY)
    for name, judge, rows in identity.measure(identity.extract(f"{label}, fed back", images)):
        table[column(name, judge)] = np.nan if isinstance(rows, NotScorable) else rows[:, 0]
    return table.replace([np.inf, -np.inf], np.nan)


def sharpness(images: Tensor, mask: Tensor) -> Tensor:
    """Variance of the Laplacian of the luminance inside face masks, border left out, (N,) float64; NaN for no pixel.

    (N, 3, S, S) images in [0, 1] and (N, 1, S, S) masks. Pech-Pacheco et al., ICPR 2000; luminance of ITU-R BT.601.
    """
    luminance = (images.double() * images.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    kernel = luminance.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    edges = conv2d(torch.nn.functional.pad(luminance, (1, 1, 1, 1), mode="replicate"), kernel)  # (N, 1, S, S)
    inside = (~grown(mask <= 0.5)).double()
    n = inside.sum((1, 2, 3))
    mean = (edges * inside).sum((1, 2, 3)) / n
    return (edges.square() * inside).sum((1, 2, 3)) / n - mean.square()
