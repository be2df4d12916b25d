"""Where the position-map network learns: people of `synthetic` whom no run shows, with exact maps."""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol, cast

import numpy as np
import torch
from torch import Generator, Tensor

from fsbench.faces.align import TEMPLATE, similarity
from fsbench.interfaces import Budget, Context, DatasetInfo, Faces
from fsbench.registry import datasets
from reference_models.prnet import shape
from reference_models.prnet.face import Layout
from reference_models.prnet.learner import Draw, Examples, PositionRecipe, draw_batch
from reference_models.prnet.network import Network
from reference_models.prnet.shape import ExpressionModel, Heads

SEED = 2000
"""Of the data set of training people, the last that `synthetic` takes: its people are in no other data set."""

REGION, CENTRE = 0.9, (0.5, 0.53)
"""Side and centre of the square that the network sees, as fractions of the side of a crop on the template."""

_SECONDS_TO_DRAW = 0.06  # an image, on a CPU


class _TexelMap(Protocol):
    face: Tensor
    valid: Tensor
    membrane: Tensor
    landmarks: Tensor

    def map(self, points: Tensor) -> Tensor: ...


class _People(Protocol):
    """What `synthetic` has beyond what any data set has."""

    info: DatasetInfo

    def face_points(self, split: str) -> tuple[Faces, np.ndarray, np.ndarray]: ...
    def layout(self, side: int) -> _TexelMap: ...
    def head_model(self, side: int, n_people: int, n_expressions: int) -> Heads: ...


def specification(recipe: PositionRecipe, budget: Budget) -> str:
    """Return the data set of training people: as many as a budget needs, each image being shown a few times."""
    if budget.steps is not None:
        wanted = budget.steps * recipe.batch / (recipe.images * recipe.repeats)
    else:  # drawing them shall take no longer than training
        wanted = (budget.seconds or 0) / (recipe.images * _SECONDS_TO_DRAW)
    people = min(max(2, math.ceil(wanted)), recipe.people)
    return (
        f"synthetic(people={people},sessions=2,images={recipe.images},gallery=0,clips=0,size={recipe.drawn},seed={SEED},"
        f"jitter=0.05,yaw={recipe.yaw},occluded={recipe.occluded})"
    )


def synthetic_people(text: str, context: Context) -> _People:
    """Return the data set of a specification."""
    return cast(_People, datasets.build(text, context))


def make_batches(people: _People, recipe: PositionRecipe, device: torch.device) -> tuple[Layout, Draw]:
    """Draw the training images; return the layout of their maps, and what draws batches of them."""
    faces, points, seen = people.face_points("train")
    layout = people.layout(recipe.side)
    images = np.concatenate(list(faces.crops.portions()))  # (N, S, S, 3)
    examples = Examples(
        torch.from_numpy(images).permute(0, 3, 1, 2).to(device),
        torch.from_numpy(points).to(device),
        torch.from_numpy(seen).to(device),
        to_input(faces.landmarks, recipe.side).to(device),
    )
    facts = Layout(layout.face, layout.valid.float(), layout.membrane.float(), layout.landmarks)
    return facts, partial(draw_batch, examples, layout.map, recipe)


def to_input(landmarks: np.ndarray, side: int) -> Tensor:
    """(N, 5, 2) landmarks of crops -> (N, 2, 3) from pixels of the crop to those of the network's input."""
    goal = ((TEMPLATE - np.array(CENTRE)) / REGION + 0.5) * side
    return torch.from_numpy(similarity(landmarks, goal).astype(np.float32))


def learn_expressions(
    people: _People, network: Network, draw: Draw, n_batches: int, generator: Generator
) -> ExpressionModel:
    """Fit the estimator of expressions to heads as the network sees them: with its mistakes on training batches."""
    heads = people.head_model(shape.SIDE, 200, 1000)
    face = people.layout(shape.SIDE).face
    mean, weight = heads.mean.view(-1, 3), face.flatten() / face.sum()
    mistakes = []
    with torch.inference_mode():
        for _ in range(n_batches):
            batch = draw(generator)
            told, true = (
                shape.turned_back(shape.resize(maps, shape.SIDE).flatten(2).mT, mean, weight)[0]
                for maps in (network(batch.images).position, batch.position)
            )
            mistakes.append(told - true)
        return shape.fit_expressions(heads, face, torch.cat(mistakes), generator)
