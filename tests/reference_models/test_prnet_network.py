"""The position-map network: its published shapes, TensorFlow's padding, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from reference_models.prnet.learner import MapBatch, PositionLearner, PositionRecipe
from reference_models.prnet.network import REACH, BasisNetwork, PaddedConv, PaddedTransposed, PositionNetwork


def same_conv(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's definition: (h, w, in), (k, k, in, out); pads (ceil(n/s) - 1) s + k - n, the smaller half first."""
    n, k = x.shape[0], kernel.shape[0]
    out = -(-n // stride)
    total = max((out - 1) * stride + k - n, 0)
    padded = np.pad(x, ((total // 2, total - total // 2),) * 2 + ((0, 0),))
    answer = np.zeros((out, out, kernel.shape[-1]))
    for i in range(out):
        for j in range(out):
            window = padded[i * stride : i * stride + k, j * stride : j * stride + k]
            answer[i, j] = np.einsum("abc,abcd->d", window, kernel)
    return answer


def same_transposed(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """The gradient of `same_conv` with respect to its input of n s pixels; kernel (k, k, out, in)."""
    n, k = x.shape[0], kernel.shape[0]
    side = n * stride
    total = max((n - 1) * stride + k - side, 0)
    padded = np.zeros((side + total, side + total, kernel.shape[2]))
    for i in range(n):
        for j in range(n):
            padded[i * stride : i * stride + k, j * stride : j * stride + k] += np.einsum(
                "c,abdc->abd", x[i, j], kernel
            )
    first = total // 2
    return padded[first : first + side, first : first + side]


@pytest.mark.parametrize(("kernel", "stride"), [(4, 1), (4, 2), (1, 1), (1, 2)])
def test_convolutions_are_padded_as_tensorflow_pads(kernel: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(8, 8, 3)), rng.normal(size=(kernel, kernel, 3, 5))
    layer = PaddedConv(3, 5, kernel, stride).double()
    layer.weight.data = torch.from_numpy(weights).permute(3, 2, 0, 1)
    answer = layer(torch.from_numpy(x).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(answer.detach().numpy(), same_conv(x, weights, stride), atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolutions_are_cut_as_tensorflow_cuts(stride: int) -> None:
    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(6, 6, 5)), rng.normal(size=(4, 4, 3, 5))  # (H, W, out, in)
    layer = PaddedTransposed(5, 3, stride).double()
    layer.weight.data = torch.from_numpy(weights).permute(3, 2, 0, 1)
    answer = layer(torch.from_numpy(x).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    np.testing.assert_allclose(answer.detach().numpy(), same_transposed(x, weights, stride), atol=1e-12)


def test_the_network_has_the_published_size() -> None:
    """Parameters of the published checkpoint, whose data file has 160,290,984 bytes: each with two moments of Adam."""
    with torch.device("meta"):
        network = PositionNetwork()
    parameters = sum(weight.numel() for weight in network.parameters())
    statistics = sum(2 * layer.num_features for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    assert parameters == 13_353_618
    assert 4 * (3 * parameters + statistics + 2) == 160_290_984
    blocks = [tuple(block.expand.weight.shape[:2]) for block in network.encoder]
    assert blocks == [(c, c // 2) for c in (32, 32, 64, 64, 128, 128, 256, 256, 512, 512)]
    assert all(layer.eps == 1e-3 for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))


@torch.no_grad()
def test_maps_are_as_large_as_images_and_reach_beyond_them() -> None:
    network = PositionNetwork(2, side=64).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = network(images)
    assert maps.position.shape == (2, 3, 64, 64)
    assert maps.visible is not None
    assert maps.visible.shape == (2, 1, 64, 64)
    assert float(maps.position.min()) >= 0
    assert float(maps.position.max()) <= REACH * 64
    assert PositionNetwork(2).eval()(images).visible is None


@pytest.fixture
def four() -> MapBatch:
    """Four images of noise, and smooth maps that have nothing to do with them."""
    generator = torch.Generator().manual_seed(3)
    images, coarse = (torch.rand(4, 3, 32, 32, generator=generator), torch.rand(4, 4, 2, 2, generator=generator))
    known = nn.functional.interpolate(coarse, (32, 32), mode="bilinear", align_corners=True)
    return MapBatch(images, 8 + 16 * known[:, :3], (known[:, 3:] > 0.5).float())


def learner_of(batch: MapBatch, rank: int | None) -> PositionLearner:
    recipe = PositionRecipe(6, 32, 32, 4e-3, batch=4, rank=rank, known=2)
    return PositionLearner(recipe, torch.ones(32, 32), lambda generator: batch, 0, False)


@pytest.mark.parametrize("rank", [None, 3])
def test_the_gradient_reaches_every_parameter(four: MapBatch, rank: int | None) -> None:
    learner = learner_of(four, rank)
    learner.step(0.1, torch.Generator())  # the last layer begins with zeros, through which nothing passes
    learner.networks.zero_grad()
    losses = learner.losses(learner.network(four.images), four)
    sum(losses.values(), torch.zeros(())).backward()
    for name, weight in learner.network.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().max()) > 0, name


@pytest.mark.slow
@pytest.mark.parametrize("rank", [None, 3])
def test_four_images_are_learned_by_heart(four: MapBatch, rank: int | None) -> None:
    learner, shown, steps = learner_of(four, rank), [], 300
    for step in range(steps):
        shown.append(dict(learner.step(0.03 + 0.97 * step / steps, torch.Generator())))
    assert float(shown[0]["distance"]) > 8  # percent of the side
    assert float(shown[-1]["distance"]) < 1.5
    assert float(shown[-1]["visibility"]) < 0.2 * float(shown[0]["visibility"])


def test_a_basis_holds_what_maps_differ_in(four: MapBatch) -> None:
    """Three principal components are all that four maps can differ in; half precision is what is lost."""
    network = BasisNetwork(2, 32, 3)
    weight = torch.rand(32, 32, generator=torch.Generator().manual_seed(5))
    weight[:, :4] = 0  # texels that count nothing
    network.span(four.position, weight)
    away = (four.position - network.mean)[..., 4:].flatten(1)
    basis = network.basis[..., 4:].flatten(1)
    weights = torch.linalg.lstsq(basis.T, away.T).solution  # (3, 4)
    torch.testing.assert_close(weights.T @ basis, away, atol=0.02, rtol=0)
    torch.testing.assert_close(weights.square().mean(1), torch.ones(3), atol=0.01, rtol=0)
    assert float(network.basis[..., :4].abs().max()) == 0
    told = network.eval()(four.images)
    torch.testing.assert_close(told.position, network.mean.expand(4, -1, -1, -1))  # before any training
    assert told.visible is not None
    assert told.visible.shape == (4, 1, 32, 32)
