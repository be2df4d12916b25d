"""Gatys: the loss, what the optimiser makes of it, and what makes it the same every time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fsbench.contracts import toy_targets
from fsbench.errors import BadParameter, PluginError
from fsbench.interfaces import Context, Source, Swapped
from fsbench.registry import refiners
from fsbench.weights.tensors import read_tensors
from reference_models.style.gatys import total_variation
from tests.reference_models.test_style import images, plain_vgg, smooth

SHARES = {"relu1_1": 64, "relu2_1": 128, "relu3_1": 256, "relu4_1": 512, "relu5_1": 512}


def plain_loss(state: dict[str, Tensor], image: Tensor, content: Tensor, style: Tensor) -> tuple[float, float]:
    """Losses of the content and of the style: Gatys et al. 2016, equations 1, 4 and 5, per element of a map."""
    maps, content_maps, style_maps = (plain_vgg(state, pixels) for pixels in (image, content, style))
    of_style = 0.0
    for name, channels in SHARES.items():
        n = maps[name][0, 0].numel()
        grams = [torch.einsum("cp,dp->cd", x[name][0].flatten(1), x[name][0].flatten(1)) for x in (maps, style_maps)]
        of_style += float((grams[0] - grams[1]).square().sum()) / (4 * channels**2 * n**2) / len(SHARES)
    difference = maps["relu4_2"] - content_maps["relu4_2"]
    return float(difference.square().sum()) / difference.numel(), of_style


@pytest.mark.parametrize("size", [32, 45])
def test_the_loss_is_the_published_one(size: int, style_files: dict[str, Path], style_context: Context) -> None:
    image, content, style = images(1, size, 1), images(1, size, 2), images(1, size, 3) ** 2
    state = read_tensors(style_files["vgg19_normalised"])
    of_content, of_style = plain_loss(state, image, content, style)
    for alpha, expected in ((0, of_content), (1, of_style), (0.3, 0.7 * of_content + 0.3 * of_style)):
        objective = refiners.build(f"gatys(alpha={alpha})", style_context).objective(content, style)
        assert float(objective(image)) == pytest.approx(expected, rel=1e-4)
        assert expected > 0.01, "nothing to compare"
    smoothed = refiners.build("gatys(alpha=0,variation=2.5)", style_context).objective(content, style)
    assert float(smoothed(image)) == pytest.approx(of_content + 2.5 * float(total_variation(image)), rel=1e-4)


def test_total_variation_is_that_of_an_even_slope() -> None:
    slope = torch.arange(6) * 0.03 + torch.arange(5)[:, None] * 0.04  # 0.05 a pixel
    assert float(total_variation(slope.expand(2, 3, 5, 6))) == pytest.approx(0.05**2.5, rel=1e-4)
    assert float(total_variation(torch.full((1, 3, 4, 4), 0.7))) == 0
    flat = torch.full((1, 3, 4, 4), 0.7, requires_grad=True)
    total_variation(flat).backward()
    assert torch.equal(flat.grad, torch.zeros(1, 3, 4, 4)), "not NaN where the root has no slope"


def test_more_steps_make_the_loss_smaller(style_context: Context) -> None:
    content, style = images(1, 32, 1), images(1, 32, 2)
    objective = refiners.build("gatys", style_context).objective(content, style)
    with torch.no_grad():
        losses = [float(objective(content))] + [
            float(objective(refiners.build(f"gatys(steps={steps})", style_context).stylise(content, style)))
            for steps in (1, 3, 6)
        ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]


def test_no_share_of_style_and_a_style_that_is_there_change_nothing(style_context: Context) -> None:
    content, style = images(1, 32, 1), images(1, 32, 2)
    assert torch.equal(refiners.build("gatys(alpha=0)", style_context).stylise(content, style), content)
    assert torch.equal(refiners.build("gatys(steps=3)", style_context).stylise(content, content), content)


def test_answers_are_the_same_in_inference_mode_and_leave_the_state_of_torch(style_context: Context) -> None:
    content, style = images(1, 32, 1), images(1, 32, 2)
    refiner = refiners.build("gatys(steps=2)", style_context)
    expected = refiner.stylise(content, style)
    with torch.inference_mode():
        answer = refiners.build("gatys(steps=2)", style_context).stylise(content * 1, style * 1)
        assert torch.is_inference_mode_enabled()
    assert torch.equal(answer, expected)
    assert not answer.requires_grad
    assert all(weight.grad is None for weight in refiner._encoder.parameters())
    assert (expected - content).abs().mean() > 1e-4, "nothing to compare"


def test_what_alpha_leaves_out_stays_and_faces_do_not_depend_on_each_other(style_context: Context) -> None:
    output, targets, alpha = smooth(2, 72)[..., :70, :70], images(2, 70, 5), torch.zeros(2, 1, 70, 70)
    alpha[0, :, 20:45, 25:50] = 0.7
    refiner = refiners.build("gatys(steps=5,alpha=1,size=32)", style_context)
    refined = refiner.refine(Swapped(output, alpha), toy_targets(targets), Source("a", targets[:1]))
    inside = alpha.expand_as(output) > 0
    assert torch.equal(refined.images[~inside], output[~inside])
    assert (refined.images[inside] - output[inside]).abs().mean() > 1e-3
    assert torch.equal(refined.alpha, alpha)
    alone = refiner.refine(Swapped(output[:1], alpha[:1]), toy_targets(targets[:1]), Source("a", targets[:1]))
    assert torch.equal(alone.images, refined.images[:1])


@pytest.mark.parametrize("layout", ["channels last", "strided"])
def test_answers_do_not_depend_on_the_layout_in_memory(layout: str, style_context: Context) -> None:
    content, style = images(1, 32, 1), images(1, 32, 2)
    refiner = refiners.build("gatys(steps=2)", style_context)
    if layout == "channels last":
        given = [image.contiguous(memory_format=torch.channels_last) for image in (content, style)]
    else:
        given = [F.pad(image, (1, 2, 3, 4))[..., 3:-4, 1:-2] for image in (content, style)]
    assert not given[0].is_contiguous()
    assert torch.equal(refiner.stylise(*given), refiner.stylise(content, style))


def operations(value: Tensor) -> set[str]:
    """Names of all operations of a value's gradient."""
    names, nodes = set(), [value.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is not None and node not in names:
            names.add(node)
            nodes += [before for before, _ in node.next_functions]
    return {node.name() for node in names}


def test_the_gradient_has_no_operation_that_cuda_sums_in_any_order(style_context: Context) -> None:
    objective = refiners.build("gatys(variation=1)", style_context).objective(images(1, 32, 1), images(1, 32, 2))
    names = operations(objective(images(1, 32, 3).requires_grad_()))
    assert "ConvolutionBackward0" in names
    assert not [name for name in names if name.startswith(("ReflectionPad", "Upsample", "Index", "GridSampler"))]
    padded = F.pad(images(1, 8).requires_grad_(), (1, 1, 1, 1), mode="reflect")
    assert "ReflectionPad2DBackward0" in operations(padded), "it has another name now"


def test_a_loss_that_is_not_finite_is_an_error_in_a_sentence(style_context: Context) -> None:
    refiner = refiners.build("gatys(steps=2,variation=1e38)", style_context)
    with pytest.raises(PluginError, match="gatys: the loss is not finite") as caught:
        refiner.stylise(images(1, 32, 1) * 100, images(1, 32, 2))
    assert "variation" in caught.value.hint


@pytest.mark.parametrize("parameters", ["steps=1.5", "variation=-1", "alpha=1.1", "size=16", "variation=inf"])
def test_parameters_out_of_range_are_refused(parameters: str, style_context: Context) -> None:
    with pytest.raises(BadParameter, match="gatys"):
        refiners.build(f"gatys({parameters})", style_context)
