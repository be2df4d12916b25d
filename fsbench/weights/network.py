"""Builds the network of a file as a run would, so that a file which no run could use never gets into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fsbench.errors import WeightsError
from fsbench.specs import Spec, parse_spec
from fsbench.weights.catalogue import CATALOGUE, Weights

if TYPE_CHECKING:
    from fsbench.interfaces import Embedder

_SIDE = 128
"""Pixels of the image that a network is shown."""


def check_network(path: Path, entry: Weights) -> None:
    """Raise what a run with this file would raise; WeightsError too where the network is not what the entry promises.

    The plug-in that uses the entry is built with the file in its place, by the same code as in a run. It must then give
    a feature of the promised size for one image, of finite numbers, and name as many people.
    """
    from fsbench import registry  # these bring torch, which `fsbench weights list` does not need
    from fsbench.environment import make_context

    spec = use(entry, path)
    shelves = (registry.embedders, registry.observers, registry.metrics)
    shelf = next((shelf for shelf in shelves if spec.name in shelf.names()), registry.embedders)
    network = shelf.build(spec, make_context("cpu"))
    if shelf is registry.embedders:
        _check_promise(path, entry, spec, network)  # type: ignore[arg-type]  # it is out of the embedders' registry


def use(entry: Weights, path: Path) -> Spec:
    """Return what is typed to use a file in the place of an entry's.

    >>> str(use(CATALOGUE["sface"], Path("a.onnx"))), str(use(CATALOGUE["lpips_vgg"], Path("a.ckpt")))
    ('onnx@a.onnx', 'lpips(vgg)@a.ckpt')
    """
    spec = parse_spec(entry.used_by)
    return Spec(spec.name, {key: value for key, value in spec.params.items() if value != entry.name}, str(path))


def _check_promise(path: Path, entry: Weights, spec: Spec, embedder: Embedder) -> None:
    classes = len(embedder.info.classes)
    if classes != entry.classes:
        has = f"has a classifier of {classes:,} people" if classes else "was saved without its classifier"
        wants = f"knows {entry.classes:,} people" if entry.classes else "has none"
        raise WeightsError(f"{path} {has}: {entry.name} {wants}", _instead(entry, spec, classes))
    if embedder.info.dim != entry.dim:
        raise WeightsError(
            f"{path} gives features of {embedder.info.dim} numbers, {entry.name} of {entry.dim}", entry.copy
        )
    if not _gives_numbers(embedder, spec):
        raise WeightsError(f"{path} is damaged: the network that it holds gives no numbers for a face", entry.copy)


def _instead(entry: Weights, spec: Spec, classes: int) -> str:
    """Name the entries that promise what a file has, else how it is used without the cache."""
    fitting = [
        other.name
        for other in CATALOGUE.values()
        if classes == other.classes
        and other.used_by == entry.used_by
        and Path(other.file).suffix == Path(entry.file).suffix
    ]
    return "import it --as " + " or ".join(fitting) if fitting else f"use it where it lies, as {spec}"


def _gives_numbers(embedder: Embedder, spec: Spec) -> bool:
    """Whether features, and what the classifier makes of them, are finite, of an image of noise."""
    import torch

    from fsbench import guard
    from fsbench.faces.align import TEMPLATE

    image = torch.rand(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    landmarks = torch.from_numpy(TEMPLATE[None] * _SIDE).float()
    features = guard.call(spec.name, embedder.embed, image, landmarks)
    seen = [features]
    if embedder.info.classes:
        seen.append(guard.call(spec.name, embedder.classify, features))  # type: ignore[attr-defined]
    return all(bool(numbers.isfinite().all()) for numbers in seen)
