"""Landmarks of frames that were encoded again: they are those of the network, but for its noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fsbench import contracts
from fsbench.datasets.synthetic import Synthetic
from fsbench.errors import WeightsError
from fsbench.faces.detect import Detector
from fsbench.interfaces import Context
from fsbench.observers.reencoded import Reencoded
from fsbench.registry import observers


def test_its_landmarks_are_those_of_the_detector_but_for_noise(context: Context) -> None:
    crops = Synthetic(people=2, sessions=2, images=4, gallery=0, size=64, clips=0, context=context).faces("train").crops
    found = Detector(context.device).detect_crops(crops[:])
    again = Reencoded(context=context).observe(crops[:], torch.from_numpy(found))["landmarks"].numpy()
    assert again.shape == found.shape
    moved = np.linalg.norm(again - found, axis=2)
    assert 0 < np.nanmedian(moved) < 2, "pixels"


def test_it_keeps_the_contract_and_needs_no_file(context: Context) -> None:
    observer = observers.build("reencoded", context)
    contracts.check_observer(observer)
    assert observer.info.weights == ()
    assert not observer.info.outputs


def test_the_mesh_needs_its_file(context: Context) -> None:
    with pytest.raises(WeightsError, match="face_landmarker"):
        observers.build("reencoded(face_mesh)", context)
