"""The swappers that learn nothing."""

from __future__ import annotations

import torch

from fsbench.contracts import toy_faces, toy_targets
from fsbench.interfaces import Source
from reference_models.baselines import AlphaPaste, CopySource, CopyTarget, Exact, nearest

FACES = toy_faces(2, 2, 4, 64, 0)
SOURCE = Source("toy0", FACES.of("toy0").crops[:])
TARGET = FACES.of("toy1").crops[:]


def test_copies_are_copies() -> None:
    copied = CopyTarget().swap(SOURCE, toy_targets(TARGET)).images
    assert torch.equal(copied, TARGET)
    assert copied.data_ptr() != TARGET.data_ptr()
    assert Exact().reveal(TARGET) is TARGET


def test_copy_source_answers_with_the_most_similar_reference() -> None:
    darker = SOURCE.images.flip(0) * 0.97  # every reference is nearest to its own darker copy
    assert torch.equal(CopySource().swap(SOURCE, toy_targets(darker)), SOURCE.images.flip(0))


def test_references_of_another_size_are_fitted() -> None:
    assert nearest(SOURCE, torch.rand(2, 3, 96, 96)).shape == (2, 3, 96, 96)


def test_alpha_paste_shows_the_source_with_the_targets_colour_and_leaves_the_rest() -> None:
    red, blue = torch.zeros(1, 3, 64, 64), torch.zeros(3, 3, 64, 64)
    red[:, 0] = 0.8
    red[..., 30:40, 25:35] *= 0.5  # a feature that must arrive
    blue[:, 2] = 0.6
    output = AlphaPaste().swap(Source("red", red), toy_targets(blue)).images
    assert torch.equal(output[..., :8], blue[..., :8])
    assert torch.equal(output[:, :, :8], blue[:, :, :8])
    assert output[:, 2, 36, 30].min() > 0.5  # the target's blue ...
    assert (output[:, 0, 36, 38] - output[:, 0, 36, 30]).min() > 0.03  # ... with the source's feature
