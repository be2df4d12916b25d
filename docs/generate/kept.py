"""`python -m docs.generate.kept RUN`: draw the pictures in docs/pictures again, of models that were trained in a run.

Refiners need their files (`fsbench weights fetch vgg19_normalised adain_decoder`, ...). The pairs are those of the
pictures that are drawn with the site; `captions.toml` says what was trained, and for how long.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from docs.generate.pictures import KEPT, Pictures, strip
from fsbench import registry
from fsbench.environment import make_context
from fsbench.images import to_levels
from fsbench.interfaces import Budget, Swapped, Swapper, Targets, Trainable, silent

TRAINED = ("gan_mask", "cyclegan")
BASE = "gan_mask"
"""The swapper before each of the others."""
REFINERS = ("adain", "wct", "microast", "gatys")
WRAPPERS = ("knn_code", "knn_image")


def main(run: Path) -> None:
    """Draw them all."""
    pictures = Pictures(make_context("cpu"))
    source, targets = pictures.source, Targets.of(pictures.targets)
    swappers = {name: _loaded(name, run, pictures) for name in TRAINED}
    for name, swapper in swappers.items():
        _keep(pictures, f"swappers-{name}", swapper.swap(source, targets))
    output = Swapped.of(swappers[BASE].swap(source, targets))
    levels = Swapped(to_levels(output.images), output.alpha)  # as a run hands them on
    for name in REFINERS:
        refiner = registry.refiners.build(name, pictures.context)
        _keep(pictures, f"refiners-{name}", refiner.refine(levels, targets, source))
    for name in WRAPPERS:
        wrapper = registry.wrappers.build(name, pictures.context)
        if isinstance(wrapper, Trainable):
            with TemporaryDirectory() as folder:
                wrapper.fit(pictures.dataset.faces("train"), Budget(steps=1), silent, Path(folder) / "checkpoint")
        _keep(pictures, f"wrappers-{name}", wrapper.wrap(swappers[BASE]).swap(source, targets))


def _loaded(name: str, run: Path, pictures: Pictures) -> Swapper:
    swapper = registry.swappers.build(name, pictures.context)
    assert isinstance(swapper, Trainable)
    swapper.load(run / "models" / f"{name}.safetensors")
    return swapper


def _keep(pictures: Pictures, name: str, output: Swapped | Tensor) -> None:
    images = Swapped.of(output).images
    sources = pictures.source.images[:1].expand_as(images)
    (KEPT / f"{name}.jpg").write_bytes(strip(sources, pictures.targets.crops[:], images))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
