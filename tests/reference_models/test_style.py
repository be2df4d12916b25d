"""Style transfer: the networks, what is carried over, what reaches the output, and the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench import contracts, weights
from fsbench.contracts import toy_targets
from fsbench.errors import BadParameter, WeightsError
from fsbench.interfaces import Context, Source, Swapped
from fsbench.registry import refiners
from fsbench.store import file_sha256
from fsbench.weights.tensors import read_tensors
from reference_models.style.microast import MicroAstNetwork
from reference_models.style.restyle import face_square, restyle
from reference_models.style.statistics import adain, gram, whiten_and_colour
from reference_models.style.vgg import BLOCKS, VggDecoder, VggEncoder, read_decoder, read_encoder

CPU = torch.device("cpu")
REFINERS = ("adain", "microast", "wct", "gatys(steps=2)")


def images(n: int, size: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))


def smooth(n: int, size: int, seed: int = 0) -> Tensor:
    return F.interpolate(images(n, size // 8, seed), size=(size, size), mode="bicubic").clamp(0, 1)


def refine(name: str, context: Context, output: Swapped, targets: Tensor) -> Swapped:
    return refiners.build(name, context).refine(output, toy_targets(targets), Source("a", targets[:1]))


def with_size(text: str, size: int) -> str:
    name, _, parameters = text.rstrip(")").partition("(")
    return f"{name}({','.join(filter(None, [parameters, f'size={size}']))})"


# ---------------------------------------------------------------------------------------------------------- statistics


def test_adain_is_the_published_formula() -> None:
    content, style = torch.randn(2, 5, 6, 7).double(), 3 * torch.randn(2, 5, 4, 9).double() + 1
    (mean, deviation), (style_mean, style_deviation) = (
        (maps.mean((2, 3), keepdims=True), np.sqrt(maps.var((2, 3), ddof=1, keepdims=True) + 1e-5))
        for maps in (content.numpy(), style.numpy())
    )
    expected = (content.numpy() - mean) / deviation * style_deviation + style_mean
    np.testing.assert_allclose(adain(content, style).numpy(), expected, atol=1e-12)


def reference_wct(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Li et al. 2017, section 3.2, by the eigenvalues of the covariances: (C, P) and (C, Q) -> (C, P)."""
    centred = content - content.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(content)))
    for value, vector in zip(values, vectors.T, strict=True):
        along = vector @ centred
        centred = centred - np.outer(vector, along) * (1 - 1 / np.sqrt(value) if value > 1e-5 else 1)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(style)))
    kept = np.where(values > 1e-5, np.sqrt(values.clip(0)), 0)
    return vectors @ np.diag(kept) @ vectors.T @ centred + style.mean(1, keepdims=True)


@pytest.mark.parametrize(
    ("n_content", "n_style"), [((8, 9), (7, 11)), ((2, 3), (7, 11)), ((8, 9), (1, 2)), ((1, 2),) * 2]
)
def test_wct_is_the_published_formula_with_few_pixels_too(n_content: tuple, n_style: tuple) -> None:
    content, style = torch.randn(1, 6, *n_content).double(), 2 * torch.rand(1, 6, *n_style).double() ** 2 + 1
    style[:, 1] = style[:, 0] * 2  # of lower rank whatever its size
    answer = whiten_and_colour(content, style)
    expected = reference_wct(content[0].flatten(1).numpy(), style[0].flatten(1).numpy())
    np.testing.assert_allclose(answer[0].flatten(1).numpy(), expected, atol=1e-9)


def test_wct_gives_the_covariance_of_the_style() -> None:
    content, style = torch.randn(1, 4, 16, 16), torch.rand(1, 4, 10, 10) @ torch.randn(10, 10) + 2
    answer, wanted = (maps[0].flatten(1) for maps in (whiten_and_colour(content, style), style))
    torch.testing.assert_close(answer.mean(1), wanted.mean(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(answer.cov(), wanted.cov(), atol=1e-4, rtol=1e-4)


def test_what_has_no_variance_becomes_the_mean_of_the_style() -> None:
    style = torch.randn(1, 4, 5, 5)
    for transfer in (adain, whiten_and_colour):
        flat = torch.full((1, 4, 3, 3), 0.25)
        torch.testing.assert_close(transfer(flat, style), style.mean((2, 3), keepdim=True).expand(1, 4, 3, 3))
    torch.testing.assert_close(whiten_and_colour(style[..., :1, :1], style)[0, :, 0, 0], style.mean((2, 3))[0])


def test_gram_matrices_are_products_of_channels_averaged_over_pixels() -> None:
    maps = torch.randn(2, 5, 6, 7).double()
    torch.testing.assert_close(gram(maps), torch.einsum("nihw,njhw->nij", maps, maps) / 42)
    levels = torch.tensor([1.0, -2.0, 3.0])
    for height, width in ((1, 1), (4, 9)):  # comparable between sizes
        flat = levels.view(1, 3, 1, 1).expand(1, 3, height, width)
        torch.testing.assert_close(gram(flat)[0], levels[:, None] * levels)
    stripes = torch.tensor([1.0, -1.0]).expand(2, 1, 4, 2) * torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    torch.testing.assert_close(gram(stripes), torch.tensor([1.0, 9.0]).view(2, 1, 1), msg="the mean is not subtracted")


# ------------------------------------------------------------------------------------------------------------ networks


def plain_vgg(state: dict[str, Tensor], image: Tensor) -> dict[str, Tensor]:
    """Maps of all ReLUs, by a loop over the layers of the file."""
    names = sorted({int(name.partition(".")[0]) for name in state})
    maps, x = {}, F.conv2d(image, state["0.weight"], state["0.bias"])
    place = iter(names[1:])
    for block, (_, n_convolutions) in enumerate(BLOCKS, 1):
        if block > 1:
            x = F.max_pool2d(x, 2, ceil_mode=True)
        for i in range(1, n_convolutions + 1):
            layer = next(place)
            padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
            x = maps[f"relu{block}_{i}"] = F.conv2d(padded, state[f"{layer}.weight"], state[f"{layer}.bias"]).relu()
    return maps


def test_the_encoder_is_a_loop_over_the_layers_of_its_file(style_files: dict[str, Path]) -> None:
    image = images(1, 40)
    expected = plain_vgg(read_tensors(style_files["vgg19_normalised"]), image)
    encoder = read_encoder(style_files["vgg19_normalised"], "relu5_1", CPU)
    names = ["relu4_1", "relu1_1", "relu5_1", "relu3_1", "relu1_2"]  # in any order
    for name, maps in zip(names, encoder(image, names), strict=True):
        torch.testing.assert_close(maps, expected[name], rtol=1e-5, atol=1e-5)
        block = int(name[4])
        assert maps.shape == (1, BLOCKS[block - 1][0], *(-(-40 // 2 ** (block - 1)),) * 2)


def test_the_decoder_mirrors_the_encoder(style_files: dict[str, Path]) -> None:
    state, x = read_tensors(style_files["adain_decoder"]), torch.randn(1, 512, 5, 6)
    decoder = read_decoder(style_files["adain_decoder"], CPU)
    answer = decoder(x)
    for layer in (1, 5, 8, 11, 14, 18, 21, 25, 28):
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        x = F.conv2d(padded, state[f"{layer}.weight"], state[f"{layer}.bias"])
        x = x if layer == 28 else x.relu()
        if layer in (1, 14, 21):
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(answer, x, rtol=1e-5, atol=1e-5)
    assert answer.shape == (1, 3, 40, 48)


def test_sizes_of_networks_are_the_published_ones(style_files: dict[str, Path]) -> None:
    def count(network: torch.nn.Module) -> int:
        return sum(weight.numel() for weight in network.parameters())

    with torch.device("meta"):
        vgg, decoder, micro = VggEncoder(), VggDecoder(), MicroAstNetwork()
    assert count(vgg) == 20_024_384 + 12  # VGG19 without its classifier, and the 1x1 convolution
    assert count(read_encoder(style_files["vgg19_normalised"], "relu4_1", CPU)) == 3_505_740
    assert count(decoder) == 3_505_219
    assert round(count(micro) / 1e6, 3) == 0.472  # Wang et al. 2023, table 2


def plain_microast(files: dict[str, Path], content: Tensor, style: Tensor) -> Tensor:
    """The network of the paper's figure 3, a convolution at a time."""
    state = {
        name: read_tensors(files[f"microast_{name}"])
        for name in ("content_encoder", "style_encoder", "modulator", "decoder")
    }

    def conv(part: str, name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = (state[part][f"{name}.conv_layer.{kind}"] for kind in ("weight", "bias"))
        side, groups = weight.shape[-1] // 2, x.shape[1] // weight.shape[1]
        return F.conv2d(F.pad(x, (side,) * 4, mode="reflect"), weight, bias, stride, groups=groups)

    def encode(part: str, x: Tensor) -> list[Tensor]:
        for layer, stride in ((0, 1), (2, 2), (4, 1), (6, 2), (8, 1)):
            x = conv(part, f"enc1.{layer}", x, stride).relu()
        levels = []
        for name in ("enc1.10", "enc2.0"):
            x = x + conv(part, f"{name}.conv2", conv(part, f"{name}.conv1", x).relu())
            levels.append(x)
        return levels

    content_maps, style_maps = encode("content_encoder", content), encode("style_encoder", style)
    x = content_maps[1]
    for level, name in ((1, "dec1"), (0, "dec2")):
        weight, bias = (
            conv("modulator", f"{kind}{level + 1}.0", style_maps[level]).mean((2, 3), keepdim=True)
            for kind in ("weight", "bias")
        )
        x = adain(x, style_maps[level])
        y = (weight * conv("decoder", f"{name}.conv1", x) + bias * x).relu()
        x = x + weight * conv("decoder", f"{name}.conv2", y) + bias * y
    for layer in (1, 3, 6, 8):
        if layer in (1, 6):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = conv("decoder", f"dec3.{layer}", x).relu()
    return conv("decoder", "dec3.10", x)


def test_microast_is_the_published_network(style_files: dict[str, Path], style_context: Context) -> None:
    content, style = images(1, 32, 1), images(1, 32, 2)
    answer = refiners.build("microast", style_context).stylise(content, style)
    expected = plain_microast(style_files, content, style).clamp(0, 1)
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.05, "clipped to black and white, it would tell nothing"


# ------------------------------------------------------------------------------------------------ what gets into images


@pytest.mark.parametrize("text", REFINERS)
def test_refiners_keep_their_contract(text: str, style_context: Context) -> None:
    contracts.check_refiner(refiners.build(with_size(text, 32), style_context))


@pytest.mark.parametrize("size", [64, 75, 128])
@pytest.mark.parametrize("text", REFINERS[:3])
def test_what_alpha_leaves_out_stays_and_the_alpha_is_kept(text: str, size: int, style_context: Context) -> None:
    output, alpha = smooth(2, size * 8)[..., :size, :size], torch.zeros(2, 1, size, size)
    alpha[..., size // 3 : -size // 3, size // 3 : -size // 3] = 0.7
    refined = refine(with_size(text, 50), style_context, Swapped(output, alpha), images(2, size, 5))
    inside = alpha.expand_as(output) > 0
    assert torch.equal(refined.images[~inside], output[~inside])
    assert (refined.images[inside] - output[inside]).abs().mean() > 0.02
    assert torch.equal(refined.alpha, alpha)
    nothing = refine(with_size(text, 50), style_context, Swapped(output, alpha * 0), images(2, size, 5))
    assert torch.equal(nothing.images, output)


def test_without_an_alpha_the_square_around_the_face_is_restyled_and_its_border_fades_out() -> None:
    output, style = torch.full((1, 3, 100, 100), 0.2), torch.full((1, 3, 100, 100), 0.9)
    refined = restyle(lambda content, style: style, Swapped(output), toy_targets(style), 32, 8, "style", CPU)
    square, inside = face_square(100)
    assert refined.alpha is None
    assert output[square].shape[-2:] == inside.shape == (66, 66)
    torch.testing.assert_close(refined.images[square], (0.2 + 0.7 * inside).expand(1, 3, 66, 66))
    assert float(inside.max()) == 1
    step = 1 / 66 / 0.12  # half a pixel, as a share of what the border fades over
    assert float(inside[0].max()) == pytest.approx(3 * step**2 - 2 * step**3, rel=1e-4)
    outside = torch.ones(1, 3, 100, 100)
    outside[square] = 0
    assert torch.equal(refined.images[outside > 0], output[outside > 0])


@pytest.mark.parametrize(("size", "seen"), [(32, 48), (128, 128), (100, 104)])
def test_a_network_sees_faces_enlarged_and_continued_by_reflection_and_never_made_smaller(size: int, seen: int) -> None:
    shown: list[Tensor] = []

    def look(content: Tensor, style: Tensor) -> Tensor:
        shown.append(content)
        assert content.shape == style.shape
        return content

    output = smooth(1, 64)
    refined = restyle(look, Swapped(output), toy_targets(images(1, 64)), size, 8, "style", CPU)
    assert shown[0].shape == (1, 3, seen, seen)
    side = max(size, 42)
    if seen > side:
        torch.testing.assert_close(shown[0][..., side], shown[0][..., side - 2])
    torch.testing.assert_close(refined.images, output, atol=0.02 if size > 42 else 1e-6, rtol=0)


def test_the_colours_of_the_content_are_carried_over_to_the_style_before() -> None:
    content, style = smooth(1, 64, 3) * 0.5, smooth(1, 64, 4)
    shown: list[Tensor] = []

    def look(content: Tensor, style: Tensor) -> Tensor:
        shown.extend((content, style))
        return style

    restyle(look, Swapped(content), toy_targets(style), 48, 8, "content", CPU)
    wanted, given = (pixels[0].flatten(1) for pixels in shown)
    torch.testing.assert_close(given.mean(1), wanted.mean(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(given.cov(), wanted.cov(), atol=1e-5, rtol=1e-3)
    assert (given - wanted).abs().mean() > 0.01


def test_alpha_is_the_share_of_the_style(style_context: Context) -> None:
    content, style = images(1, 32, 1), images(1, 32, 2)
    micro = refiners.build("microast(alpha=0)", style_context)
    assert torch.equal(micro.stylise(content, style), content)
    for name in ("adain", "wct"):
        none, half, whole = (refiners.build(f"{name}(alpha={alpha})", style_context) for alpha in ("0", "0.5", "1"))
        encoder, decoder = none._networks
        (maps,) = encoder(content)
        torch.testing.assert_close(none.stylise(content, style), decoder(maps))
        (style_maps,) = encoder(style)
        mixed = decoder((maps + whole.transfer(maps, style_maps)) / 2)
        torch.testing.assert_close(half.stylise(content, style), mixed, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "text", ["adain(alpha=1.5)", "wct(alpha=-0.1)", "microast(size=31)", "adain(colours=mine)", "gatys(steps=0)"]
)
def test_parameters_out_of_range_are_refused(text: str, style_context: Context) -> None:
    with pytest.raises(BadParameter, match=text.partition("(")[0]):
        refiners.build(text, style_context)


# --------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("adain", "fsbench weights fetch vgg19_normalised adain_decoder"),
        ("wct", "fsbench weights fetch vgg19_normalised adain_decoder"),
        ("gatys", "fsbench weights fetch vgg19_normalised"),
        ("microast", "fsbench weights fetch microast_content_encoder microast_style_encoder microast_modulator"),
    ],
)
def test_missing_files_are_answered_with_one_command(text: str, command: str, fresh_context: Context) -> None:
    with pytest.raises(WeightsError, match="not installed") as caught:
        refiners.build(text, fresh_context)
    assert caught.value.hint.startswith(command)


def test_one_missing_file_is_answered_with_its_command(style_context: Context) -> None:
    (style_context.store.root / "weights" / weights.CATALOGUE["microast_modulator"].file).unlink()
    with pytest.raises(WeightsError) as caught:
        refiners.build("microast", style_context)
    assert caught.value.hint == "fsbench weights fetch microast_modulator"


def test_a_decoder_of_the_users_own_is_taken(style_files: dict[str, Path], style_context: Context) -> None:
    mine = refiners.build(f"adain@{style_files['adain_decoder']}", style_context)
    known = refiners.build("adain", style_context)
    assert [file.sha256 for file in mine.weights_files] == [file.sha256 for file in known.weights_files]
    content, style = images(1, 32, 1), images(1, 32, 2)
    assert torch.equal(mine.stylise(content, style), known.stylise(content, style))


def damaged(state: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    last = list(state)[-1]
    match how:
        case "nan":
            state[last] = torch.full_like(state[last], torch.nan)
        case "infinite":
            state[last][..., 0] = -torch.inf
        case "shape":
            state[last] = state[last][:-1]
        case "less":
            del state[last]
        case "more":
            state["99.weight"] = torch.zeros(1)
    return state


@pytest.mark.parametrize(
    ("how", "said"),
    [("nan", "not finite"), ("infinite", "not finite"), ("shape", "instead of"), ("less", "not there"), ("more", "99")],
)
def test_a_file_that_holds_no_decoder_is_refused_in_a_sentence(
    how: str, said: str, style_files: dict[str, Path], style_context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "mine.pth"
    torch.save(damaged(read_tensors(style_files["adain_decoder"]), how), path)
    for name in ("adain", "wct"):
        with pytest.raises(WeightsError, match="AdaIN's decoder") as caught:
            refiners.build(f"{name}@{path}", style_context)
        assert said in caught.value.message
        assert "\n" not in caught.value.message


def test_cut_and_foreign_files_are_refused(
    style_files: dict[str, Path], style_context: Context, tmp_path: Path
) -> None:
    whole = style_files["adain_decoder"].read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"<html>", style_files["microast_decoder"].read_bytes()):
        path = tmp_path / "mine.pth"
        path.write_bytes(content)
        with pytest.raises(WeightsError):
            refiners.build(f"adain@{path}", style_context)


def test_files_of_the_catalogue_are_held_to_shapes_and_numbers_too(
    style_files: dict[str, Path], style_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text, name in (("microast", "microast_modulator"), ("adain", "vgg19_normalised")):
        path = style_context.store.root / "weights" / weights.CATALOGUE[name].file
        path.unlink()
        torch.save(damaged(read_tensors(style_files[name]), "nan"), path)
        monkeypatch.setitem(weights.CATALOGUE, name, replace(weights.CATALOGUE[name], sha256=file_sha256(path)))
        refiner = refiners.build(text, style_context)
        with pytest.raises(WeightsError, match="not finite"):
            refiner.stylise(images(1, 32), images(1, 32))
