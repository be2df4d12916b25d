"""Splits of a data set, each read once and only where something needs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from fsbench.errors import DataError
from fsbench.files import some
from fsbench.interfaces import Dataset, Faces, Split, clip_names


def kind_of(split: Split, rows: pd.DataFrame) -> pd.Series[str]:
    """Name the split of each row, and that it is of clips."""
    return pd.Series(split, rows.index).mask(rows["clip"] != "", f"{split} clips")


class Splits:
    """The splits of one data set; `read` are those that were read or added, for the result."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.read: dict[Split, Faces] = {}

    def __getitem__(self, split: Split) -> Faces:
        if split not in self.read:
            faces = self.dataset.faces(split)
            self.read[split] = replace(faces, rows=_shared(faces.rows))
            self._refuse_shared_clips()
        return self.read[split]

    def _refuse_shared_clips(self) -> None:
        """Raise DataError where a clip is trained on and held out: its frames are nearly the same image."""
        train, test = (
            {*clip_names(self.read[split].rows)} - {""} if split in self.read else set() for split in ("train", "test")
        )
        if shared := sorted(train & test):
            raise DataError(
                f"{self.dataset.info.name} has frames of one clip in train and in test: {some(shared)}",
                "a clip belongs to one session, and a session to one split",
            )

    def by_kind(self) -> dict[str, Faces]:
        """What was read, the clips of a split apart from its stills, for the records of a result."""
        kinds: dict[str, Faces] = {}
        for split, faces in self.read.items():
            kind = kind_of(split, faces.rows)
            kinds |= {str(name): faces.select((kind == name).to_numpy()) for name in kind.unique()}
        return kinds

    def add_gallery(self, strangers: Faces | None) -> Faces | None:
        """Take strangers as the gallery, where there are any."""
        if strangers is not None:
            self.read["gallery"] = strangers
        return strangers


def _shared(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, in which a name that many images have is one text: of a million there are few."""
    names = {
        column: pd.factorize(rows[column], use_na_sentinel=False)
        for column in ("identity", "session", "clip")
        if rows[column].dtype == object
    }
    return rows.assign(**{column: np.asarray(texts, object)[codes] for column, (codes, texts) in names.items()})
