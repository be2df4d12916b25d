"""Names to choose from that plans and commands share; free of torch and pydantic, which are slow to import."""

from __future__ import annotations

from typing import Literal

Preset = Literal["fsbench", "exact", "faceswap_gan", "insightface", "facefusion", "simswap", "deepfacelab"]
"""Names of `fsbench.faces.paste.PRESETS`."""

LogFormat = Literal["text", "json"]
"""What standard error holds while a command is at work."""

Stages = Literal["crop", "frame", "both"]
"""Where a run looks."""

Precision = Literal["float32", "bfloat16", "float16"]
"""What judges and observers compute in, where they can."""
