"""Contracts of kinds of evidence."""

from __future__ import annotations

from typing import Any

import numpy as np

from fsbench.contracts.common import check_docstring
from fsbench.contracts.toys import toy_faces
from fsbench.errors import NotScorable
from fsbench.images import ImageSet
from fsbench.interfaces import EvidenceKind
from fsbench.pairs import EvaluationSet, Group, Outputs, Pairs, RealImages


def check_evidence(kind: EvidenceKind) -> None:
    """It is prepared once and gives evidence for the outputs of two models, of which any rows can be taken.

    Pairs have no exact swaps, and outputs come without their model: NotScorable with a reason is an answer too.
    """
    check_docstring(kind)
    pairs = _toy_pairs()
    faces = toy_faces()
    nowhere = np.full((0, 5, 2), np.nan, np.float32)
    real = RealImages(faces, None, faces.landmarks, nowhere)
    of = kind.prepare(EvaluationSet(pairs, faces, faces.landmarks, real))
    assert callable(of), "prepare() must return a function of a model's outputs"
    n, landmarks = len(pairs), faces.landmarks[pairs.index]
    dark = ImageSet(pairs.targets.levels() // 2)
    for label, images in (("the targets", pairs.targets), ("darker targets", dark)):
        try:
            evidence: Any = of(Outputs(label, images, landmarks, "there is no model"))
        except NotScorable:
            continue
        if hasattr(evidence, "__len__"):
            assert len(evidence) == n, f"{n} outputs have {len(evidence)} entries of evidence"
        for rows in (slice(0, n), slice(2, 5), slice(n - 1, n)):
            taken = evidence[rows]
            if hasattr(taken, "__len__") and not isinstance(taken, dict):
                assert len(taken) == rows.stop - rows.start, "evidence[rows] must hold one entry per row"


def _toy_pairs() -> Pairs:
    faces, groups = toy_faces(), []
    for source, target in (("toy0", "toy1"), ("toy1", "toy0")):
        index = np.flatnonzero((faces.rows["identity"] == target).to_numpy())
        groups.append(Group(source, faces.of(source).crops.select(slice(2)), index, faces.select(index), None))
    return Pairs(tuple(groups), "every image with the other person")
