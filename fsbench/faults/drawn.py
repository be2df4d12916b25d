"""Faults that are drawn: the same scene with another person, expression, pose or gaze, true to scale."""

from __future__ import annotations

from fsbench.datasets.synthetic.scenes import Change
from fsbench.faults.fault import Drawn, Fault

SHARES = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


def _rest(share: float) -> float:
    """Share that a loss leaves, rounded: the last bits of the subtraction would change what is drawn."""
    return round(1 - share, 6)


IDENTITY_SHAPE = Fault(
    "identity_shape",
    "identity",
    "share",
    SHARES,
    "A known share of the target's own facial shape is left: the 3D model is drawn with shapes mixed.",
    Drawn(lambda s: Change(shape=_rest(s))),
)
IDENTITY_TEXTURE = Fault(
    "identity_texture",
    "identity",
    "share",
    SHARES,
    "A known share of the target's own skin and irises is left: the 3D model is drawn with textures mixed.",
    Drawn(lambda s: Change(texture=_rest(s))),
    also=("colour",),
)
IDENTITY_MIX = Fault(
    "identity_mix",
    "identity",
    "share",
    SHARES,
    "A known share of the target's own shape and texture is left; at 1 the output is the target.",
    Drawn(lambda s: Change(shape=_rest(s), texture=_rest(s))),
    also=("colour",),
)
EXPRESSION_DAMPED = Fault(
    "expression_damped",
    "expression",
    "share",
    SHARES,
    "A known share of the target's expression is lost, blinks and gaze being kept; at 1 the face is neutral.",
    Drawn(lambda s: Change(expression=_rest(s))),
)
POSE_OFFSET = Fault(
    "pose_offset",
    "pose",
    "degrees",
    (2.0, 4.0, 8.0, 12.0, 18.0, 25.0),
    "The head is drawn turned to the image's right on the spot, by a known angle.",
    Drawn(lambda s: Change(yaw=s)),
    also=("geometry",),
)
GAZE_OFFSET = Fault(
    "gaze_offset",
    "gaze",
    "degrees",
    (2.0, 4.0, 7.0, 11.0, 15.0, 20.0),
    "The eyes are drawn turned to the image's right, by a known angle.",
    Drawn(lambda s: Change(gaze=s)),
)
BLINK_LOST = Fault(
    "blink_lost",
    "expression",
    "share",
    SHARES,
    "A known share of each blink is lost; at 1 the eyes stay open.",
    Drawn(lambda s: Change(blink=_rest(s))),
    also=("wobble",),
    clips=True,
)
