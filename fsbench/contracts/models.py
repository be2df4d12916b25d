"""Contracts of swappers, refiners, wrappers and what is trained."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fsbench.contracts.common import TOLERANCE, check_docstring
from fsbench.contracts.toys import toy_faces
from fsbench.errors import CheckpointError, PluginError
from fsbench.interfaces import (
    Budget,
    Faces,
    Oracle,
    Refiner,
    Source,
    Swapped,
    Swapper,
    Targets,
    Trainable,
    Wrapper,
    silent,
)


def check_swapper(swapper: Swapper | Oracle) -> None:
    """Shapes, range, determinism, untouched inputs, independence of batch size; a Trainable: `check_training` too."""
    check_docstring(swapper)
    faces = toy_faces()
    if isinstance(swapper, Trainable):
        check_training(swapper, faces)
    if isinstance(swapper, Oracle):
        truth = faces.crops[:4]
        assert torch.equal(swapper.reveal(truth), truth), "an oracle's answer is the truth it is shown"
        return
    _check_swapping(swapper, faces)


def check_refiner(refiner: Refiner) -> None:
    """What `check_swapper` asks, of outputs with and without an alpha; a Trainable: `check_training` too."""
    check_docstring(refiner)
    _check_signature(refiner, "refine")
    faces = toy_faces()
    if isinstance(refiner, Trainable):
        check_training(refiner, faces)
    source, targets = _toy_pair(faces)
    for alpha in (True, False):
        output = Swapped.of(_Fade(alpha=alpha).swap(source, targets))

        def refine(
            output: Swapped, targets: Targets, refiner: Refiner = refiner, source: Source = source
        ) -> Swapped | Tensor:
            return refiner.refine(output, targets, source)

        with _untouched("refine", source, targets, output):
            _check_outputs("refine", refine, output, targets)


def check_wrapper(wrapper: Wrapper) -> None:
    """What it makes of a swapper keeps the promises of one, whether that gives an alpha or not; two do not mix.

    A Trainable: `check_training` too.
    """
    check_docstring(wrapper)
    _check_signature(wrapper, "wrap")
    faces = toy_faces()
    if isinstance(wrapper, Trainable):
        check_training(wrapper, faces)
    source, targets = _toy_pair(faces)
    for alpha in (True, False):
        wrapped = wrapper.wrap(_Fade(alpha=alpha))
        _check_swapping(wrapped, faces)
        with torch.inference_mode():
            before = Swapped.of(wrapped.swap(source, targets)).images
            wrapper.wrap(_Fade(amount=0.9, alpha=alpha)).swap(source, targets)
            after = Swapped.of(wrapped.swap(source, targets)).images
        assert torch.equal(before, after), "what wrap() made of a swapper changed when it wrapped another"


def check_training(plugin: Trainable, faces: Faces | None = None) -> None:
    """Named budgets, a training of two steps, and a saved file that gives the same model; a damaged one is refused."""
    assert set(plugin.budgets) >= {"smoke", "short", "full"}, (
        "budgets must say how many steps smoke, short and full are"
    )
    faces = faces or toy_faces()
    with tempfile.TemporaryDirectory() as folder:
        weights, damaged = Path(folder) / "model.safetensors", Path(folder) / "damaged.safetensors"
        training = plugin.fit(faces, Budget(steps=2, seed=1), silent, Path(folder) / "checkpoint.pt")
        assert training.steps == 2, f"a budget of 2 steps was answered with {training.steps}"
        assert training.seconds > 0, "Training.seconds must say how long it took"
        plugin.save(weights)
        trained = _answer(plugin, faces)
        plugin.load(weights)
        assert torch.allclose(trained, _answer(plugin, faces), atol=TOLERANCE), "save() then load() gives another model"
        damaged.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        try:
            plugin.load(damaged)
        except CheckpointError:
            pass
        else:
            raise AssertionError("load() took half a file: a damaged file must raise CheckpointError")


class _Fade:
    """Fades targets into the mean image of the source inside a square; with or without the square as alpha.

    Its codes are the targets themselves.
    """

    def __init__(self, amount: float = 0.5, alpha: bool = True) -> None:
        self.amount, self.alpha = amount, alpha

    def swap(self, source: Source, targets: Targets) -> Swapped:
        return self.decode(self.encode(targets), source, targets)

    def encode(self, targets: Targets) -> Tensor:
        return targets.images

    def decode(self, codes: Tensor, source: Source, targets: Targets) -> Swapped:
        side = targets.images.shape[-1] // 4
        alpha = torch.zeros_like(targets.images[:, :1])
        alpha[..., side:-side, side:-side] = self.amount
        images = alpha * source.images.mean(0) + (1 - alpha) * codes
        return Swapped(images, alpha if self.alpha else None)


def _toy_pair(faces: Faces) -> tuple[Source, Targets]:
    return Source("toy0", faces.of("toy0").crops[:3]), Targets.of(faces.of("toy1").select(range(5)))


@torch.inference_mode()
def _answer(plugin: Any, faces: Faces) -> Tensor:
    """Images of a swapper or refiner, or of what a wrapper makes of a swapper."""
    source, targets = _toy_pair(faces)
    if hasattr(plugin, "refine"):
        return Swapped.of(plugin.refine(_Fade().swap(source, targets), targets, source)).images
    swapper = plugin.wrap(_Fade()) if hasattr(plugin, "wrap") else plugin
    return Swapped.of(swapper.swap(source, targets)).images


def _check_swapping(swapper: Swapper, faces: Faces) -> None:
    _check_signature(swapper, "swap")
    source, targets = _toy_pair(faces)
    with _untouched("swap", source, targets):
        _check_outputs("swap", lambda output, targets: swapper.swap(source, targets), Swapped(targets.images), targets)


def _check_signature(plugin: object, method: str) -> None:
    from fsbench.harness.parts import check_signature  # what a run asks of it; nothing else here needs the harness

    try:
        check_signature(type(plugin).__name__, plugin, method)
    except PluginError as error:
        raise AssertionError(error.sentence) from error


def _check_outputs(
    method: str, answer: Callable[[Swapped, Targets], Swapped | Tensor], output: Swapped, targets: Targets
) -> None:
    """Shapes, range, determinism and independence of batch size of what is made of some outputs and their targets."""

    def one(i: int) -> Swapped:
        alpha = None if output.alpha is None else output.alpha[i : i + 1]
        return Swapped.of(answer(Swapped(output.images[i : i + 1], alpha), targets.select(slice(i, i + 1))))

    with torch.inference_mode():
        whole, again = (Swapped.of(answer(output, targets)) for _ in range(2))
        alone = [one(i) for i in range(len(targets))]
    _check_images(whole.images, targets.images)
    if whole.alpha is not None:
        _check_images(whole.alpha, targets.images[:, :1], "alpha")
    for name in ("images", "alpha"):
        first, second, parts = getattr(whole, name), getattr(again, name), [getattr(some, name) for some in alone]
        if first is None:
            assert second is None and parts == [None] * len(parts), f"{method}() gives an alpha now and then"
            continue
        assert torch.equal(first, second), f"{method}() gave another answer the second time"
        assert torch.allclose(first, torch.cat(parts), atol=TOLERANCE), (
            "the output for an image depends on the other images of the batch"
        )


@contextmanager
def _untouched(method: str, source: Source, targets: Targets, output: Swapped | None = None) -> Iterator[None]:
    """Raise AssertionError where what a plug-in is given was written into."""

    def content() -> dict[str, np.ndarray]:
        alpha = None if output is None else output.alpha
        tensors = {
            "the source images": source.images,
            "the target images": targets.images,
            "the landmarks": targets.landmarks,
            "the output": None if output is None else output.images,
            "the alpha": alpha,
        }
        return {name: tensor.numpy().copy() for name, tensor in tensors.items() if tensor is not None} | {
            "the rows": targets.rows.to_numpy(copy=True)
        }

    before = content()
    try:
        yield
    finally:  # what was written into makes for other faults, of which it is the cause
        for name, array in content().items():
            assert np.array_equal(before[name], array), f"{method}() changed {name} that it was given"


def _check_images(output: Tensor, like: Tensor, what: str = "output") -> None:
    assert isinstance(output, Tensor) and output.shape == like.shape, f"{what} is a tensor {tuple(like.shape)}"
    assert output.dtype == torch.float32, f"{what} is {output.dtype}, not float32"
    assert torch.isfinite(output).all(), f"{what} is not finite"
    low, high = float(output.min()), float(output.max())
    assert low >= -TOLERANCE and high <= 1 + TOLERANCE, f"{what} leaves the range [0, 1]"
