"""Places behind the person, out of focus: painted flat in linear RGB, then blurred as a lens would."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

SIDE = 160  # pixels; covers the frame and half as much again on every side
REACH = 1.5  # half frames from the middle to the picture's border

Picture = np.ndarray


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of every pixel in half frames, y down."""
    side = ((np.arange(SIDE) + 0.5) / SIDE * 2 - 1) * REACH
    x, y = np.meshgrid(side, side)
    return x, y


def _tone(rng: np.random.Generator, low: float, high: float, colourful: float = 0.15) -> np.ndarray:
    """A muted colour."""
    value: np.ndarray = rng.uniform(low, high) * np.clip(1 + rng.normal(size=3) * colourful, 0.3, 1.8)
    return value


def _fill(picture: Picture, x0: float, x1: float, y0: float, y1: float, colour: np.ndarray) -> None:
    """Paint a rectangle given in half frames."""
    columns = slice(*(int(np.clip((x / REACH + 1) / 2 * SIDE, 0, SIDE)) for x in (x0, x1)))
    rows = slice(*(int(np.clip((y / REACH + 1) / 2 * SIDE, 0, SIDE)) for y in (y0, y1)))
    picture[rows, columns] = colour


def _studio(rng: np.random.Generator) -> Picture:
    """A paper roll with a spot of light on it."""
    x, y = _grid()
    spot = np.exp(-((x - rng.normal() * 0.4) ** 2 + (y - rng.normal() * 0.4) ** 2) / rng.uniform(0.8, 2.5))
    picture: Picture = _tone(rng, 0.05, 0.5, 0.2) * (0.45 + 0.75 * spot[..., None])
    return picture


def _room(rng: np.random.Generator) -> Picture:
    """A wall, perhaps with a bright window, a door, pictures, and furniture along the floor."""
    x, _ = _grid()
    picture = _tone(rng, 0.15, 0.55) * (1 + rng.normal() * 0.25 * x[..., None])
    if rng.random() < 0.6:
        left, top = rng.uniform(-1.5, 0.8), rng.uniform(-1.4, -0.6)
        wide, high, glass = rng.uniform(0.5, 1.0), rng.uniform(0.8, 1.5), _tone(rng, 0.8, 1.6, 0.06)
        _fill(picture, left - 0.05, left + wide + 0.05, top - 0.05, top + high + 0.05, _tone(rng, 0.3, 0.7, 0.05))
        for k in range(2):
            _fill(picture, left + k * wide / 2 + 0.02, left + (k + 1) * wide / 2 - 0.02, top, top + high, glass)
    if rng.random() < 0.5:
        left = rng.uniform(-1.5, 1.2)
        _fill(picture, left, left + rng.uniform(0.35, 0.6), rng.uniform(-1.2, -0.5), 1.5, _tone(rng, 0.06, 0.4))
    for _ in range(rng.integers(0, 4)):
        left, top, wide, high = rng.uniform(-1.4, 1.2), rng.uniform(-1.2, 0.0), *rng.uniform(0.15, 0.5, 2)
        _fill(picture, left, left + wide, top, top + high, _tone(rng, 0.02, 0.15))
        _fill(picture, left + 0.03, left + wide - 0.03, top + 0.03, top + high - 0.03, _tone(rng, 0.1, 0.6, 0.4))
    for _ in range(rng.integers(1, 4)):
        left = rng.uniform(-1.5, 1.2)
        _fill(picture, left, left + rng.uniform(0.4, 1.2), rng.uniform(0.2, 1.0), 1.5, _tone(rng, 0.03, 0.3, 0.3))
    return picture


def _shelves(rng: np.random.Generator) -> Picture:
    """Rows of book spines."""
    picture = np.broadcast_to(_tone(rng, 0.03, 0.2), (SIDE, SIDE, 3)).copy()
    pitch = rng.uniform(0.45, 0.7)
    for row in np.arange(-REACH - rng.random() * pitch, REACH, pitch):
        x = -REACH
        while x < REACH:
            wide = rng.uniform(0.04, 0.12)
            if rng.random() < 0.88:
                top = row + pitch * rng.uniform(0.1, 0.35)
                _fill(picture, x, x + wide, top, row + pitch * 0.94, _tone(rng, 0.03, 0.45, 0.45))
            x += wide
    return picture


def _street(rng: np.random.Generator) -> Picture:
    """House fronts with windows under a strip of sky, and lamps."""
    picture = np.broadcast_to(_tone(rng, 0.7, 1.2, 0.08) * [0.9, 1.0, 1.15], (SIDE, SIDE, 3)).copy()
    x = -REACH
    while x < REACH:
        wide, top = rng.uniform(0.4, 1.1), rng.uniform(-1.5, -0.4)
        wall, pane = _tone(rng, 0.1, 0.45, 0.2), _tone(rng, 0.04, 0.8, 0.2)
        _fill(picture, x, x + wide, top, 1.5, wall)
        step = rng.uniform(0.14, 0.25)
        for window in np.arange(x + 0.05, x + wide - step * 0.6, step):
            for floor in np.arange(top + 0.1, 1.0, step * 1.5):
                _fill(picture, window, window + step * 0.5, floor, floor + step * 0.8, pane * rng.uniform(0.5, 1.2))
        x += wide
    _fill(picture, -1.5, 1.5, rng.uniform(0.7, 1.2), 1.5, _tone(rng, 0.1, 0.3, 0.05))
    for _ in range(rng.integers(0, 9)):
        left, top, lamp = rng.uniform(-1.5, 1.4), rng.uniform(-1, 1), rng.uniform(0.03, 0.08)
        _fill(picture, left, left + lamp, top, top + lamp, _tone(rng, 1.5, 3.5, 0.3))
    return picture


def _park(rng: np.random.Generator) -> Picture:
    """Sky, foliage with light shining through, trunks and a meadow."""
    x, y = _grid()
    picture = np.broadcast_to(_tone(rng, 0.7, 1.2, 0.05) * [0.8, 0.95, 1.15], (SIDE, SIDE, 3)).copy()
    leaves = sum(gaussian_filter(rng.normal(size=(SIDE, SIDE)), s) * s for s in (1.5, 4, 10))
    skyline = rng.uniform(-1.4, -0.2) + 0.25 * np.sin(x * rng.uniform(1, 3) + rng.uniform(0, 6))
    green = _tone(rng, 0.08, 0.22, 0.1) * [0.8, 1.15, 0.45]
    foliage = green * (1 + 0.7 * leaves[..., None]).clip(0.2)
    picture = np.where((y + 0.3 * leaves > skyline)[..., None], foliage, picture)
    for _ in range(rng.integers(0, 4)):
        left = rng.uniform(-1.5, 1.4)
        _fill(picture, left, left + rng.uniform(0.06, 0.16), -1.2, 1.0, _tone(rng, 0.04, 0.12, 0.1))
    meadow = y > rng.uniform(0.3, 1.0)
    grass = _tone(rng, 0.15, 0.4, 0.1) * [0.85, 1.1, 0.5] * (1 + 0.15 * leaves[..., None])
    return np.where(meadow[..., None], grass, picture)


_PLACES: tuple[Callable[[np.random.Generator], Picture], ...] = (_studio, _room, _room, _shelves, _street, _park)


def paint_background(seed: int) -> Picture:
    """Return the background of a session as linear RGB, (SIDE, SIDE, 3) float32."""
    rng = np.random.default_rng([seed, 8])
    picture = _PLACES[rng.integers(len(_PLACES))](rng)
    blur = rng.uniform(2.0, 7.0)
    for _ in range(2):  # two boxes: bright points become discs rather than stars
        picture = uniform_filter(picture, (2 * round(blur) + 1, 2 * round(blur) + 1, 0), mode="nearest")
    grain = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 12) * 2.0
    picture = np.clip(picture * (0.9 * rng.uniform(0.6, 1.1)) * (1 + grain[..., None]), 0.003, 3)
    return np.asarray(picture, np.float32)
