"""The refiner `prnet`: its contract, its files, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from fsbench import contracts
from fsbench.errors import BadParameter, CheckpointError, UsageError
from fsbench.faces.align import TEMPLATE
from fsbench.interfaces import Context, Source, Swapped, Targets
from fsbench.registry import refiners
from reference_models.prnet.learner import RECIPES
from reference_models.prnet.model import PositionRefiner, TrainedRefiner
from reference_models.prnet.network import Maps, PositionNetwork
from reference_models.prnet.training import REGION, Budget, specification, to_input


def targets_of(images: Tensor) -> Targets:
    size = images.shape[-1]
    landmarks = (torch.from_numpy(TEMPLATE) * size).expand(len(images), -1, -1).clone()
    return Targets(images, landmarks, pd.DataFrame({"clip": [""] * len(images), "frame": range(len(images))}))


def noise(n: int, size: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


SOURCE = Source("ada", noise(1, 32))


@pytest.mark.slow
def test_the_trained_refiner_keeps_the_contract(context: Context) -> None:
    contracts.check_refiner(TrainedRefiner(size="small", parts="features", mask="visible", context=context))


def test_one_without_weights_says_what_to_do(context: Context) -> None:
    refiner = TrainedRefiner(size="small", parts="features", mask="visible", context=context)
    with pytest.raises(UsageError, match="not trained") as raised:
        refiner.refine(Swapped(noise(1, 64)), targets_of(noise(1, 64)), SOURCE)
    assert "prnet@PATH" in raised.value.sentence
    with pytest.raises(CheckpointError, match="no model file"):
        refiner.load(Path("nowhere.safetensors"))


def test_parameters_are_checked(context: Context) -> None:
    for text in ("prnet(parts=nose)", "prnet(size=huge)", "prnet(mask=no)"):
        with pytest.raises(BadParameter):
            refiners.build(text, context)


def test_people_of_training_are_as_many_as_the_budget_needs() -> None:
    recipe = RECIPES["small"]
    assert "people=2," in specification(recipe, Budget(steps=2))
    assert f"people={recipe.people}," in specification(recipe, Budget(steps=100_000))
    assert "people=100," in specification(recipe, Budget(seconds=72))


def test_the_network_sees_the_same_part_of_a_face_wherever_it_lies() -> None:
    landmarks = TEMPLATE * 100
    forth = to_input(landmarks[None], 64)[0]
    corners = (torch.tensor([[0.0, 0.0], [64.0, 64.0]]) - forth[:, 2]) @ torch.linalg.inv(forth[:, :2]).T
    torch.testing.assert_close(corners[1] - corners[0], torch.full((2,), 100 * REGION), atol=1e-3, rtol=0)
    moved = to_input(landmarks[None] * 0.5 + 20, 64)[0]
    torch.testing.assert_close(moved[:, :2], 2 * forth[:, :2], atol=1e-4, rtol=1e-4)


class Known(PositionRefiner):
    """A refiner whose maps are flat faces that lie on the landmarks, or beside them."""

    def __init__(self, context: Context, aside: float = 0.0) -> None:
        super().__init__(parts="mouth", mask="visible", context=context)
        from fsbench.datasets.synthetic.layout import load_layout
        from reference_models.prnet.face import Layout

        texels = load_layout(torch.device("cpu"), 32)
        self.layout = Layout(texels.face, texels.valid.float(), texels.membrane.float(), texels.landmarks)
        self.network, self.aside, self.calls = PositionNetwork(2, side=32), aside, 0

    def maps(self, crops: Tensor, landmarks: Tensor) -> Maps:
        """The square of the layout over the face; the second call, for the targets, opens the mouth."""
        assert self.layout is not None
        self.calls += 1
        size, line = crops.shape[-1], (torch.arange(32) + 0.5) / 16 - 1
        x, y = torch.meshgrid(line, line, indexing="xy")
        down = 0.06 * self.layout.part("mouth") * (self.calls % 2 == 0) * (y > 0.33)
        flat = torch.stack([0.5 + 0.333 * x + self.aside, 0.603 + 0.397 * y + down, 0 * x]) * size
        return Maps(flat.expand(len(crops), -1, -1, -1), torch.ones(len(crops), 1, 32, 32))


@pytest.mark.parametrize("size", [64, 128, 256])
def test_the_mouth_is_drawn_again_at_any_size(context: Context, size: int) -> None:
    outputs = torch.nn.functional.interpolate(noise(2, 8), (size, size), mode="bicubic").clamp(0, 1)
    refined = Known(context).refine(Swapped(outputs), targets_of(outputs.flip(-1)), SOURCE)
    changed = (refined.images - outputs).abs().amax((0, 1)) > 0.01
    assert bool(changed.any())
    assert not bool(changed[: size // 2].any())  # only below the nose
    assert float(refined.images.min()) >= 0
    assert float(refined.images.max()) <= 1


def test_a_face_that_is_not_where_it_should_be_stays_as_it_is_and_is_counted(context: Context) -> None:
    said: list[str] = []
    loud = replace(context, log=said.append)
    outputs, alpha = noise(3, 64), noise(3, 64)[:, :1]
    refined = Known(loud, aside=0.5).refine(Swapped(outputs, alpha), targets_of(noise(3, 64, 1)), SOURCE)
    assert torch.equal(refined.images, outputs)
    assert refined.alpha is not None
    assert torch.equal(refined.alpha, alpha)
    assert said == ["prnet left 3 of 3 outputs so far as they were: no face at their landmarks"]
    known = Known(loud, aside=0.5)
    for _ in range(9):
        known.refine(Swapped(outputs[:1]), targets_of(noise(1, 64, 1)), SOURCE)
    assert [text.split()[2] for text in said[1:]] == ["1", "2", "4", "8"]


def test_targets_without_landmarks_stay_as_they_are(context: Context) -> None:
    said: list[str] = []
    outputs, targets = noise(2, 64), targets_of(noise(2, 64, 1))
    targets.landmarks[1] = torch.nan
    refined = Known(replace(context, log=said.append)).refine(Swapped(outputs), targets, SOURCE)
    assert torch.equal(refined.images[1], outputs[1])
    assert not torch.equal(refined.images[0], outputs[0])
    assert "1 of 2" in said[0]


def test_files_of_other_networks_are_refused(context: Context, tmp_path: Path) -> None:
    from fsbench.training import save_model

    path = tmp_path / "other.safetensors"
    save_model(path, {"weight": torch.zeros(1)}, {"architecture": "gan_mask"})
    refiner = PositionRefiner(parts="mouth", mask="visible", context=context)
    with pytest.raises(CheckpointError, match="holds gan_mask, not prnet"):
        refiner.load(path)
    save_model(path, {"weight": torch.zeros(1)}, {"architecture": "prnet", "size": "small", "width": 2, "side": 32})
    with pytest.raises(CheckpointError, match="damaged"):
        refiner.load(path)
    with pytest.raises(CheckpointError, match="was trained with size=small, not standard"):
        refiners.build("prnet(size=standard)", context).load(path)
