"""Contracts of data sets."""

from __future__ import annotations

import numpy as np

from fsbench.interfaces import Dataset


def check_dataset(dataset: Dataset) -> None:
    """Facts complete; splits consistent, with unique ids, finite landmarks, and sessions that never cross splits."""
    info = dataset.info
    assert info.description and info.licence and info.revision, "info must have a description, a licence and a revision"
    assert "test" in info.splits, "a data set needs a test split"
    sessions: dict[str, set[tuple[str, str]]] = {}
    for split in info.splits:
        faces = dataset.faces(split)
        rows = faces.rows
        assert len(rows) == len(faces.crops) == len(faces.landmarks), (
            f"{split}: rows, crops and landmarks differ in number"
        )
        assert {"id", "identity", "session", "clip", "frame"} <= set(rows), (
            f"{split}: a required column of rows is missing"
        )
        assert rows["id"].is_unique, f"{split}: ids are not unique"
        assert faces.crops.shape[1:] == (info.size, info.size, 3), f"{split}: crops are not {info.size} pixels"
        assert np.isfinite(faces.landmarks).all(), f"{split}: landmarks are not finite"
        sessions[split] = set(zip(rows["identity"], rows["session"], strict=True))
    assert not sessions.get("train", set()) & sessions["test"], "a session stands in both train and test"
    test = dataset.faces("test")
    source = test.identities[0]
    targets = test.select(np.flatnonzero(test.rows["identity"] != source)[:2])
    truth = dataset.truth(source, targets)
    if truth is not None:
        assert len(truth.exact) == len(truth.mask) == len(targets), (
            "truth() owes one exact swap and one mask per target"
        )
