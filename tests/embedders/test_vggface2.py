"""The networks are held against a second implementation that is written out below, layer by layer, from the facts.

`test_keras_vggface.py` holds them against the keras-vggface package itself, where it is installed. Weights are random
everywhere, statistics of the normalisations too: their defaults, 0 and 1, would hide what is missing.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reduced import assert_reduced
from skimage.data import astronaut

from fsbench import contracts
from fsbench.embedders._vggface2 import class_names, cut
from fsbench.embedders._vggface2_network import CHIP, PYTORCH, Architecture, VggfaceNetwork, read_network
from fsbench.embedders.vggface2_resnet50 import Vggface2Resnet50
from fsbench.embedders.vggface2_senet50 import Vggface2Senet50
from fsbench.errors import BadParameter, WeightsError
from fsbench.faces.align import TEMPLATE
from fsbench.faces.detect import Detector
from fsbench.interfaces import Context

BLOCKS = [(stage, block) for stage, n in ((2, 3), (3, 4), (4, 6), (5, 3)) for block in range(1, n + 1)]
ARCHITECTURES = ("resnet50", "senet50")
Arrays = dict[str, np.ndarray]


# --------------------------------------------------------------------------------- the networks, as the facts have them


def layers(architecture: str) -> dict[str, tuple[int, ...]]:
    """Layers of keras-vggface by name: a convolution as (height, width, in, out), a normalisation as (channels,)."""
    found: dict[str, tuple[int, ...]] = {"conv1/7x7_s2": (7, 7, 3, 64), "conv1/7x7_s2/bn": (64,)}
    before = 64
    for stage, block in BLOCKS:
        width, name = 64 * 2 ** (stage - 2), f"conv{stage}_{block}_"
        shapes = {
            "1x1_reduce": (1, 1, before, width),
            "3x3": (3, 3, width, width),
            "1x1_increase": (1, 1, width, 4 * width),
        }
        if block == 1:
            shapes["1x1_proj"] = (1, 1, before, 4 * width)
        for part, shape in shapes.items():
            found |= {name + part: shape, f"{name}{part}/bn": shape[3:]}
        if architecture == "senet50":
            found |= {name + "1x1_down": (1, 1, 4 * width, width // 4), name + "1x1_up": (1, 1, width // 4, 4 * width)}
        before = 4 * width
    return found | {"classifier": (2048, 8631)}


def values_of(layer: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what Keras stores for a layer."""
    if layer.endswith("/bn"):
        return dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), shape)
    biased = layer == "classifier" or layer.endswith(("_down", "_up"))
    return {"kernel": shape, **({"bias": shape[-1:]} if biased else {})}


def random_weights(architecture: str) -> dict[str, Arrays]:
    """By layer and value, of a size that keeps features about 1 and probabilities far from 0 and 1."""
    draw = np.random.default_rng(5)
    found = {}
    for layer, shape in layers(architecture).items():
        ranges = {"gamma": (0.2, 0.6), "beta": (-0.2, 0.2), "moving_mean": (-0.3, 0.3), "moving_variance": (0.1, 2.0)}
        arrays = {}
        for value, size in values_of(layer, shape).items():
            if value in ranges:
                arrays[value] = draw.uniform(*ranges[value], size).astype(np.float32)
            else:
                fan_in = np.prod(shape[:-1]) * (60**2 if layer == "conv1/7x7_s2" else 1)
                scale = np.float32(0.2 if value == "bias" else np.sqrt(2 / fan_in))
                arrays[value] = scale * draw.standard_normal(size, np.float32)
        found[layer] = arrays
    return found


def reference(
    weights: dict[str, Arrays], chips: torch.Tensor, eps: float, pad: tuple[int, int], ceil: bool
) -> torch.Tensor:
    """(N, 3, 224, 224) in [0, 1] -> (N, 2048)."""

    def conv(name: str, x: torch.Tensor, stride: int = 1, padding: int = 0) -> torch.Tensor:
        kernel = torch.from_numpy(weights[name]["kernel"]).permute(3, 2, 0, 1)
        bias = weights[name].get("bias")
        return F.conv2d(x, kernel, None if bias is None else torch.from_numpy(bias), stride, padding)

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        gamma, beta, mean, variance = (
            torch.from_numpy(weights[f"{name}/bn"][value]).view(-1, 1, 1)
            for value in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / (variance + eps).sqrt() * gamma + beta

    pixels = chips[:, [2, 1, 0]] * 255 - torch.tensor([91.4953, 103.8827, 131.0912]).view(3, 1, 1)
    x = norm("conv1/7x7_s2", conv("conv1/7x7_s2", F.pad(pixels, (*pad, *pad)), stride=2)).relu()
    x = F.max_pool2d(x, 3, 2, padding=0, ceil_mode=ceil)
    for stage, block in BLOCKS:
        stride = 2 if block == 1 and stage > 2 else 1
        reduce, middle, increase, down, up, proj = (
            f"conv{stage}_{block}_{part}"
            for part in ("1x1_reduce", "3x3", "1x1_increase", "1x1_down", "1x1_up", "1x1_proj")
        )
        y = norm(reduce, conv(reduce, x, stride)).relu()
        y = norm(middle, conv(middle, y, padding=1)).relu()
        y = norm(increase, conv(increase, y))
        if down in weights:
            y = y * conv(up, conv(down, F.adaptive_avg_pool2d(y, 1)).relu()).sigmoid()
        x = (y + (norm(proj, conv(proj, x, stride)) if proj in weights else x)).relu()
    return F.avg_pool2d(x, 7)[:, :, 0, 0]


# ---------------------------------------------------------------------------------------------------------------- files


def write_h5(path: Path, weights: dict[str, Arrays]) -> Path:
    """Write as Keras's save_weights does; layers without weights are listed too."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ("input_1", *weights)]
        file.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for layer, arrays in weights.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{value}:0".encode() for value in arrays]
            for value, array in arrays.items():
                group[f"{layer}/{value}:0"] = array
    return path


def hollow_h5(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a file that has all its shapes and, as nothing is stored, zeros: some hundred kilobytes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in shapes]
        for layer, shape in shapes.items():
            values = values_of(layer, shape)
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{value}:0".encode() for value in values]
            for value, size in values.items():
                group.create_dataset(f"{layer}/{value}:0", size, np.float32)
    return path


def pytorch_arrays(weights: dict[str, Arrays]) -> Arrays:
    """Rename to VGGFace2-pytorch's names, as its modules list them: stage 2 of Keras is layer1, blocks count from 0."""
    parts = {"1x1_reduce": "conv1", "3x3": "conv2", "1x1_increase": "conv3", "1x1_down": "conv4", "1x1_up": "conv5"}
    values = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    found = {}
    for layer, arrays in weights.items():
        plain, slash, _ = layer.partition("/bn")
        if plain == "classifier":
            name = "fc"
        elif plain == "conv1/7x7_s2":
            name = "bn1" if slash else "conv1"
        else:
            _, stage, block, part = re.split(r"conv(\d)_(\d)_", plain)
            inner = f"downsample.{int(bool(slash))}" if part == "1x1_proj" else parts[part]
            name = f"layer{int(stage) - 1}.{int(block) - 1}.{inner.replace('conv', 'bn') if slash else inner}"
        for value, array in arrays.items():
            turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
            found[f"{name}.{values.get(value, value)}"] = np.ascontiguousarray(turned)
    return found


def write_pickle(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.fixture(scope="module", params=ARCHITECTURES)
def random_network(request: pytest.FixtureRequest) -> tuple[str, dict[str, Arrays]]:
    return request.param, random_weights(request.param)


@pytest.fixture(scope="module")
def chips() -> torch.Tensor:
    return torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert theirs.std() > 0.05, "features that hardly differ prove nothing"
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_keras_files_agree_with_the_reference(
    random_network: tuple[str, dict[str, Arrays]], chips: torch.Tensor, tmp_path: Path
) -> None:
    architecture, weights = random_network
    path = write_h5(tmp_path / "weights.h5", weights)
    network = read_network(path, architecture)
    path.unlink()  # pytest keeps the folders of three runs
    wanted = reference(weights, chips, {"resnet50": 1e-3, "senet50": 1e-4}[architecture], (2, 3), ceil=False)
    features = network(chips)
    assert_same(features, wanted)
    logits = wanted.numpy() @ weights["classifier"]["kernel"] + weights["classifier"]["bias"]
    assert_same(network.fc(features), torch.from_numpy(logits))


def test_pytorch_files_agree_with_the_reference(
    random_network: tuple[str, dict[str, Arrays]], chips: torch.Tensor, tmp_path: Path
) -> None:
    architecture, weights = random_network
    path = write_pickle(tmp_path / "weights.pkl", pytorch_arrays(weights))
    network = read_network(path, architecture)
    path.unlink()
    assert_same(network(chips), reference(weights, chips, 1e-5, (3, 3), ceil=True))


# ------------------------------------------------------------------------------------------------------------- embedder


@pytest.fixture(scope="module")
def notop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ResNet-50 without its classifier."""
    weights = random_weights("resnet50")
    del weights["classifier"]
    return write_h5(tmp_path_factory.mktemp("vggface2") / "notop.h5", weights)


def at(path: Path, context: Context) -> Context:
    return replace(context, path=str(path))


def test_contract_and_perceptual_features(notop: Path, context: Context) -> None:
    embedder = Vggface2Resnet50(context=at(notop, context))
    contracts.check_embedder(embedder)
    assert embedder.info.classes == ()
    assert embedder.info.family == "vggface2_resnet50"
    with pytest.raises(WeightsError, match="without its classifier"):
        embedder.classify(torch.zeros(1, 2048))

    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    maps = embedder.features(images)
    assert [tuple(one.shape[1:]) for one in maps] == [(64, 112, 112), (256, 55, 55), (512, 28, 28), (2048, 7, 7)]
    torch.testing.assert_close(
        maps[-1].mean((2, 3)), embedder._network(F.interpolate(images, (224, 224), mode="bilinear"))
    )
    sum(one.square().mean() for one in maps).backward()
    assert images.grad.abs().min() > 0
    assert not any(p.requires_grad or p.is_inference() for p in embedder._network.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_features_are_shown_before_their_activation(architecture: Architecture) -> None:
    network = VggfaceNetwork(architecture, PYTORCH, classifier=False).eval()
    chips = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first, *before = network.preactivations(chips)
        raw, *after = network.maps(chips)
        x = network.stem(chips)[1]
        assert torch.equal(first.relu(), network.layer1[0](x))
    assert raw.shape[1:] == (64, 112, 112)
    for mine, theirs in zip(before, after, strict=True):
        assert torch.equal(mine.relu(), theirs)
        assert bool((mine < 0).any())


def test_features_after_embedding_still_have_gradients(notop: Path, fresh_context: Context) -> None:
    weights = fresh_context.store.root / "weights"
    weights.mkdir(parents=True)
    (weights / "rcmalli_vggface_tf_notop_resnet50.h5").symlink_to(notop)
    embedder = Vggface2Resnet50(context=fresh_context)  # reads its file at the first call, which has no gradients
    embedder.embed(torch.rand(1, 3, 64, 64), torch.from_numpy(TEMPLATE * 64)[None])
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    embedder.features(images)[0].sum().backward()
    assert images.grad.abs().max() > 0


def test_first_present_file_is_taken(fresh_context: Context) -> None:
    weights = fresh_context.store.root / "weights"
    weights.mkdir(parents=True)
    with pytest.raises(WeightsError, match=r"vggface2_senet50_keras, .*vggface2_senet50_scratch"):
        Vggface2Senet50(context=fresh_context)
    write_pickle(weights / "senet50_ft_weight.pkl", {})
    info = Vggface2Senet50(context=fresh_context).info
    assert [file.name for file in info.weights] == ["vggface2_senet50_ft"]
    assert len(info.classes) == 8631
    shapes = layers("senet50")
    del shapes["classifier"]
    hollow_h5(weights / "rcmalli_vggface_tf_notop_senet50.h5", shapes)
    info = Vggface2Senet50(context=fresh_context).info
    assert info.weights[0].name == "vggface2_senet50_keras_notop"
    assert info.classes == ()
    assert Vggface2Senet50(weights="ft", context=fresh_context).info.weights[0].name == "vggface2_senet50_ft"
    with pytest.raises(WeightsError, match="vggface2_senet50_scratch"):
        Vggface2Senet50(weights="scratch", context=fresh_context)


def test_classes_are_known_without_reading_the_weights(tmp_path: Path, context: Context) -> None:
    hollow = hollow_h5(tmp_path / "hollow.h5", layers("resnet50"))
    assert hollow.stat().st_size < 2**20
    embedder = Vggface2Resnet50(context=at(hollow, context))
    assert embedder.info.classes == class_names()
    assert embedder.classify(torch.zeros(2, 2048)).shape == (2, 8631)


def test_names_are_clean_and_in_the_order_of_the_classes() -> None:
    """Class 2 is A. J. Buckley: keras-vggface's own test names its photograph of him by it."""
    names = class_names()
    assert len(set(names)) == 8631
    assert names[:3] == ("A Fine Frenzy", "A. A. Gill", "A. J. Buckley")
    assert all(name == " ".join(name.split()) and not set(name) & set('_"\\') for name in names)


def test_a_kind_and_a_path_contradict_each_other(notop: Path, context: Context) -> None:
    with pytest.raises(BadParameter, match="weights=ft and the file"):
        Vggface2Resnet50(weights="ft", context=at(notop, context))


# ---------------------------------------------------------------------------------------------------------------- chips


def test_chips_show_the_middle_of_the_enlarged_box(context: Context) -> None:
    """VGGFace2's protocol, from MTCNN's box on one photograph; the medians of 498 others are within a tenth of it."""
    image = astronaut()[:256, 96:352]
    found = Detector(context.device).detect_photo(image)
    left, top, right, bottom = found.boxes[0]
    y, x = torch.meshgrid(torch.arange(256) + 0.5, torch.arange(256) + 0.5, indexing="ij")
    places = torch.stack([x, y, 0 * x])[None] / 256
    chip = cut(places, torch.from_numpy(found.landmarks))[0, :2] * 256  # x and y of the photograph, at each pixel
    centre, side = chip.mean((1, 2)), (chip[:, 1:, 1:] - chip[:, :-1, :-1]).mean((1, 2)).norm() / 2**0.5 * CHIP
    width = right - left
    assert side == pytest.approx(1.3 * width * 224 / 256, rel=0.1)
    assert centre.numpy() == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.1 * float(width))


# ------------------------------------------------------------------------------------------------------------ bad files


def refused(path: Path, context: Context, embedder: Callable[..., Any] = Vggface2Resnet50) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        embedder(context=at(path, context))
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert "fsbench weights list" in caught.value.hint
    return caught.value


def test_an_h5_of_another_network_is_refused(tmp_path: Path, context: Context) -> None:
    shapes = layers("resnet50")
    missing = {name: shape for name, shape in shapes.items() if name != "conv3_2_3x3"}
    error = refused(hollow_h5(tmp_path / "missing.h5", missing), context)
    assert "resnet50 of VGGFace2: layer2.1.conv2.weight is missing instead of 128x128x3x3" in error.message
    error = refused(hollow_h5(tmp_path / "shape.h5", shapes | {"classifier": (2048, 10)}), context)
    assert "fc.bias is 10 instead of 8631" in error.message
    error = refused(hollow_h5(tmp_path / "senet.h5", layers("senet50")), context)
    assert "layer1.0.conv4.bias is 16 instead of missing" in error.message
    error = refused(hollow_h5(tmp_path / "vgg16.h5", {"conv1_1": (3, 3, 3, 64), "fc6": (25088, 4)}), context)
    assert "is missing" in error.message
    refused(tmp_path / "shape.h5", context, Vggface2Senet50)


def test_a_damaged_h5_is_refused(tmp_path: Path, context: Context) -> None:
    whole = hollow_h5(tmp_path / "whole.h5", layers("resnet50")).read_bytes()
    damaged = tmp_path / "damaged.h5"
    for length in (100, len(whole) // 2, len(whole) - 1):
        damaged.write_bytes(whole[:length])
        assert "damaged" in refused(damaged, context).message
    for start in range(len(whole) // 8, len(whole), len(whole) // 8):
        damaged.write_bytes(whole[:start] + bytes(4096) + whole[start + 4096 :])
        refused(damaged, context)
    with h5py.File(damaged, "w") as file:
        file["other"] = np.zeros(3)
    assert "no weights that Keras saved" in refused(damaged, context).message
    with h5py.File(damaged, "w") as file:
        file.attrs["layer_names"] = 3
    refused(damaged, context)


def test_a_network_is_frozen(tmp_path: Path) -> None:
    network = read_network(hollow_h5(tmp_path / "hollow.h5", layers("senet50")), "senet50")
    assert isinstance(network, VggfaceNetwork)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.get_submodule("layer1").modules())


def test_in_less_precision_only_the_network_computes(notop: Path, context: Context) -> None:
    assert_reduced(lambda context: Vggface2Resnet50(context=at(notop, context)), context)
