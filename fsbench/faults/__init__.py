"""Known faults at known strengths, to which `fsbench validate` measures the responses of metrics.

A fault is one `Fault` and one name in the table below. Strength 0 is the exact swap of a data set that knows it. The
strengths go from there to a gross fault, with the same outputs and the same random numbers.
"""

from __future__ import annotations

from fsbench.faults import drawn, paste, pixels, sequence
from fsbench.faults.fault import TEMPORAL, Fault, Scene, draw_ahead

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        pixels.BLUR,
        pixels.NOISE,
        pixels.JPEG,
        paste.COLOUR_CAST,
        paste.ALPHA_SEAM,
        pixels.SHIFT,
        pixels.SCALE,
        drawn.IDENTITY_SHAPE,
        drawn.IDENTITY_TEXTURE,
        drawn.IDENTITY_MIX,
        drawn.EXPRESSION_DAMPED,
        drawn.BLINK_LOST,
        drawn.GAZE_OFFSET,
        drawn.POSE_OFFSET,
        sequence.JITTER,
        sequence.WOBBLE,
        paste.FLICKER,
        sequence.PUMPING,
        sequence.LAG,
        sequence.REPEATED,
        sequence.FROZEN,
        sequence.COPY_TARGET,
        sequence.COPY_SOURCE,
    )
}
"""All faults by name: detail, colour and blending, geometry, identity, the target's attributes, time, copies."""

__all__ = ["FAULTS", "TEMPORAL", "Fault", "Scene", "draw_ahead"]
