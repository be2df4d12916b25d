"""gan_mask: the published network and schedule, losses in closed form, training, files."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fsbench import registry, training
from fsbench.contracts import toy_faces, toy_targets
from fsbench.errors import CheckpointError, UsageError
from fsbench.interfaces import Budget, Context, EmbedderInfo, Source, WeightsFile, silent
from fsbench.training import save_model
from reference_models.gan_mask import losses
from reference_models.gan_mask.learner import GanMaskLearner
from reference_models.gan_mask.model import GanMask
from reference_models.gan_mask.networks import (
    Discriminator,
    InstanceNorm,
    Norm,
    SameConv,
    SelfAttention,
    Size,
    Swapnet,
    icnr_,
    initialise,
)
from reference_models.gan_mask.recipe import PUBLISHED, RECIPES, TINY, Recipe, cosine_rate, stage_at

CPU = torch.device("cpu")
FACES = toy_faces(2, 2, 4, 64, 0)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


# ------------------------------------------------------------------------------------------------------------ networks


def test_standard_has_the_published_number_of_parameters() -> None:
    network = Swapnet("standard", "instance", 2)
    assert count(network.encoder) == 59_130_506
    assert [count(decoder) for decoder in network.decoders] == [6_300_924] * 2
    assert count(Discriminator("instance")) == 747_845


def test_lite_and_tiny_are_as_small_as_they_say() -> None:
    """14.9 and .42 million were measured on the published lite network; tiny is this project's own."""
    lite, tiny = Swapnet("lite", "instance", 2), Swapnet("tiny", "none", 2)
    assert count(lite.encoder) == pytest.approx(14.9e6, rel=5e-3)
    assert count(lite.decoders[0]) == pytest.approx(0.42e6, rel=2e-2)
    assert count(tiny) < 3e6


@pytest.mark.parametrize(
    ("size", "norm"),
    [
        ("lite", "instance"),
        ("tiny", "none"),
        ("tiny", "instance"),
        ("tiny", "group"),
        ("tiny", "layer"),
        ("tiny", "hybrid"),
    ],
)
def test_answers_have_the_right_shape_and_range(size: Size, norm: Norm) -> None:
    network = Swapnet(size, norm, 3)
    initialise(network, rng())
    with torch.inference_mode():
        image, alpha = network(torch.rand(2, 3, 64, 64), 2)
    assert image.shape == (2, 3, 64, 64)
    assert alpha.shape == (2, 1, 64, 64)
    assert 0 <= min(image.min(), alpha.min()) <= max(image.max(), alpha.max()) <= 1


def test_the_critic_answers_a_map_of_patches() -> None:
    assert Discriminator("instance")(torch.zeros(2, 6, 64, 64)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (4, 2), (4, 1), (5, 2)])
def test_same_padding_puts_the_odd_pixel_right_and_below(kernel: int, stride: int) -> None:
    conv = SameConv(1, 1, kernel, stride, bias=False)
    nn.init.ones_(conv.weight)
    image = torch.zeros(1, 1, 8, 8)
    image[..., 0, 0] = 1
    out = conv(image)[0, 0]
    before = (kernel - stride) // 2  # TensorFlow "SAME" for sizes that the stride divides
    assert out.shape == (8 // stride, 8 // stride)
    assert out.sum() == len([i for i in range(8) if i * stride - before <= 0 < i * stride - before + kernel]) ** 2


def test_instance_norm_is_over_channels_too_and_its_epsilon_is_on_the_deviation() -> None:
    x = torch.randn(2, 4, 3, 3, generator=rng()) * 5 + 2
    wanted = torch.stack([(one - one.mean()) / (one.std(correction=0) + 1e-3) for one in x])
    assert torch.allclose(InstanceNorm()(x), wanted, atol=1e-6)
    assert count(InstanceNorm()) == 2


def test_attention_is_the_published_formula_and_begins_as_the_identity() -> None:
    layer = SelfAttention(16)
    x = torch.randn(2, 16, 4, 4, generator=rng())
    assert torch.equal(layer(x), x)
    nn.init.constant_(layer.gamma, 0.7)
    key, query, value = (part(x).flatten(2) for part in (layer.key, layer.query, layer.value))  # (N, C', HW)
    shares = (query.transpose(1, 2) @ key).softmax(-1)  # no scaling
    wanted = x + 0.7 * (shares @ value.transpose(1, 2)).transpose(1, 2).view_as(x)
    assert torch.allclose(layer(x), wanted, atol=1e-5)


def test_attention_is_fused() -> None:
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # raises where a fused kernel cannot take these inputs
        SelfAttention(64)(torch.zeros(2, 64, 16, 16))


def test_icnr_begins_without_a_checkerboard() -> None:
    conv = nn.Conv2d(8, 16, 3, padding=1)
    icnr_(conv.weight, rng())
    nn.init.zeros_(conv.bias)
    out = F.pixel_shuffle(conv(torch.randn(1, 8, 6, 6, generator=rng())), 2)
    assert torch.equal(out[..., ::2, ::2], out[..., 1::2, 1::2])
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    networks = [Swapnet("tiny", "none", 2) for _ in range(3)]
    for network, seed in zip(networks, (0, 0, 1), strict=True):
        initialise(network, rng(seed))
    first, again, other = (network.encoder[0].weight for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# -------------------------------------------------------------------------------------------------------------- losses


def test_losses_have_their_closed_form() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    b[:, :, :, 2:] = 0.5  # half the pixels differ, one vertical edge of .5
    left = torch.zeros(1, 1, 4, 4)
    left[..., :2] = 1
    assert losses.difference(a, b) == pytest.approx(2 * 0.25)
    assert losses.difference(a, b, left) == 0
    assert losses.edge_difference(a, b) == pytest.approx(2 * 0.5 / 3)  # one of three columns of differences
    assert losses.edge_difference(b, 1 - b) == 0  # absolute differences: the sign of an edge does not matter
    assert losses.edge_difference(a, b, left) == pytest.approx(2 * 0.5 / 3)
    alpha = torch.full((1, 1, 4, 4), 0.3)
    alpha[..., 2:] = 0.7
    assert losses.total_variation(alpha) == pytest.approx(0.4 / 3)
    assert losses.below(alpha, 0.5) == pytest.approx(0.1)


def test_the_adversarial_losses_are_least_squares_on_a_mixture() -> None:
    def mean_of_first(pair: Tensor) -> Tensor:  # a critic that sees the first image's red, in [-1, 1]
        return pair[:, :1]

    real, fake, distorted = torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    share = torch.tensor(0.75)
    assert losses.mixup_critic(mean_of_first, real, fake, distorted, share) == pytest.approx((0.5 - 0.75) ** 2)
    assert losses.fool(mean_of_first, fake, distorted) == pytest.approx(4)
    assert losses.fool(mean_of_first, real, distorted) == 0


def test_mixup_shares_follow_the_beta_distribution() -> None:
    generator = rng()
    drawn = torch.stack([losses.draw_mixup(generator, CPU) for _ in range(4000)])
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.03)
    assert drawn.var().item() == pytest.approx(0.25 / 1.4, rel=0.05)  # ab / ((a+b)^2 (a+b+1)), a = b = .2
    assert 0 <= drawn.min() <= drawn.max() <= 1


class FakeCoach:
    """A recogniser with inner features: four maps, each a pooled image."""

    info = EmbedderInfo(family="fake", dim=3, weights=(), description="for tests")

    def embed(self, crops: Tensor, landmarks: Tensor) -> Tensor:
        return crops.mean((2, 3))

    def features(self, images: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(images, k) for k in (1, 2, 4, 8)]


def test_the_perceptual_loss_compares_standardised_features() -> None:
    real = torch.rand(2, 3, 16, 16, generator=rng())
    assert losses.perceptual(FakeCoach(), real, real) == 0
    assert losses.perceptual(FakeCoach(), real * 0.5 + 0.2, real) < 1e-3  # each map is normalised
    opposite = losses.perceptual(FakeCoach(), 1 - real, real)
    assert opposite == pytest.approx(4 * sum(losses.FEATURE_WEIGHTS), rel=0.05)  # (x - -x)^2 of unit variance


# ------------------------------------------------------------------------------------------------------------ schedule


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


def test_the_cosine_warms_up_and_ends_at_nothing() -> None:
    rates = [cosine_rate(i / 1000) for i in range(1001)]
    assert 0 < rates[0] < 0.15
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates.index(max(rates)) == pytest.approx(30, abs=2)
    assert rates[-1] == pytest.approx(0)
    assert cosine_rate(0.515) == pytest.approx(0.5)


# ------------------------------------------------------------------------------------------------------------ training

SHRUNK = dataclasses.replace(PUBLISHED, batch=1)


@pytest.mark.parametrize(
    ("recipe", "n_steps", "stop"),
    [
        (dataclasses.replace(TINY, batch=2), 4, 2),
        (dataclasses.replace(TINY, batch=2, adversarial=0.1), 3, 2),
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
    assert done.settings["n_parameters"] == count(model._trained())
    assert done.coaches == ()
    assert [note for note in done.notes if note.startswith("perceptual loss off: ")] == said
    json.dumps(done.settings)


def test_a_smoke_budget_takes_seconds(tmp_path: Path, context: Context) -> None:
    model = GanMask(context=context)
    begin = time.process_time()
    model.fit(FACES, Budget(steps=model.budgets["smoke"]), silent, tmp_path / "c.pt")
    assert time.process_time() - begin < 5


def test_the_decoders_have_changed_places_at_the_end_of_the_published_schedule(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", SHRUNK)
    model = GanMask(size="tiny", context=context)
    model.fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt")
    assert model.identities == FACES.identities[::-1]


def test_a_coach_is_named_and_used(tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.embedders._entries, "fake", registry.Entry("fake", FakeCoach))
    model = GanMask(size="tiny", perceptual="fake", context=context)
    told: list[dict[str, float]] = []
    done = model.fit(
        FACES, Budget(steps=1), lambda done, total, figures=None: told.append(dict(figures or {})), tmp_path / "c.pt"
    )
    assert done.coaches == ("fake",)
    assert done.notes == ()
    assert told[-1]["perceptual"] > 0


def test_a_training_depends_on_the_files_of_its_coach(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    file = WeightsFile("fake.h5", Path("fake.h5"), "ab" * 32, "none")
    fake = type("Fake", (FakeCoach,), {"info": dataclasses.replace(FakeCoach.info, weights=(file,))})
    monkeypatch.setitem(registry.embedders._entries, "fake", registry.Entry("fake", fake))
    assert GanMask(size="tiny", perceptual="fake", context=context).inputs == {"fake.h5": "ab" * 32}
    assert GanMask(size="tiny", context=context).inputs == {}


def test_a_recogniser_without_inner_features_cannot_coach(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        info = FakeCoach.info

    monkeypatch.setitem(registry.embedders._entries, "closed", registry.Entry("closed", Closed))
    with pytest.raises(UsageError, match="inner features"):
        GanMask(perceptual="closed", context=context).fit(FACES, Budget(steps=1), silent, tmp_path / "c.pt")


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
    assert (other.size, other.norm, other.identities) == ("tiny", "none", ["toy0", "toy1", "toy2"])
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
