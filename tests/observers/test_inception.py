"""Inception-v3, held against the published graph as TorchScript, torch-fidelity and clean-fid."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from reduced import assert_reduced

from fsbench.errors import WeightsError
from fsbench.images import to_bytes
from fsbench.interfaces import Context
from fsbench.observers.inception import Inception, Resize, prepare
from fsbench.registry import observers

State = dict[str, torch.Tensor]
NOWHERE = torch.full((4, 5, 2), torch.nan)


def crops(n: int = 3, size: int = 96, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear")


def build(path: Path, context: Context, resize: Resize = "tf1") -> Inception:
    return Inception(resize=resize, context=replace(context, path=str(path)))


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def test_features_are_those_of_the_published_graph(
    script: torch.jit.ScriptModule, real_file: Path, photographs: torch.Tensor, context: Context
) -> None:
    seen = build(real_file, context).observe(photographs, NOWHERE)
    assert seen.keys() == {"features"}  # the script has no classifier
    with torch.inference_mode():
        expected = script(prepare(photographs, "tf1")).flatten(1)
    assert expected.std(0).mean() > 0.1  # photographs are not all alike to it
    assert relative(seen["features"], expected) < 1e-5


def test_torch_fidelity_sees_the_same(
    real: State, made_up: State, photographs: torch.Tensor, tmp_path: Path, context: Context
) -> None:
    """With its own resize; the real file's classifier is not at hand, so that logits are of a made-up one."""
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    state = made_up | real
    torch.save(state, tmp_path / "whole.pth")
    extractor = fidelity.FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(tmp_path / "whole.pth")
    )
    observer = build(tmp_path / "whole.pth", context)
    for images in (photographs, photographs[:1, :, :90, :90]):
        with torch.inference_mode():
            features, logits = extractor((images * 255).round().to(torch.uint8))
        seen = observer.observe(images, NOWHERE)
        assert relative(seen["features"], features) < 1e-5
        assert relative(seen["logits"], logits) < 1e-5


@pytest.mark.parametrize("size", [97, 299, 400])
@pytest.mark.parametrize(("resize", "mode"), [("clean", "clean"), ("torch", "legacy_pytorch")])
def test_clean_fid_resizes_the_same(resize: Resize, mode: str, size: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it turns warnings off for everybody, and Pillow's warn
        clean_fid = pytest.importorskip("cleanfid.resize")
        images = (crops(2, size) + torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))) / 2
        resizer = clean_fid.build_resizer(mode)
        expected = np.stack([resizer(pixels) for pixels in to_bytes(images)])
    found = prepare(images, resize)
    levels = (found + 1) * 127.5 if resize == "torch" else found * 128 + 128
    np.testing.assert_allclose(levels.permute(0, 2, 3, 1).numpy(), expected, atol=2e-3)


def test_resizing_like_tensorflow_1_by_closed_form() -> None:
    """Column i lies at i * size / 299: a ramp stays one until its last level, which is then repeated."""
    ramp = (torch.arange(64) / 255).expand(1, 3, 64, 64)
    expected = (torch.arange(299) * 64 / 299).clamp_max(63)
    levels = prepare(ramp, "tf1") * 128 + 128
    torch.testing.assert_close(levels, expected.expand(1, 3, 299, 299), rtol=0, atol=1e-4)
    levels = prepare(ramp.mT, "tf1") * 128 + 128
    torch.testing.assert_close(levels, expected[:, None].expand(1, 3, 299, 299), rtol=0, atol=1e-4)


@pytest.mark.parametrize("resize", ["tf1", "clean", "torch"])
def test_images_are_rounded_to_8_bits_first(resize: Resize) -> None:
    images = crops()
    rounded = (images * 255).round() / 255
    assert torch.equal(prepare(images, resize), prepare(rounded, resize))
    assert prepare(torch.full((1, 3, 8, 8), 1.5), resize).max() <= 1 + 1e-6  # weights of a resize add up to nearly 1


def test_what_it_tells_of_an_image_does_not_depend_on_the_others(
    made_up_file: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fsbench.observers.inception.BATCH", 2)
    observer, images = build(made_up_file, context), crops(3)
    together = observer.observe(images, NOWHERE)
    assert {name: array.shape for name, array in together.items()} == {"features": (3, 2048), "logits": (3, 1008)}
    for i in (0, 2):
        alone = observer.observe(images[i : i + 1], NOWHERE)
        for name, array in alone.items():
            assert array.dtype == torch.float32
            assert relative(array, together[name][i : i + 1]) < 1e-5
    assert relative(together["features"][:1], together["features"][1:2]) > 1e-3


def test_no_images_give_no_rows(made_up_file: Path, context: Context) -> None:
    seen = build(made_up_file, context).observe(torch.zeros(0, 3, 32, 32), torch.zeros(0, 5, 2))
    assert {name: array.shape for name, array in seen.items()} == {"features": (0, 2048), "logits": (0, 1008)}


def test_logits_are_without_the_bias(made_up: State, made_up_file: Path, tmp_path: Path, context: Context) -> None:
    seen = build(made_up_file, context).observe(crops(1), NOWHERE)
    torch.testing.assert_close(seen["logits"], seen["features"] @ made_up["fc.weight"].T)
    without = {
        name: tensor
        for name, tensor in made_up.items()
        if name != "fc.bias" and not name.endswith("num_batches_tracked")
    }
    torch.save(without, tmp_path / "without.pth")
    assert torch.equal(build(tmp_path / "without.pth", context).observe(crops(1), NOWHERE)["logits"], seen["logits"])


def test_the_resize_is_a_parameter_and_its_file_is_told(made_up_file: Path, context: Context) -> None:
    built = {name: observers.build(f"inception(resize={name})@{made_up_file}", context) for name in ("tf1", "clean")}
    file = built["clean"].info.weights[0]
    assert (file.path, file.licence) == (made_up_file, "Apache-2.0, if it is the authors' file")
    first, second = (one.observe(crops(1), NOWHERE)["features"] for one in built.values())
    assert relative(first, second) > 1e-4


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
        ("code", "damaged"),
        ("a list", "no table"),
        ("torchvision's", r"fc\.weight is 1000x2048 instead of 1008x2048"),
        ("another network", r"layer1\.weight is 2 instead of not there"),
        ("a layer missing", r"Mixed_7c\.branch_pool\.conv\.weight is not there"),
        ("no tensor", r"Mixed_5b\.branch1x1\.bn\.bias is no tensor \(int\) instead of 64"),
    ],
)
def test_what_is_not_this_network_is_refused_in_one_sentence(
    kind: str, match: str, made_up: State, made_up_file: Path, tmp_path: Path, context: Context
) -> None:
    path, sprung = tmp_path / "bad.pth", tmp_path / "sprung"
    match kind:
        case "truncated":
            path.write_bytes(made_up_file.read_bytes()[:1_000_000])
        case "text":
            path.write_text("<html>404</html>")
        case "code":
            torch.save(made_up | {"fc.bias": Trap(sprung)}, path)
        case "a list":
            torch.save([1], path)
        case "torchvision's":
            torch.save(made_up | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, path)
        case "another network":
            torch.save({"layer1.weight": torch.zeros(2)}, path)
        case "a layer missing":
            torch.save({n: t for n, t in made_up.items() if n != "Mixed_7c.branch_pool.conv.weight"}, path)
        case "no tensor":
            torch.save(made_up | {"Mixed_5b.branch1x1.bn.bias": 3}, path)
    with pytest.raises(WeightsError, match=match) as caught:
        build(path, context)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert "fsbench weights list" in caught.value.hint
    assert not sprung.exists()


def test_torchscript_is_not_run(script: torch.jit.ScriptModule, tmp_path: Path, context: Context) -> None:
    """It is a program; what may be in one that somebody made is not known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script.save(str(tmp_path / "script.pt"))
        with pytest.raises(WeightsError, match="is a TorchScript archive, a program"):
            build(tmp_path / "script.pt", context)


def test_a_missing_file_names_the_command(fresh_context: Context) -> None:
    with pytest.raises(WeightsError, match="inception") as caught:
        observers.build("inception", fresh_context)
    assert caught.value.hint == "fsbench weights fetch inception"


def test_in_less_precision_only_the_network_computes(made_up_file: Path, context: Context) -> None:
    assert_reduced(lambda context: build(made_up_file, context), context)


def test_in_less_precision_features_of_photographs_stay(
    real_file: Path, photographs: torch.Tensor, context: Context
) -> None:
    plain, reduced = (
        build(real_file, replace(context, precision=precision)).observe(photographs, NOWHERE)["features"]
        for precision in ("float32", "bfloat16")
    )
    assert ((reduced - plain).norm(dim=1) / plain.norm(dim=1)).max() < 0.03
