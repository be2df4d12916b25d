"""Gaze from the landmarks of the face mesh: the rotation of an eyeball behind the eye's corners that fits its iris."""

from __future__ import annotations

import numpy as np

_EYES = ((468, 33, 133), (473, 263, 362))
"""Landmarks of the iris's centre, the outer and the inner corner; the subject's right eye and left eye."""

_RADIUS = 0.55
_CENTRE = np.array([0.0, 0.064, -0.42])
"""Radius of the eyeball, and its centre from the middle of the eye's corners in the head's axes, in eye widths.

They are fitted to 1,196 drawings of 100 synthetic people of seed 7, 128 pixels, whose eyes look up to 20 degrees aside
in heads turned by up to 40. The estimate follows the truth degree by degree (slope 0.995, correlation 0.91, spread
4.7), follows the head by 1 %, and has no vertical bias on average. An anatomical radius would be about 0.4: the
network's irises move less than the eyes do.
"""


def gaze(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(478, 3) landmarks, y down and z away, and (3, 3) rotation of the head -> (2,) degrees right and up.

    The gaze is relative to the head, and the mean of both eyes. Only x and y of the iris are used, because its depth is
    the network's guess. An iris beyond the eyeball is moved to its rim.
    """
    upright = points * (1, -1, -1)
    directions = []
    for iris, outer, inner in _EYES:
        corners = upright[[outer, inner]]
        width = np.linalg.norm(corners[1] - corners[0])
        centre = corners.mean(0) + width * rotation @ _CENTRE
        aside = (upright[iris] - centre)[:2] / (width * _RADIUS)
        aside /= max(1.0, float(np.hypot(*aside)))
        forward = np.sqrt(max(0.0, 1 - float(aside @ aside)))
        directions.append(rotation.T @ (*aside, forward))
    right, up, ahead = np.mean(directions, 0)
    return np.degrees([np.arctan2(right, ahead), np.arctan2(up, np.hypot(right, ahead))])
