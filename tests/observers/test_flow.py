"""Optical flow of clips whose motion is known."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.optical_flow import raft_large, raft_small

from fsbench import contracts
from fsbench.errors import FsbenchError, WeightsError
from fsbench.harness import records
from fsbench.harness.instruments import Instruments
from fsbench.interfaces import Context
from fsbench.metrics.flicker import Flicker
from fsbench.observers._raft import flow_of
from fsbench.observers.flow import Flow
from fsbench.weights import lookup
from fsbench.weights.network import check_network

SIZE = 64
METHODS = ["tvl1"] + ["dis"] * (importlib.util.find_spec("cv2") is not None)


def clip(right: int, down: int, n: int = 3) -> torch.Tensor:
    """A pattern that moves by as many pixels from frame to frame, (n, 3, SIZE, SIZE)."""
    coarse = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    wide = F.interpolate(coarse, size=(128, 128), mode="bicubic", align_corners=False).clamp(0, 1)[0]
    return torch.stack([wide[:, 32 - down * t : 96 - down * t, 32 - right * t : 96 - right * t] for t in range(n)])


@pytest.mark.parametrize("method", METHODS)
def test_known_motion_is_found_and_seen(method: str, context: Context) -> None:
    arrays = Flow(method=method, context=context).observe(clip(2, -1), torch.zeros(3, 5, 2))
    inside = arrays["forward"][:2, :, 12:-12, 12:-12]
    assert inside.mean((0, 2, 3)).tolist() == pytest.approx([2, -1], abs=0.1)
    assert (inside - torch.tensor([2.0, -1])[None, :, None, None]).abs().mean() < 0.15
    assert arrays["visible"][:2, :, 12:-12, 12:-12].mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_the_last_frame_leads_nowhere(method: str, context: Context) -> None:
    arrays = Flow(method=method, context=context).observe(clip(1, 0), torch.zeros(3, 5, 2))
    assert arrays["forward"][-1].isnan().all()
    assert arrays["visible"][-1].isnan().all()
    assert not arrays["forward"][:-1].isnan().any()
    alone = Flow(method=method, context=context).observe(clip(1, 0, 1), torch.zeros(1, 5, 2))
    assert alone["forward"].shape == (1, 2, SIZE, SIZE)
    assert alone["forward"].isnan().all()


@pytest.mark.parametrize("method", METHODS)
def test_it_keeps_the_contract(method: str, context: Context) -> None:
    observer = Flow(method=method, context=context)
    contracts.check_observer(observer)
    assert (observer.info.unit, observer.info.outputs) == ("clip", False)
    assert method in observer.info.description


def test_opencv_is_told_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, context: Context) -> None:
    monkeypatch.setattr("fsbench.observers.flow.find_spec", lambda name: None)
    with pytest.raises(FsbenchError, match="OpenCV"):
        Flow(context=context)
    assert Flow(method="tvl1", context=context).info.weights == ()


def save_raft(path: Path, build: Callable[..., torch.nn.Module] = raft_small) -> Path:
    """A network of the right shapes, with random weights."""
    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(build(weights=None).state_dict(), path)
    return path


@pytest.mark.parametrize("build", [raft_small, raft_large])
def test_raft_is_torchvisions(build: Callable[..., torch.nn.Module], tmp_path: Path, context: Context) -> None:
    path = save_raft(tmp_path / "raft.pth", build)
    observer = Flow(context=replace(context, path=str(path)))
    images = F.interpolate(clip(2, -1), 128, mode="bilinear")
    arrays = observer.observe(images, torch.zeros(3, 5, 2))
    network = build(weights=None).eval()
    network.load_state_dict(torch.load(path, weights_only=True))
    with torch.inference_mode():
        expected = network(2 * images[:1] - 1, 2 * images[1:2] - 1)[-1]
    assert torch.allclose(arrays["forward"][:1], expected, atol=1e-4)
    assert arrays["forward"][-1].isnan().all()
    assert (observer.info.unit, observer.info.outputs) == ("clip", False)
    assert observer.info.weights[0].path == path


@pytest.mark.parametrize("size", [32, 100, 128, 133, 200])
def test_raft_takes_crops_of_any_size(size: int, tmp_path: Path, context: Context) -> None:
    observer = Flow(context=replace(context, path=str(save_raft(tmp_path / "raft.pth"))))
    arrays = observer.observe(torch.rand(2, 3, size, size), torch.zeros(2, 5, 2))
    assert arrays["forward"].shape == (2, 2, size, size)
    assert arrays["visible"].shape == (2, 1, size, size)
    assert arrays["forward"][0].isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 136), (133, 96)])
def test_flow_is_in_pixels_of_the_images_that_were_given(height: int, width: int) -> None:
    """The network sees enlarged images, in which the same motion has more pixels."""

    class Everywhere(torch.nn.Module):
        def forward(self, first: Tensor, second: Tensor, num_flow_updates: int) -> list[Tensor]:
            n, _, tall, wide = first.shape
            assert tall % 8 == wide % 8 == 0
            assert min(tall, wide) >= 128
            assert -1 <= first.min() <= first.max() <= 1
            motion = torch.tensor([0.1 * wide, -0.05 * tall])
            return [torch.zeros(()), motion[None, :, None, None].expand(n, 2, tall, wide)]

    flow = flow_of(Everywhere(), torch.rand(1, 3, height, width), torch.rand(1, 3, height, width))
    assert flow.shape == (1, 2, height, width)
    assert flow.mean((0, 2, 3)).tolist() == pytest.approx([0.1 * width, -0.05 * height])


def test_the_best_flow_is_that_of_the_file_which_is_there(fresh_context: Context) -> None:
    folder = fresh_context.store.root / "weights"
    assert Flicker(context=fresh_context).info.needs in [("flow(dis)",), ("flow(tvl1)",)]
    assert Flicker(flow="raft", context=fresh_context).info.needs == ("flow(raft_large)",)
    with pytest.raises(WeightsError, match="the weights raft_large"):
        Flow(method="raft_large", context=fresh_context)
    for name, build in (("raft_small", raft_small), ("raft_large", raft_large)):
        save_raft(folder / lookup(name).file, build)
        for flow in ("best", "raft"):
            assert Flicker(flow=flow, context=fresh_context).info.needs == (f"flow({name})",)
    assert Flicker(flow="tvl1", context=fresh_context).info.needs == ("flow(tvl1)",)


def test_the_flow_network_is_in_the_record(fresh_context: Context) -> None:
    save_raft(fresh_context.store.root / "weights" / lookup("raft_small").file)
    metric = Flicker(flow="raft", context=fresh_context)
    assert records.metric_record("flicker", metric, None).observer == "flow(raft_small)"
    ((name, observer),) = Instruments.for_metrics([], {"flicker": metric}, [], fresh_context).observers.items()
    record = records.observer_record(observer)
    assert (name, record.name) == ("flow(raft_small)", "flow(raft_small)")
    assert "RAFT" in record.description
    assert list(record.weights) == ["raft_small"]
    assert any("pinned" in note for note in record.notes)


@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_a_file_is_checked_as_a_run_would(name: str, tmp_path: Path) -> None:
    build = {"raft_small": raft_small, "raft_large": raft_large}[name]
    check_network(save_raft(tmp_path / "good.pth", build), lookup(name))
    state = build(weights=None).state_dict()
    odd = next(iter(state))
    for damage in ({odd: state[odd][:1]}, {"other": torch.zeros(1)}, {odd: torch.full_like(state[odd], torch.nan)}):
        torch.save(state | damage, tmp_path / "bad.pth")
        with pytest.raises(WeightsError, match="RAFT"):
            check_network(tmp_path / "bad.pth", lookup(name))
    assert lookup(name).sources
    assert lookup(name).licence == "BSD-3-Clause"
