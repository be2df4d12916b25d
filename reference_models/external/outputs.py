"""Outputs of other tools as files: what can be read is an output, of the rest the reason is told and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from fsbench.errors import BadImage
from fsbench.images import read_image, resize, to_float
from fsbench.interfaces import Swapped

_SQUARE = 0.02  # of the ratio of width to height, by rounding to whole pixels


class OutputFiles:
    """Crops of `size` pixels a side that another tool wrote, read one by one, and the reasons for those that are not.

    One of another size is resized, and counted. One that is no square shows no crop: it counts as unreadable.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.states: list[str] = []  # as in Swapped.absent
        self.remarks: Counter[str] = Counter()
        self._crops: list[torch.Tensor] = []

    def read(self, path: Path | None, remark: str = "") -> None:
        """Add the output in a file, None where there is none; `remark` is what else is to be said of it."""
        state, crop = "", torch.zeros(3, self.size, self.size)
        if path is None:
            state, remark = "missing", remark or "there is no file"
        else:
            try:
                image = read_image(path)
            except BadImage as error:
                state, remark = "unreadable", f"the image {error.reason}"
            else:
                height, width = image.shape[:2]
                if abs(width / height - 1) > _SQUARE:
                    state, remark = "unreadable", f"the image has {width} x {height} pixels, and a crop is square"
                else:
                    crop = resize(to_float(image)[None], self.size)[0]
                    if (width, height) != (self.size, self.size):
                        remark = remark or f"resized from {width} x {height} pixels"
        self.states.append(state)
        self.remarks.update([remark] * bool(remark))
        self._crops.append(crop)

    def sentence(self, who: str) -> str:
        """What is to be said of them, "" where all are as they should be."""
        if not self.remarks:
            return ""
        n_absent = sum(map(bool, self.states))
        remarks = "; ".join(f"{n}: {remark}" for remark, n in self.remarks.most_common())
        return f"{who}: {n_absent} of {len(self.states)} outputs are missing or unreadable ({remarks})"

    def swapped(self) -> Swapped:
        """Return them, black where there is none."""
        return Swapped(torch.stack(self._crops), absent=tuple(self.states) if any(self.states) else ())


def by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by name without suffix; of two with one name the last in alphabetical order."""
    return {path.stem: path for path in sorted(paths)}
