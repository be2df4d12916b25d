"""gan_mask: the published schedule, options, training, files."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from cost import convolutions, cost
from safetensors.torch import load_file
from torch import Generator

from fsbench import training
from fsbench.contracts import toy_faces, toy_targets
from fsbench.errors import CheckpointError, UsageError
from fsbench.interfaces import Budget, Context, Source, silent
from fsbench.training import save_model
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.model import GanMask
from reference_models.gan_mask.networks import SwapnetShape
from reference_models.gan_mask.recipe import PUBLISHED, RECIPES, TINY, Recipe, cosine_rate, stage_at

FACES = toy_faces(2, 2, 4, 64, 0)
SHRUNK = dataclasses.replace(PUBLISHED, batch=1)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("step", "perceptual", "least", "rate", "exchanged"),
    [
        (0, False, None, 1, False),
        (7_849, False, None, 1, False),
        (7_850, True, None, 1, False),  # 20 % - 150
        (11_850, True, 0.5, 1, False),
        (15_850, True, 0.2, 1, False),
        (19_850, True, 0.4, 1, False),
        (26_517, True, None, 0.3, False),  # two thirds - 150
        (31_849, True, None, 0.3, False),
        (31_850, True, 0.1, 0.3, True),
        (35_850, True, None, 0.1, True),
        (39_999, True, None, 0.1, True),
    ],
)
def test_the_schedule_switches_where_the_published_one_does(
    step: int, perceptual: bool, least: float | None, rate: float, exchanged: bool
) -> None:
    stage = stage_at(step / 40_000)
    assert (stage.perceptual, stage.least_alpha, stage.rate, stage.exchanged) == (perceptual, least, rate, exchanged)


def test_schedules_of_earlier_versions() -> None:
    v2 = [(stage.least_alpha, stage.rate, stage.exchanged) for stage in (stage_at(i / 40_000, "v2") for i in
          (0, 11_850, 15_850, 19_850, 26_517, 35_849, 35_850))]  # fmt: skip
    assert v2 == [
        (None, 1, False), (0.5, 1, False), (0.25, 1, False), (0.4, 1, False),
        (None, 0.3, False), (None, 0.3, False), (None, 0.1, True),
    ]  # fmt: skip
    assert stage_at(0, "v1") == stage_at(0.99, "v1")
    assert stage_at(0, "v1").perceptual
    assert stage_at(0.515, "cosine").rate == pytest.approx(0.5)


def test_the_cosine_warms_up_and_ends_at_nothing() -> None:
    rates = [cosine_rate(i / 1000) for i in range(1001)]
    assert 0 < rates[0] < 0.15
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates.index(max(rates)) == pytest.approx(30, abs=2)
    assert rates[-1] == pytest.approx(0)
    assert cosine_rate(0.515) == pytest.approx(0.5)


# ------------------------------------------------------------------------------------------------------------ training


@pytest.mark.parametrize(
    ("recipe", "n_steps", "stop"),
    [
        (dataclasses.replace(TINY, batch=2), 4, 2),
        (dataclasses.replace(TINY, batch=2, adversarial="lsgan"), 3, 2),
        (SHRUNK, 2, 1),
    ],
)
def test_an_interrupted_training_ends_at_the_same_bits(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch, recipe: Recipe, n_steps: int, stop: int
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", recipe)
    monkeypatch.setattr(training, "SAVE_EVERY", -math.inf)
    monkeypatch.setattr(training, "SAVE_SHARE", math.inf)
    whole, first, second = (GanMask(size="tiny", context=context) for _ in range(3))
    whole.fit(FACES, Budget(steps=n_steps), silent, tmp_path / "whole.pt")
    step, n_done = GanMaskLearner.step, iter(range(99))

    def fragile(self: GanMaskLearner, fraction: float, generator: Generator) -> object:
        if next(n_done) == stop:
            raise KeyboardInterrupt
        return step(self, fraction, generator)

    monkeypatch.setattr(GanMaskLearner, "step", fragile)
    with pytest.raises(KeyboardInterrupt):
        first.fit(FACES, Budget(steps=n_steps), silent, tmp_path / "c.pt")
    monkeypatch.setattr(GanMaskLearner, "step", step)
    second.fit(FACES, Budget(steps=n_steps), silent, tmp_path / "c.pt")
    wanted, found = whole._trained().state_dict(), second._trained().state_dict()
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


def test_tiny_learns_in_a_few_steps(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SHOW_EVERY", 0)
    model = GanMask(size="tiny", context=context)
    told: list[dict[str, float]] = []
    model.fit(
        FACES, Budget(steps=60), lambda done, total, figures=None: told.append(dict(figures or {})), tmp_path / "c.pt"
    )
    first, last = (sum(figures["pixels"] for figures in part) / 5 for part in (told[1:6], told[-5:]))
    assert last < 0.75 * first  # measured: 0.6


def test_training_says_what_it_did(tmp_path: Path, context: Context) -> None:
    said: list[str] = []
    model = GanMask(context=dataclasses.replace(context, log=said.append))
    done = model.fit(FACES, Budget(steps=2, seed=5), silent, tmp_path / "c.pt")
    assert done.settings["size"] == "tiny"
    assert done.settings["norm"] == "none"
    assert done.settings["n_parameters"] == sum(weight.numel() for weight in model._trained().parameters())
    assert done.coaches == ()
    assert [note for note in done.notes if note.startswith("perceptual loss off: ")] == said
    json.dumps(done.settings)


def test_a_smoke_budget_takes_seconds(tmp_path: Path, context: Context) -> None:
    model = GanMask(context=context)
    budget = Budget(steps=model.budgets["smoke"])
    assert cost(lambda: model.fit(FACES, budget, silent, tmp_path / "c.pt"), over=convolutions) < 10


def test_the_decoders_have_changed_places_at_the_end_of_the_published_schedule(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", SHRUNK)
    model = GanMask(size="tiny", context=context)
    model.fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt")
    assert model.identities == FACES.identities[::-1]


def test_one_identity_is_not_enough(tmp_path: Path, context: Context) -> None:
    with pytest.raises(UsageError, match="two identities"):
        GanMask(context=context).fit(FACES.of("toy0"), Budget(steps=1), silent, tmp_path / "c.pt")


# --------------------------------------------------------------------------------------------------- files and swapping


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Context], GanMask]:
    """A model of three identities, trained for two steps and saved."""
    folder = tmp_path_factory.mktemp("gan_mask")

    def build(context: Context) -> GanMask:
        model = GanMask(context=context)
        if (folder / "m.safetensors").exists():
            model.load(folder / "m.safetensors")
        else:
            model.fit(toy_faces(3, 2, 2, 64, 0), Budget(steps=2), silent, folder / "c.pt")
            model.save(folder / "m.safetensors")
        return model

    return build


def test_a_file_knows_size_norm_and_identities(
    tmp_path: Path, context: Context, trained: Callable[[Context], GanMask]
) -> None:
    model, path = trained(context), tmp_path / "m.safetensors"
    model.save(path)
    other = GanMask(context=context)
    other.load(path)
    assert (other.shape, other.identities) == (SwapnetShape("tiny", "none"), ["toy0", "toy1", "toy2"])
    source, targets = Source("toy1", FACES.crops[:1]), toy_targets(FACES.crops[:2])
    assert torch.equal(other.swap(source, targets).images, model.swap(source, targets).images)
    assert load_file(path).keys() == model._trained().state_dict().keys()
    with pytest.raises(CheckpointError, match="size=tiny, not lite"):
        GanMask(size="lite", context=context).load(path)
    with pytest.raises(CheckpointError, match="norm=none, not group"):
        GanMask(norm="group", context=context).load(path)


def test_a_file_of_another_architecture_is_refused(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "m.safetensors"
    save_model(path, {"a": torch.zeros(1)}, {"architecture": "cyclegan"})
    with pytest.raises(CheckpointError, match="holds cyclegan, not gan_mask"):
        GanMask(context=context).load(path)
    save_model(
        path,
        {"a": torch.zeros(1)},
        {"architecture": "gan_mask", "size": "tiny", "norm": "none", "identities": ["a", "b"]},
    )
    with pytest.raises(CheckpointError, match="do not fit"):
        GanMask(context=context).load(path)


def test_an_identity_that_was_not_trained_is_refused(context: Context, trained: Callable[[Context], GanMask]) -> None:
    with pytest.raises(UsageError, match="'nobody'") as caught:
        trained(context).swap(Source("nobody", FACES.crops[:1]), toy_targets(FACES.crops[:1]))
    assert "toy0, toy1, toy2" in caught.value.hint
    with pytest.raises(UsageError, match="not trained yet"):
        GanMask(context=context).swap(Source("toy0", FACES.crops[:1]), toy_targets(FACES.crops[:1]))


@pytest.mark.parametrize("size", [64, 160])
def test_outputs_have_the_size_of_the_target_and_keep_its_border(
    context: Context, trained: Callable[[Context], GanMask], size: int
) -> None:
    target = torch.rand(3, 3, size, size, generator=rng())
    swapped = trained(context).swap(Source("toy0", FACES.crops[:1]), toy_targets(target))
    output, alpha = swapped.images, swapped.alpha
    assert output.shape == target.shape
    assert torch.equal(output[..., : size // 8], target[..., : size // 8])
    assert (output - target).abs().max() > 0.05
    assert alpha is not None
    assert alpha.shape == target[:, :1].shape
    assert 0 < float(alpha.max()) <= 1
    unchanged = alpha.expand_as(target) == 0  # the mask tells where the answer was pasted
    assert torch.equal(output[unchanged], target[unchanged])
    assert unchanged[..., : size // 8].all()


def test_colour_correction_takes_the_colours_of_the_target(
    context: Context, trained: Callable[[Context], GanMask]
) -> None:
    model = trained(context)
    model.colour = "adain"
    target = torch.rand(1, 3, 64, 64, generator=rng()) * torch.tensor([0.9, 0.4, 0.2]).view(3, 1, 1)
    output = model.swap(Source("toy0", FACES.crops[:1]), toy_targets(target)).images
    middle = np.s_[..., 24:48, 20:44]
    assert torch.allclose(output[middle].mean((2, 3)), target[middle].mean((2, 3)), atol=0.06)
