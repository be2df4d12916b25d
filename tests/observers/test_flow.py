"""Optical flow of clips whose motion is known."""

from __future__ import annotations

import importlib.util

import pytest
import torch
import torch.nn.functional as F

from fsbench import contracts
from fsbench.errors import FsbenchError
from fsbench.observers.flow import Flow

SIZE = 64
METHODS = ["tvl1"] + ["dis"] * (importlib.util.find_spec("cv2") is not None)


def clip(right: int, down: int, n: int = 3) -> torch.Tensor:
    """A pattern that moves by as many pixels from frame to frame, (n, 3, SIZE, SIZE)."""
    coarse = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    wide = F.interpolate(coarse, size=(128, 128), mode="bicubic", align_corners=False).clamp(0, 1)[0]
    return torch.stack([wide[:, 32 - down * t : 96 - down * t, 32 - right * t : 96 - right * t] for t in range(n)])


@pytest.mark.parametrize("method", METHODS)
def test_known_motion_is_found_and_seen(method: str) -> None:
    arrays = Flow(method=method).observe(clip(2, -1), torch.zeros(3, 5, 2))
    inside = arrays["forward"][:2, :, 12:-12, 12:-12]
    assert inside.mean((0, 2, 3)).tolist() == pytest.approx([2, -1], abs=0.1)
    assert (inside - torch.tensor([2.0, -1])[None, :, None, None]).abs().mean() < 0.15
    assert arrays["visible"][:2, :, 12:-12, 12:-12].mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_the_last_frame_leads_nowhere(method: str) -> None:
    arrays = Flow(method=method).observe(clip(1, 0), torch.zeros(3, 5, 2))
    assert arrays["forward"][-1].isnan().all()
    assert arrays["visible"][-1].isnan().all()
    assert not arrays["forward"][:-1].isnan().any()
    alone = Flow(method=method).observe(clip(1, 0, 1), torch.zeros(1, 5, 2))
    assert alone["forward"].shape == (1, 2, SIZE, SIZE)
    assert alone["forward"].isnan().all()


@pytest.mark.parametrize("method", METHODS)
def test_it_keeps_the_contract(method: str) -> None:
    observer = Flow(method=method)
    contracts.check_observer(observer)
    assert (observer.info.unit, observer.info.outputs) == ("clip", False)
    assert method in observer.info.description


def test_opencv_is_told_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fsbench.observers.flow.find_spec", lambda name: None)
    with pytest.raises(FsbenchError, match="OpenCV"):
        Flow()
    assert Flow(method="tvl1").info.weights == ()
