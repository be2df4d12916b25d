"""The losses of gan_mask in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor, nn

from reference_models.gan_mask import losses
from reference_models.gan_mask.losses import Adversarial

CPU = torch.device("cpu")


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


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


def test_texture_is_how_rough_squares_are() -> None:
    flat, edge, mask = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    edge[..., 4:] = 0.5
    half = torch.zeros(1, 1, 8, 8)
    half[..., :4] = 1  # all of the first column of squares, two of four columns of the second
    # a square of 4 pixels has one of four columns of differences across, and along both diagonals; none along the edge
    assert losses.texture_difference(flat, edge, mask, [2]) == pytest.approx(3 * 2 * 0.5 / 4)
    assert losses.texture_difference(flat, edge, half, [2]) == pytest.approx(3 * 2 * 0.5 / 4 * 0.75)
    assert losses.texture_difference(flat, edge, mask, [2, 2]) == pytest.approx(2 * 3 * 2 * 0.5 / 4)
    assert losses.texture_difference(edge, edge.flip(-2), mask, [2]) == 0
    one, other = torch.zeros(1, 3, 17, 17), torch.zeros(1, 3, 17, 17)
    one[..., 6:], other[..., 7:] = 0.5, 0.5
    whole = torch.ones(1, 1, 17, 17)
    assert losses.texture_difference(one, other, whole, [2]) == pytest.approx(0, abs=1e-6)  # where in 8 pixels it is
    assert losses.texture_difference(one, other, whole, [4]) > 0.05


def test_texture_prefers_an_image_as_rough_to_a_smooth_one() -> None:
    """Though it is further away, pixel for pixel."""
    rough, other = (torch.rand(1, 3, 33, 33, generator=rng(seed)) for seed in (0, 1))
    smooth, whole = torch.full_like(rough, 0.5), torch.ones(1, 1, 33, 33)
    assert losses.difference(other, rough) > losses.difference(smooth, rough)
    as_rough, too_smooth = (losses.texture_difference(image, rough, whole) for image in (other, smooth))
    assert as_rough < 0.5 * too_smooth


def red(pair: Tensor) -> Tensor:
    """A critic that scores an image by its red, in [-1, 1]."""
    return pair[:, :1]


def image(*levels: float) -> Tensor:
    """Images of one grey each, (N, 3, 4, 4); a level of .75 has the score .5."""
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("kind", "value"),
    [  # real images score 1, fakes -1, and their mixture, three quarters real, 0.5
        ("lsgan", (0.5 - 0.75) ** 2),
        ("vanilla", softplus(0.5) - 0.75 * 0.5),
        ("hinge", 0.75 * 0.5 + 0.25 * 1.5),
    ],
)
def test_a_critic_is_to_tell_the_share_of_a_mixture(kind: Adversarial, value: float) -> None:
    share = torch.tensor(0.75)
    assert losses.critic_loss(kind, red, image(1), image(0), image(0), share) == pytest.approx(value)


@pytest.mark.parametrize(
    ("kind", "critic", "fool"),
    [  # a real image that scores .5, a fake that scores -.5
        ("lsgan", ((0.5 - 1) ** 2 + (-0.5 - 0) ** 2) / 2, (-0.5 - 1) ** 2),
        ("vanilla", (softplus(-0.5) + softplus(-0.5)) / 2, softplus(0.5)),
        ("hinge", (0.5 + 0.5) / 2, 0.5),
        ("ralsgan", (0.5 + 0.5 - 1) ** 2, (-0.5 - 0.5 - 1) ** 2),
    ],
)
def test_losses_of_real_and_fake_apart(kind: Adversarial, critic: float, fool: float) -> None:
    real, fake = image(0.75), image(0.25)
    assert losses.critic_loss(kind, red, real, fake, image(0), None) == pytest.approx(critic)
    assert losses.fool_loss(kind, red, real, fake, image(0)) == pytest.approx(fool)


@pytest.mark.parametrize("kind", ["lsgan", "vanilla", "hinge"])
def test_without_mixup_the_loss_is_the_mean_over_shares_of_nothing_and_all(kind: Adversarial) -> None:
    real, fake = (torch.rand(2, 3, 4, 4, generator=rng(seed)) for seed in (0, 1))
    none, half = (
        losses.critic_loss(kind, red, real, fake, real, None),
        [losses.critic_loss(kind, red, real, fake, real, torch.tensor(share)) for share in (0.0, 1.0)],
    )
    assert none == pytest.approx(float(sum(half)) / 2)


def test_relativistic_scores_are_compared_with_the_mean_of_the_others() -> None:
    real, fake = image(0.5, 1.0), image(0.25, 0.25)  # scores 0 and 1, -.5 and -.5
    wanted = ((0 + 0.5 - 1) ** 2 + (1 + 0.5 - 1) ** 2) / 4 + (-0.5 - 0.5 + 1) ** 2 / 2
    assert losses.critic_loss("ralsgan", red, real, fake, real, None) == pytest.approx(wanted)
    assert losses.fool_loss("ralsgan", red, fake, real, real) == pytest.approx(wanted)  # with real and fake exchanged


@pytest.mark.parametrize("kind", ["lsgan", "vanilla", "hinge", "ralsgan"])
def test_a_better_fake_fools_better_and_a_better_critic_loses_less(kind: Adversarial) -> None:
    real, distorted = image(0.8), image(0)
    fools = [float(losses.fool_loss(kind, red, real, image(level), distorted)) for level in (0.1, 0.4, 0.7)]
    assert fools == sorted(fools, reverse=True)
    assert len(set(fools)) == 3
    critics = [
        float(losses.critic_loss(kind, lambda pair, gain=gain: gain * red(pair), real, image(0.2), distorted, None))
        for gain in (-0.5, 0.1, 0.5)
    ]
    assert critics == sorted(critics, reverse=True)


def test_the_critic_sees_the_distorted_image_below() -> None:
    assert losses.fool_loss("lsgan", lambda pair: pair[:, 3:4], image(0), image(0), image(1)) == 0


def test_mixup_shares_follow_the_beta_distribution() -> None:
    generator = rng()
    drawn = torch.stack([losses.draw_mixup(generator, CPU) for _ in range(4000)])
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.03)
    assert drawn.var().item() == pytest.approx(0.25 / 1.4, rel=0.05)  # ab / ((a+b)^2 (a+b+1)), a = b = .2
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert losses.draw_mixup(generator, CPU, 1.0).item() == pytest.approx(0.5, abs=0.5)
    coins = torch.stack([losses.draw_mixup(generator, CPU, 0) for _ in range(400)])
    assert set(coins.tolist()) == {0, 1}
    assert coins.mean().item() == pytest.approx(0.5, abs=0.1)


def test_domains_are_confused_by_a_gradient_of_the_other_sign() -> None:
    """Scores 3 and -1 for the first and second domain: cross-entropies log(1 + e^-3) and log(1 + e^-1)."""
    classifier = nn.Linear(2, 1, bias=False)
    nn.init.ones_(classifier.weight)
    first, second = (torch.tensor([[x, 1.0]], requires_grad=True) for x in (2.0, -2.0))
    loss = losses.domain_confusion(classifier, first, second)
    assert loss.item() == pytest.approx((softplus(-3) + softplus(-1)) / 2)
    loss.backward()
    certainty = [1 / (1 + math.exp(3)), 1 / (1 + math.exp(1))]  # how far each is from certain
    assert first.grad.flatten().tolist() == pytest.approx(
        [certainty[0] / 2] * 2
    )  # a step down the gradient lowers the score
    assert second.grad.flatten().tolist() == pytest.approx([-certainty[1] / 2] * 2)
    wanted = (-certainty[0] * first.detach() + certainty[1] * second.detach()) / 2  # its own gradient is the plain one
    assert classifier.weight.grad.flatten().tolist() == pytest.approx(wanted.flatten().tolist())
