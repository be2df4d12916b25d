"""cyclegan: the published networks, pool and losses, training, files."""

from __future__ import annotations

import dataclasses
import math
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cost import convolutions, cost
from torch import Generator, Tensor, nn

from fsbench import training
from fsbench.contracts import toy_faces, toy_targets
from fsbench.errors import CheckpointError, UsageError
from fsbench.interfaces import Budget, Context, Source, silent
from fsbench.training import one_thread, save_model
from reference_models.crops import pack
from reference_models.cyclegan.learner import CycleGanLearner
from reference_models.cyclegan.model import CycleGan, channels
from reference_models.cyclegan.networks import (
    ARCHITECTURES,
    CycleOutput,
    ImagePool,
    PatchDiscriminator,
    ResnetGenerator,
    initialise,
)

CPU = torch.device("cpu")
FACES = toy_faces(2, 2, 4, 64, 0)
SMALL = dataclasses.replace(ARCHITECTURES["tiny"], channels=4, critic_channels=4, n_blocks=1, batch=2)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def learner(mask: bool = False, n_threads: int = 1, half_precision: bool = False) -> CycleGanLearner:
    crops = [pack(channels(FACES.of(name)), 64, CPU) for name in FACES.identities]
    return CycleGanLearner(SMALL, mask, crops, 0, half_precision, n_threads)


def test_networks_have_the_published_number_of_parameters() -> None:
    """11.378 and 2.765 million are what the authors' code prints for nine blocks and the 70 x 70 discriminator."""
    assert count(ResnetGenerator(64, 9, mask=False)) == 11_378_179
    assert count(ResnetGenerator(64, 6, mask=False)) == 7_837_699
    assert count(PatchDiscriminator(64, 3)) == 2_764_737


@pytest.mark.parametrize(("n_layers", "patch"), [(3, 70), (2, 34)])
def test_a_score_depends_on_its_patch_alone(n_layers: int, patch: int) -> None:
    critic = PatchDiscriminator(4, n_layers)
    convolutions = [layer for layer in critic if isinstance(layer, nn.Conv2d)]
    sees = 1
    for layer in reversed(convolutions):
        sees = (sees - 1) * layer.stride[0] + layer.kernel_size[0]
    assert sees == patch
    assert critic(torch.zeros(1, 3, 64, 64)).shape[1] == 1


@pytest.mark.parametrize("mask", [False, True])
def test_answers_have_the_right_shape_and_range(mask: bool) -> None:
    network = ResnetGenerator(4, 1, mask)
    initialise(network, rng())
    image, alpha = network(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert image.shape == (2, 3, 64, 64)
    assert image.abs().max() <= 1
    assert alpha.shape == (2, 1, 64, 64)
    assert bool((alpha == 1).all()) is not mask


def test_the_mask_composes_the_image_with_the_input() -> None:
    answer = CycleOutput(torch.ones(1, 3, 2, 2), torch.full((1, 1, 2, 2), 0.25))
    assert torch.equal(answer.over(torch.zeros(1, 3, 2, 2)), torch.full((1, 3, 2, 2), 0.25))


def test_the_pool_fills_first_and_then_gives_half_from_before() -> None:
    pool, generator, n_old = ImagePool(2, capacity=6), rng(), 0
    for step in range(3):
        fakes = torch.full((2, 3, 2, 2), float(step))
        assert torch.equal(pool.exchange(fakes, generator), fakes)
    for step in range(3, 503):
        given = pool.exchange(torch.full((2, 3, 2, 2), float(step)), generator)[:, 0, 0, 0]
        n_old += int((given < step).sum())
        assert len(pool.images[:, 0, 0, 0].unique()) >= 3
    assert n_old / 1000 == pytest.approx(0.5, abs=0.05)
    assert pool.images.min() > 400  # old ones leave


def test_losses_of_perfect_generators_are_those_of_the_critic_alone() -> None:
    """Generators that leave their input alone have no cycle and no identity loss, but the critic is not fooled."""
    model = learner()
    model.generators = nn.ModuleList(_Same() for _ in range(2))
    real = [torch.rand(2, 3, 64, 64, generator=rng(i)) for i in range(2)]
    for i in range(2):
        fake, losses = model._generator_losses(real, real, i)
        assert torch.equal(fake, real[1 - i])
        assert losses["cycle"] == losses["identity"] == 0
        assert torch.allclose(losses["fool"], (model.critics[i](real[1 - i]) - 1).square().mean())


def test_alpha_is_held_against_the_face_mask_of_its_input() -> None:
    model = learner(mask=True)
    model.generators = nn.ModuleList(_Same() for _ in range(2))  # their alpha is 1 everywhere
    real = [torch.zeros(1, 3, 64, 64)] * 2
    faces = [torch.full((1, 1, 64, 64), 0.25), torch.ones(1, 1, 64, 64)]
    assert [model._generator_losses(real, faces, i)[1]["mask"].item() for i in (0, 1)] == pytest.approx([0, 5 * 0.75])


class _Same(nn.Module):
    def forward(self, region: torch.Tensor) -> CycleOutput:
        return CycleOutput(region, torch.ones_like(region[:, :1]))


def test_weights_are_the_published_ones() -> None:
    model = learner()
    model.generators = nn.ModuleList(_Grey() for _ in range(2))
    real = [torch.full((1, 3, 64, 64), 0.5) for _ in range(2)]
    _, losses = model._generator_losses(real, real, 0)
    assert losses["cycle"] == pytest.approx(10 * 0.5)
    assert losses["identity"] == pytest.approx(5 * 0.5)


class _Grey(_Same):
    def forward(self, region: torch.Tensor) -> CycleOutput:
        return super().forward(region * 0)


@pytest.mark.parametrize(("fraction", "rate"), [(0, 2e-4), (0.5, 2e-4), (0.75, 1e-4), (0.95, 2e-5)])
def test_the_rate_falls_over_the_second_half(fraction: float, rate: float) -> None:
    model = learner()
    model.step(fraction, rng())
    assert [group["lr"] for o in model.optimisers.values() for group in o.param_groups] == pytest.approx([rate] * 2)


def test_each_optimiser_changes_only_its_networks() -> None:
    model = learner(mask=True)
    before = {name: weight.clone() for name, weight in model.networks.named_parameters()}
    losses = model.step(0, rng())
    assert set(losses) == {"fool", "cycle", "identity", "mask", "critic"}
    unchanged = [name for name, weight in model.networks.named_parameters() if torch.equal(weight, before[name])]
    assert unchanged == []
    assert all(weight.requires_grad for weight in model.networks.parameters())


@pytest.mark.parametrize("half_precision", [False, True])
@pytest.mark.parametrize("mask", [False, True])
def test_threads_change_no_bit_of_what_is_learnt(
    mask: bool, half_precision: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, losses = set[int](), CycleGanLearner._generator_losses

    def watched(self: CycleGanLearner, *given: Any) -> tuple[Tensor, dict[str, Tensor]]:
        threads.add(threading.get_ident())
        return losses(self, *given)

    monkeypatch.setattr(CycleGanLearner, "_generator_losses", watched)
    learners = [learner(mask, n_threads, half_precision) for n_threads in (1, 2)]
    with one_thread():
        for model in learners:
            generator = rng()
            for step in range(4):
                model.step(step / 4, generator)
            assert (len(threads) > 1) == (model.n_threads > 1)
    wanted, found = (model.networks.state_dict() for model in learners)
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


def test_gradients_are_those_of_the_losses_of_both_directions() -> None:
    """A generator is trained by its own direction and, in the cycle, by the other."""
    model, drawn = learner(), rng()
    real = [model._draw(crops, drawn)[:, :3] * 2 - 1 for crops in model.crops]
    total = sum(sum(model._generator_losses(real, real, i)[1].values()) for i in range(2))
    assert isinstance(total, Tensor)
    wanted = torch.autograd.grad(total, list(model.generators.parameters()))
    model._update("generators", partial(model._generator_losses, real, real))
    found = [weight.grad for weight in model.generators.parameters()]
    assert all(a is not None and torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("mask", [False, True])
def test_an_interrupted_training_ends_at_the_same_bits(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch, mask: bool
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", -math.inf)
    monkeypatch.setattr(training, "SAVE_SHARE", math.inf)
    monkeypatch.setitem(ARCHITECTURES, "tiny", SMALL)
    whole, first, second = (CycleGan(mask=mask, context=context) for _ in range(3))
    whole.fit(FACES, Budget(steps=30), silent, tmp_path / "whole.pt")  # beyond 25 steps the pool is in use
    step, n_done = CycleGanLearner.step, iter(range(99))

    def fragile(self: CycleGanLearner, fraction: float, generator: Generator) -> object:
        if next(n_done) == 27:
            raise KeyboardInterrupt
        return step(self, fraction, generator)

    monkeypatch.setattr(CycleGanLearner, "step", fragile)
    with pytest.raises(KeyboardInterrupt):
        first.fit(FACES, Budget(steps=30), silent, tmp_path / "c.pt")
    monkeypatch.setattr(CycleGanLearner, "step", step)
    second.fit(FACES, Budget(steps=30), silent, tmp_path / "c.pt")
    wanted, found = whole._trained().state_dict(), second._trained().state_dict()
    assert [name for name in wanted if not torch.equal(wanted[name], found[name])] == []


def test_a_smoke_budget_takes_seconds(tmp_path: Path, context: Context) -> None:
    model = CycleGan(context=context)
    budget = Budget(steps=model.budgets["smoke"])
    assert cost(lambda: model.fit(FACES, budget, silent, tmp_path / "c.pt"), over=convolutions) < 25


def test_more_than_two_identities_are_refused(tmp_path: Path, context: Context) -> None:
    with pytest.raises(UsageError, match="exactly two identities, and the data has 3") as caught:
        CycleGan(context=context).fit(toy_faces(3, 1, 2, 64, 0), Budget(steps=1), silent, tmp_path / "c.pt")
    assert "gan_mask" in caught.value.hint


def test_a_file_knows_size_mask_and_identities(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "tiny", SMALL)
    path, target = tmp_path / "m.safetensors", FACES.of("toy1").crops[:3]
    model, other = CycleGan(mask=True, context=context), CycleGan(context=context)
    done = model.fit(FACES, Budget(steps=2), silent, tmp_path / "c.pt")
    assert done.settings["n_parameters"] == count(model._trained())
    model.save(path)
    other.load(path)
    assert other.mask
    source = Source("toy0", target[:1])
    output, again = (one.swap(source, toy_targets(target)) for one in (other, model))
    assert torch.equal(output.images, again.images)
    assert output.alpha is not None
    assert again.alpha is not None
    assert torch.equal(output.alpha, again.alpha)
    left_out = output.alpha.expand_as(target) == 0
    assert 0.1 < left_out.float().mean() < 0.9
    assert torch.equal(output.images[left_out], target[left_out])
    assert torch.equal(output.images[..., :8], target[..., :8])
    with pytest.raises(CheckpointError, match="size=tiny, not large"):
        CycleGan(size="large", context=context).load(path)
    with pytest.raises(UsageError, match="not trained on 'nobody'"):
        other.swap(Source("nobody", target), toy_targets(target))
    save_model(
        path,
        {"a": torch.zeros(1)},
        {"architecture": "cyclegan", "size": "tiny", "mask": False, "identities": ["a", "b"]},
    )
    with pytest.raises(CheckpointError, match="do not fit"):
        CycleGan(context=context).load(path)
    with pytest.raises(UsageError, match="not trained yet"):
        CycleGan(context=context).swap(source, toy_targets(target))
