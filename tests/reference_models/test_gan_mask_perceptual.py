"""The perceptual loss of gan_mask: recognisers, layers and weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from fsbench import registry
from fsbench.contracts import toy_faces
from fsbench.errors import BadParameter, UsageError, WeightsError
from fsbench.interfaces import Budget, Context, EmbedderInfo, WeightsFile, silent
from reference_models.gan_mask.model import GanMask
from reference_models.gan_mask.perceptual import (
    PUBLISHED_WEIGHTS,
    PerceptualLoss,
    Weights,
    find_perceptual,
    layer_weights,
)

FACES = toy_faces(2, 2, 4, 64, 0)
INFO = EmbedderInfo(family="fake", dim=3, weights=(), description="for tests")


def maps(images: Tensor) -> list[Tensor]:
    """Four maps, each a pooled image."""
    return [F.avg_pool2d(images, k) for k in (1, 2, 4, 8)]


class FakeCoach:
    """A recogniser that shows its features before and after their activation."""

    info = INFO

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        return crops.mean((2, 3))

    def preactivations(self, images: Tensor) -> list[Tensor]:
        return maps(images - 0.5)

    def features(self, images: Tensor) -> list[Tensor]:
        return [part.relu() for part in maps(images - 0.5)]


@pytest.fixture
def coach(monkeypatch: pytest.MonkeyPatch) -> type[FakeCoach]:
    monkeypatch.setitem(registry.embedders._entries, "fake", registry.Entry("fake", FakeCoach))
    return FakeCoach


def images(seed: int = 0) -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=Generator().manual_seed(seed))


def test_features_are_standardised_before_they_are_compared() -> None:
    real, loss = images(), PerceptualLoss(INFO, maps, "published")
    assert loss(real, real) == 0
    assert loss(real * 0.5 + 0.2, real) < 1e-3  # each map is normalised
    assert loss(1 - real, real) == pytest.approx(4 * sum(PUBLISHED_WEIGHTS), rel=0.05)  # (x - -x)^2 of unit variance


@pytest.mark.parametrize(
    ("weights", "n", "wanted"),
    [
        ("published", 4, (0.1, 0.3, 0.1, 0.01)),
        ("uniform", 3, (1, 1, 1)),
        ("log", 4, (1, 0.1, 0.01, 0.001)),
        (0.25, 2, (0.25, 0.25)),
    ],
)
def test_weights_of_layers(weights: Weights, n: int, wanted: tuple[float, ...]) -> None:
    assert layer_weights(weights, n) == pytest.approx(wanted)
    loss = PerceptualLoss(INFO, lambda x: maps(x)[:n], weights)
    apart = [float(PerceptualLoss(INFO, lambda x, i=i: maps(x)[i : i + 1], 1.0)(images(), images(1))) for i in range(n)]
    total = sum(weight * part for weight, part in zip(wanted, apart, strict=True))
    assert loss(images(), images(1)) == pytest.approx(total, rel=1e-5)


def test_published_weights_are_for_four_maps() -> None:
    with pytest.raises(UsageError, match="4 maps, and fake shows 2"):
        PerceptualLoss(INFO, lambda x: maps(x)[:2], "published")(images(), images(1))


def test_gradients_reach_the_fake_alone() -> None:
    fake, real = images().requires_grad_(), images(1).requires_grad_()
    PerceptualLoss(INFO, maps, "uniform")(fake, real).backward()
    assert fake.grad is not None
    assert fake.grad.abs().min() > 0
    assert real.grad is None


@pytest.mark.usefixtures("coach")
def test_layers_are_taken_after_or_before_their_activation(context: Context) -> None:
    for layers, wanted in (("after", FakeCoach().features), ("before", FakeCoach().preactivations)):
        loss, _ = find_perceptual("fake", layers, "uniform", context)
        assert loss is not None
        for ours, theirs in zip(loss.maps(images()), wanted(images()), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("coach")
def test_the_loss_is_trained_with_and_its_recogniser_is_named(tmp_path: Path, context: Context) -> None:
    figures: list[dict[str, float]] = []
    model = GanMask(size="tiny", perceptual="fake", perceptual_layers="before", context=context)
    done = model.fit(
        FACES, Budget(steps=1), lambda done, total, now=None: figures.append(dict(now or {})), tmp_path / "c.pt"
    )
    assert done.coaches == ("fake",)
    assert done.notes == ()
    assert done.settings["perceptual_layers"] == "before"
    assert figures[-1]["perceptual"] > 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "size tiny does without it"),
        ({"perceptual": "off"}, "it was switched off"),
        ({"perceptual": "fake", "perceptual_weights": 0}, "its weights are 0"),
        ({"perceptual_weights": 0.0}, "its weights are 0"),
    ],
)
@pytest.mark.usefixtures("coach")
def test_a_training_without_the_loss_says_why(
    tmp_path: Path, context: Context, options: dict[str, str | float], reason: str
) -> None:
    model = GanMask(size="tiny", context=context, **options)
    assert model.fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt").notes == (f"perceptual loss off: {reason}",)
    assert model.inputs == {}


def test_what_is_asked_about_the_loss_asks_for_the_loss(context: Context) -> None:
    """Not dropped in silence where the recogniser that auto takes is missing."""
    for options in ({"perceptual_weights": "uniform"}, {"perceptual_layers": "before"}):
        with pytest.raises(WeightsError):
            _ = GanMask(size="tiny", context=context, **options).inputs


def test_a_training_depends_on_the_files_of_its_recogniser(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    file = WeightsFile("fake.h5", Path("fake.h5"), "ab" * 32, "none")
    fake = type("Fake", (FakeCoach,), {"info": dataclasses.replace(INFO, weights=(file,))})
    monkeypatch.setitem(registry.embedders._entries, "fake", registry.Entry("fake", fake))
    assert GanMask(size="tiny", perceptual="fake", context=context).inputs == {"fake.h5": "ab" * 32}
    assert GanMask(size="tiny", context=context).inputs == {}


@pytest.mark.parametrize("layers", ["after", "before"])
def test_a_recogniser_without_inner_features_cannot_coach(
    context: Context, monkeypatch: pytest.MonkeyPatch, layers: str
) -> None:
    methods = {} if layers == "after" else {"features": FakeCoach.features}
    closed = type("Closed", (), {"info": INFO, **methods})
    monkeypatch.setitem(registry.embedders._entries, "closed", registry.Entry("closed", closed))
    with pytest.raises(UsageError, match="embedder closed does not show its inner features"):
        _ = GanMask(perceptual="closed", perceptual_layers=layers, context=context).inputs


@pytest.mark.parametrize("weights", [-1.0, float("nan"), float("inf")])
def test_weights_that_are_none_are_refused(context: Context, weights: float) -> None:
    with pytest.raises(BadParameter, match="is no weight"):
        GanMask(perceptual_weights=weights, context=context)
