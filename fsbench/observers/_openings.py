"""Openings of mouth and eyes, and lift of the mouth's corners, from the landmarks of the face mesh."""

from __future__ import annotations

import numpy as np

_OUTER_EYES = (33, 263)
_LIPS, _CORNERS = (13, 14), (61, 291)
_LIDS = ((159, 145), (386, 374))
"""Landmarks of the eyes' outer corners, of the middles of the inner lips, upper first, of the mouth's corners, and of
the middles of the lids.
"""


def openings(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(478, 3) landmarks, y down and z away, and (3, 3) rotation of the head -> (3,) % of the outer eyes' distance.

    The three numbers are the distance of the lips, the height of the mouth's corners above the middle of the upper
    lip's inner edge along the head's own axis, and the mean distance of upper and lower lids.
    """
    upright = points * (1, -1, -1)

    def distance(pair: tuple[int, int]) -> float:
        return float(np.linalg.norm(upright[pair[0]] - upright[pair[1]]))

    lift = (upright[list(_CORNERS)].mean(0) - upright[_LIPS[0]]) @ rotation[:, 1]
    lids = np.mean([distance(pair) for pair in _LIDS])
    return 100 * np.array([distance(_LIPS), lift, lids]) / distance(_OUTER_EYES)
