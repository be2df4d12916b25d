"""Splits of a data set, each read once and only where something needs it."""

from __future__ import annotations

from fsbench.interfaces import Dataset, Faces, Split


class Splits:
    """The splits of one data set; `read` are those that were read or added, for the result."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.read: dict[Split, Faces] = {}

    def __getitem__(self, split: Split) -> Faces:
        if split not in self.read:
            self.read[split] = self.dataset.faces(split)
        return self.read[split]

    def add_gallery(self, strangers: Faces | None) -> Faces | None:
        """Take strangers as the gallery, where there are any."""
        if strangers is not None:
            self.read["gallery"] = strangers
        return strangers
