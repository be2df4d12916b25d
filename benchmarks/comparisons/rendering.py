"""The synthetic people's renderer beside the prototype that it replaces: crops of 128 px, supersampled twice."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from comparisons import Comparison, Missing, Work
from fsbench.datasets.synthetic.render import Renderer
from fsbench.datasets.synthetic.scenes import sample_session, sample_shot

PROTOTYPE = Path(__file__).parents[3] / "shared/prototypes/synthetic_heads"
PEOPLE = (1, 4, 6)  # short hair, cropped, long


def product(shots: int) -> Work:
    """Some shots of each person; maps of skin are painted beforehand."""
    renderer = Renderer(torch.device("cpu"), 128)
    jobs = [
        (sample_session(renderer.person(seed), 1), sample_shot(seed, (1, k)), renderer.person(seed))
        for seed in PEOPLE
        for k in range(shots)
    ]

    @torch.inference_mode()
    def draw() -> None:
        for job in jobs:
            renderer.draw(*job)

    draw()
    return draw


def _prototype(shots: int) -> Work:
    if not PROTOTYPE.is_dir():
        raise Missing("the prototype is not beside this checkout")
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(PROTOTYPE))
    try:
        import shade  # type: ignore[import-not-found]
        import synth  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(PROTOTYPE))
        sys.dont_write_bytecode = writes
    synth.load(path=str(PROTOTYPE / "asset.npz"))
    jobs = [
        (synth.sample_identity(200 + n), synth.sample_scene(100 * n + k, yaw=20.0, pitch=5.0))
        for n in range(len(PEOPLE))
        for k in range(shots)
    ]

    def draw() -> None:
        for person, scene in jobs:
            shade.render(person, scene, res=128, ss=2)

    return draw


def _sides(folder: Path) -> tuple[Work, Work]:
    theirs = _prototype(2)
    return product(2), theirs


COMPARISONS = (Comparison("synthetic people, 6 crops", "the prototype", 2.0, _sides, rounds=3),)
