"""Heads at rest and how expressions move them, as maps: what a model of expressions learns from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fsbench.datasets.synthetic.asset import Asset
from fsbench.datasets.synthetic.layout import FaceLayout
from fsbench.datasets.synthetic.people import sample_person
from fsbench.datasets.synthetic.scenes import gaze_actions, sample_shot

_FIRST_SEED = 3_000_000  # of people: beyond those of any data set
_STREAM = 77  # of the random numbers of expressions


@dataclass(frozen=True)
class HeadModel:
    """Maps of heads in decimetres: x to the image's right, y down, z out of the face."""

    mean: Tensor  # (U, U, 3) the mean adult without an expression
    people: Tensor  # (N, U, U, 3) others
    moves: Tensor  # (A, U, U, 3) what each action adds to a head at its full strength
    expressions: Tensor  # (M, A) strengths of the actions in stills


def make_head_model(asset: Asset, layout: FaceLayout, n_people: int, n_expressions: int) -> HeadModel:
    """Return heads of people who are in no data set, and expressions as its stills have them."""
    names = tuple(asset.names)
    actions = [name for name in asset.names if name.startswith("action/")]

    def maps(vertices: Tensor) -> Tensor:
        return layout.map(layout.points(vertices * vertices.new_tensor([1.0, -1.0, 1.0])))

    strengths = torch.zeros(n_expressions, len(actions), device=asset.device)
    for row, seed in zip(strengths, range(n_expressions), strict=True):
        shot = sample_shot(seed, (_STREAM,))
        for name, value in {**shot.actions, **gaze_actions(shot.gaze)}.items():
            row[actions.index(f"action/{name}")] = value
    return HeadModel(
        maps(asset.canonical),
        torch.stack([maps(asset.neutral(sample_person(names, _FIRST_SEED + k).shape)) for k in range(n_people)]),
        torch.stack([maps(asset.targets[asset.number[name]]) for name in actions]),
        strengths,
    )
