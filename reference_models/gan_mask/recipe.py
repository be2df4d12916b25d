"""How each size is trained: the published schedule, and one for minutes on a CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from reference_models.augment import Augmentation
from reference_models.gan_mask.networks import Size


@dataclass(frozen=True)
class Stage:
    """What changes while the published network trains, from `start`, a fraction of the budget, on."""

    start: float
    perceptual: bool
    least_alpha: float | None  # hinge on alpha; without one, alpha itself is kept small
    rate: float  # factor of the learning rates
    exchanged: bool = False  # the decoders have changed places


STAGES = (  # each switch is 150 of 40,000 steps before a round number
    Stage(0, False, None, 1.0),
    Stage(7_850 / 40_000, True, None, 1.0),
    Stage(11_850 / 40_000, True, 0.5, 1.0),
    Stage(15_850 / 40_000, True, 0.2, 1.0),
    Stage(19_850 / 40_000, True, 0.4, 1.0),
    Stage(26_517 / 40_000, True, None, 0.3),
    Stage(31_850 / 40_000, True, 0.1, 0.3, exchanged=True),
    Stage(35_850 / 40_000, True, None, 0.1, exchanged=True),
)


def stage_at(fraction: float) -> Stage:
    """Return the stage of the published schedule (faceswap-GAN v2.2, 40,000 steps) at a fraction of the budget."""
    return [stage for stage in STAGES if stage.start <= fraction][-1]


def cosine_rate(fraction: float, warm_up: float = 0.03) -> float:
    """Factor of the learning rate: a linear warm-up, then half a cosine down to 0."""
    if fraction < warm_up:
        return (fraction + 0.1 * warm_up) / (1.1 * warm_up)
    return (1 + math.cos(math.pi * (fraction - warm_up) / (1 - warm_up))) / 2


@dataclass(frozen=True)
class Recipe:
    """Numbers that training depends on; the defaults are the published ones."""

    batch: int = 8  # images per identity and step
    rate: float = 1e-4  # of the generator
    critic_rate: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 2e-4  # the published penalty 1e-4 |w|^2, as its gradient; convolutions only
    adversarial: float = 0.1
    reconstruction: float = 1.0
    face: float = 0.0  # more weight for differences inside the face mask
    eyes: float = 30.0
    edges: float = 0.1
    alpha: float = 1e-2  # mean of alpha, where no hinge is set
    hinge: float = 0.1
    variation: float = 0.1  # total variation of alpha
    face_alpha: float = 0.0  # alpha shall be the face mask
    published_stages: bool = True  # or one cosine, without perceptual loss, hinge or exchange
    decay: float = 0.999  # of the running average of the weights
    half_precision: bool = False  # bfloat16 autocast
    augmentation: Augmentation = field(default_factory=Augmentation)


PUBLISHED = Recipe()
TINY = Recipe(
    batch=8,
    rate=4e-3,
    betas=(0.9, 0.99),
    weight_decay=0.0,
    adversarial=0.0,
    face=3.0,
    eyes=4.0,
    edges=0.5,
    alpha=0.0,
    variation=0.0,
    face_alpha=1.0,
    published_stages=False,
    half_precision=True,
    augmentation=Augmentation(rotation=5.0, zoom=0.05, shift=0.05, warp=0.07, spread=0.0, recolour=0.5),
)
RECIPES: dict[Size, Recipe] = {"standard": PUBLISHED, "lite": PUBLISHED, "tiny": TINY}
