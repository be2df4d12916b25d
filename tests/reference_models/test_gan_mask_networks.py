"""The networks of gan_mask: published shapes and formulas, and what each option changes."""

from __future__ import annotations

import dataclasses
import typing

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from reference_models.gan_mask.networks import (
    Bottleneck,
    Discriminator,
    InstanceNorm,
    Norm,
    SameConv,
    SelfAttention,
    Size,
    Swapnet,
    SwapnetShape,
    bottleneck,
    icnr_,
    initialise,
    make_norm,
)

TINY = SwapnetShape("tiny", "none")


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_standard_has_the_published_number_of_parameters() -> None:
    network = Swapnet(SwapnetShape(), 2)
    assert count(network.encoder) == 59_130_506
    assert [count(decoder) for decoder in network.decoders] == [6_300_924] * 2
    assert count(Discriminator(SwapnetShape())) == 747_845


def test_lite_and_tiny_are_as_small_as_they_say() -> None:
    """14.9 and .42 million were measured on the published lite network; tiny is this project's own."""
    lite, tiny = Swapnet(SwapnetShape("lite"), 2), Swapnet(TINY, 2)
    assert count(lite.encoder) == pytest.approx(14.9e6, rel=5e-3)
    assert count(lite.decoders[0]) == pytest.approx(0.42e6, rel=2e-2)
    assert count(tiny) < 3e6


def conv(n_in: int, n_out: int, side: int, bias: bool = False) -> int:
    return n_in * n_out * side**2 + bias * n_out


def test_a_strided_bottleneck_has_two_convolutions_in_place_of_a_dense_layer() -> None:
    dense, strided = (Swapnet(SwapnetShape("lite", bottleneck=kind), 2) for kind in ("dense", "conv"))
    norm = 2  # one scale and one shift
    layers = conv(512, 1024, 3) + norm + conv(1024, 1024, 3, bias=True)
    assert count(strided) - count(dense) == layers - (16 * 512 * 1024 + 1024)
    small = [Swapnet(dataclasses.replace(TINY, bottleneck=kind), 2) for kind in ("dense", "conv")]
    assert count(small[1]) - count(small[0]) == conv(256, 128, 3) + conv(128, 128, 3, True) - (4096 * 128 + 128)


@pytest.mark.parametrize("channels", [3, 16])
def test_a_strided_bottleneck_ends_at_one_pixel_and_is_linear_there(channels: int) -> None:
    layers = nn.Sequential(*bottleneck("conv", channels, 8, "none"))
    before = layers[0](torch.randn(2, channels, 4, 4, generator=rng()))
    assert before.shape == (2, 8, 2, 2)
    assert layers[1](before).shape == (2, 8, 1, 1)
    assert torch.allclose(layers[1:](2 * before) + layers[1:](0 * before), 2 * layers[1:](before), atol=1e-6)


@pytest.mark.parametrize(("resolution", "n"), [(128, 1), (256, 2)])
def test_larger_images_have_the_published_further_layers(resolution: int, n: int) -> None:
    """A further block of encoder, decoder and critic for each doubling, and an image before each of the decoder's."""
    small, large = SwapnetShape(), SwapnetShape(resolution=resolution)
    norm, attention = 2, conv(256, 32, 1, True) * 2 + conv(256, 256, 1, True) + 1
    with torch.device("meta"):
        networks = [(Swapnet(shape, 1), Discriminator(shape)) for shape in (small, large)]
    encoders, decoders = ([getattr(net, part) for net, _ in networks] for part in ("encoder", "decoders"))
    assert count(encoders[1]) - count(encoders[0]) == n * (conv(1024, 1024, 3) + norm)
    further = conv(64, 3, 5, True) + conv(64, 256, 3, True) + norm + conv(64, 64, 3) + norm
    assert count(decoders[1]) - count(decoders[0]) == n * further
    assert count(networks[1][1]) - count(networks[0][1]) == n * (conv(256, 256, 4) + norm + attention)


@pytest.mark.parametrize("norm", typing.get_args(Norm))
@pytest.mark.parametrize("kind", typing.get_args(Bottleneck))
def test_answers_have_the_right_shape_and_range(kind: Bottleneck, norm: Norm) -> None:
    network = Swapnet(SwapnetShape("tiny", norm, kind), 3)
    initialise(network, rng())
    image, alpha, smaller = network(torch.rand(2, 3, 64, 64), 2)
    assert image.shape == (2, 3, 64, 64)
    assert alpha.shape == (2, 1, 64, 64)
    assert smaller == ()
    assert 0 <= min(image.min(), alpha.min()) <= max(image.max(), alpha.max()) <= 1
    assert image.flatten(1).std(1).min() > 1e-4  # an answer, not a flat area


@pytest.mark.parametrize("resolution", [64, 128, 256])
@pytest.mark.parametrize("size", ["lite", "tiny"])
def test_images_of_every_resolution_are_answered_in_it(size: Size, resolution: int) -> None:
    shape = SwapnetShape(size, "instance", resolution=resolution)
    network, critic = Swapnet(shape, 1), Discriminator(shape)
    initialise(network, rng())
    region = torch.rand(1, 3, resolution, resolution, generator=rng())
    with torch.inference_mode():
        image, alpha, smaller = network(region, 0)
        assert critic(torch.cat([image, region], 1)).shape == (1, 1, 8, 8)
    assert image.shape == region.shape
    assert alpha.shape == region[:, :1].shape
    sides = [64, 128][: shape.n_doublings] if size == "lite" else []
    assert [part.shape[-1] for part in smaller] == sides


def test_the_critic_answers_a_map_of_patches() -> None:
    assert Discriminator(SwapnetShape())(torch.zeros(2, 6, 64, 64)).shape == (2, 1, 8, 8)


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


@pytest.mark.parametrize(
    ("norm", "axes"),
    [("batch", (0, 2, 3)), ("instance", (1, 2, 3)), ("layer", (2, 3))],  # of what mean and deviation are taken
)
def test_norms_are_over_what_their_name_says(norm: Norm, axes: tuple[int, ...]) -> None:
    x = torch.randn(4, 32, 5, 5, generator=rng()) * 3 + torch.arange(32).view(1, 32, 1, 1)
    y = make_norm(norm, 32)(x)
    deviation, mean = torch.std_mean(x, axes, correction=0, keepdim=True)
    assert torch.allclose(y, (x - mean) / deviation, atol=2e-3)
    assert torch.equal(make_norm("none", 32)(x), x)


def test_group_and_hybrid_norm_split_the_channels() -> None:
    x = torch.randn(2, 32, 5, 5, generator=rng()) * 3 + torch.arange(32).view(1, 32, 1, 1)
    groups = x.unflatten(1, (16, 2))
    deviation, mean = torch.std_mean(groups, (2, 3, 4), correction=0, keepdim=True)
    assert torch.allclose(make_norm("group", 32)(x), ((groups - mean) / deviation).flatten(1, 2), atol=1e-4)
    hybrid = make_norm("hybrid", 32)
    assert torch.allclose(hybrid(x)[:, 16:], InstanceNorm()(x[:, 16:]))
    assert torch.allclose(hybrid(x)[:, :16], F.conv2d(x[:, :16], hybrid.mix.weight, hybrid.mix.bias))


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
    networks = [Swapnet(TINY, 2) for _ in range(3)]
    for network, seed in zip(networks, (0, 0, 1), strict=True):
        initialise(network, rng(seed))
    first, again, other = (network.encoder[0].weight for network in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
