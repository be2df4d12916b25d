"""Uniform manifold approximation and projection (UMAP) of a few thousand points, in numpy alone.

McInnes, Healy & Melville, "UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction", arXiv
1802.03426, 2018, sections 3 and 4. The package umap-learn compiles itself for half a minute before its first map, and
needs five seconds for each later start. Differences from it: points start at their principal components, and the
gradient is followed in batches of edges, in a fixed order.
"""

from __future__ import annotations

import numpy as np

VERSION = "fsbench 1"
"""Changes whenever a coordinate could change; part of the key of maps that are cached."""

MIN_DISTANCE_A, MIN_DISTANCE_B = 1.5769, 0.8951
"""1 / (1 + a d^(2 b)) is near 1 up to a distance of 0.1 and near exp(-d) beyond: the paper's default min_dist."""

EPOCHS, BATCHES = 500, 4
NEGATIVES = 5
"""Random points that each edge pushes away."""

CLIP = 4.0
"""Largest step in one coordinate, in the units of the map."""

EXTENT = 10.0
"""Half of the range of the map in which points start."""


def umap(points: np.ndarray, dimensions: int, neighbours: int, seed: int) -> np.ndarray:
    """Lay out unit vectors (N, D) by cosine distance, (N, dimensions) float32; deterministic in `seed`.

    `neighbours` counts the point itself. Memory and time grow with N^2: 3,000 points take about ten seconds.
    """
    graph = _memberships(points, min(neighbours, len(points)))
    head, tail = np.nonzero(graph > graph.max() / EPOCHS)
    rate = graph[head, tail] / graph.max()  # an edge of weight w is followed in a share w of the epochs
    random = np.random.default_rng(seed)
    place = _start(points, dimensions, random)
    order = random.permutation(len(head))
    head, tail, rate = head[order], tail[order], rate[order]
    for epoch in range(EPOCHS):
        due = np.flatnonzero(np.floor((epoch + 1) * rate) > np.floor(epoch * rate))
        for batch in np.array_split(due, BATCHES):
            _step(place, head[batch], tail[batch], 1 - epoch / EPOCHS, random)
    return place.astype(np.float32)


def _memberships(points: np.ndarray, neighbours: int) -> np.ndarray:
    """Fuzzy union of the neighbourhoods of all points, (N, N), symmetric."""
    distance = np.maximum(1 - points.astype(np.float64) @ points.T.astype(np.float64), 0)
    np.fill_diagonal(distance, -1)  # a point is its own first neighbour, whatever the others
    nearest = np.argsort(distance, 1, kind="stable")[:, 1:neighbours]  # (N, k - 1)
    own = np.take_along_axis(distance, nearest, 1)
    first = np.where(own > 0, own, np.inf).min(1)
    first = np.where(np.isfinite(first), first, 0)[:, None]  # to the nearest that is not a copy
    beyond = np.maximum(own - first, 0)
    scale = _scales(beyond, np.log2(neighbours))
    scale = np.maximum(scale, 1e-3 * np.where(first[:, 0] > 0, own.mean(1), own.mean()))
    weights = np.exp(-beyond / np.maximum(scale, np.finfo(float).tiny)[:, None])
    graph = np.zeros_like(distance)
    np.put_along_axis(graph, nearest, weights, 1)
    union: np.ndarray = graph + graph.T - graph * graph.T
    return union


def _scales(beyond: np.ndarray, goal: float) -> np.ndarray:
    """Scales with which the memberships of each point's neighbours (N, k) have a sum of `goal`, by bisection."""
    low, high = np.zeros(len(beyond)), np.full(len(beyond), np.inf)
    scale = np.ones(len(beyond))
    for _ in range(64):
        total = np.exp(-beyond / np.maximum(scale, np.finfo(float).tiny)[:, None]).sum(1)
        high = np.where(total > goal, scale, high)
        low = np.where(total > goal, low, scale)
        scale = np.where(np.isinf(high), 2 * scale, (low + np.where(np.isinf(high), 0, high)) / 2)
    return scale


def _start(points: np.ndarray, dimensions: int, random: np.random.Generator) -> np.ndarray:
    """Principal components, each with the sign of its largest entry, and a little noise that parts copies."""
    centred = points - points.mean(0)
    values, vectors = np.linalg.eigh(centred.T.astype(np.float64) @ centred.astype(np.float64))
    vectors = vectors[:, np.argsort(-values)[:dimensions]]
    vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0))
    place = np.zeros((len(points), dimensions))
    place[:, : vectors.shape[1]] = centred @ vectors
    place *= EXTENT / max(np.abs(place).max(), 1e-6)
    return place + 1e-4 * random.normal(size=place.shape)


def _step(place: np.ndarray, head: np.ndarray, tail: np.ndarray, rate: float, random: np.random.Generator) -> None:
    """Pull the ends of some edges together, and push their heads away from random points; writes to `place`."""
    a, b = MIN_DISTANCE_A, MIN_DISTANCE_B
    apart = place[head] - place[tail]
    square = (apart**2).sum(1)
    power = np.maximum(square, np.finfo(float).tiny) ** b
    pull = np.where(square > 0, -2 * a * b * power / np.maximum(square, np.finfo(float).tiny) / (1 + a * power), 0)
    pulls = (pull[:, None] * apart).clip(-CLIP, CLIP)
    from_head = np.repeat(head, NEGATIVES)
    other = random.integers(0, len(place), len(from_head))
    away = place[from_head] - place[other]
    square = (away**2).sum(1)
    push = np.where(from_head == other, 0, 2 * b / ((1e-3 + square) * (1 + a * square**b)))
    pushes = (push[:, None] * away).clip(-CLIP, CLIP)
    for axis in range(place.shape[1]):
        n = len(place)
        moved = np.bincount(head, pulls[:, axis], n) - np.bincount(tail, pulls[:, axis], n)
        place[:, axis] += rate * (moved + np.bincount(from_head, pushes[:, axis], n))
