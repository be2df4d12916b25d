"""How each size is built and trained: as published, or for minutes on a CPU; and what a user's options change of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from fsbench.errors import BadParameter
from reference_models.augment import Augmentation
from reference_models.gan_mask.losses import Adversarial
from reference_models.gan_mask.networks import RESOLUTIONS, Size, SwapnetShape
from reference_models.gan_mask.perceptual import Layers, Weights, check_weights

Sampling = Literal["uniform", "session"]
Version = Literal["v1", "v2", "v2.2"]


@dataclass(frozen=True)
class Stage:
    """What changes while the published network trains, from `start`, a fraction of the budget, on."""

    start: float
    perceptual: bool
    least_alpha: float | None  # hinge on alpha; without one, alpha itself is kept small
    rate: float  # factor of the learning rates
    exchanged: bool = False  # the decoders have changed places


Schedule = Literal["v2.2", "v2", "v1", "cosine"]
"""cosine is one cosine without perceptual stages, hinge or exchange."""

STAGES = (  # of v2.2; each switch is 150 of 40,000 steps before a round number
    Stage(0, False, None, 1.0),
    Stage(7_850 / 40_000, True, None, 1.0),
    Stage(11_850 / 40_000, True, 0.5, 1.0),
    Stage(15_850 / 40_000, True, 0.2, 1.0),
    Stage(19_850 / 40_000, True, 0.4, 1.0),
    Stage(26_517 / 40_000, True, None, 0.3),
    Stage(31_850 / 40_000, True, 0.1, 0.3, exchanged=True),
    Stage(35_850 / 40_000, True, None, 0.1, exchanged=True),
)


STAGES_V2 = (
    Stage(0, False, None, 1.0),
    Stage(7_850 / 40_000, True, None, 1.0),
    Stage(11_850 / 40_000, True, 0.5, 1.0),
    Stage(15_850 / 40_000, True, 0.25, 1.0),
    Stage(19_850 / 40_000, True, 0.4, 1.0),
    Stage(26_517 / 40_000, True, None, 0.3),
    Stage(35_850 / 40_000, True, None, 0.1, exchanged=True),
)


def stage_at(fraction: float, schedule: Schedule = "v2.2") -> Stage:
    """Return the stage of a schedule at a fraction of the budget, which was published for 40,000 steps."""
    match schedule:
        case "cosine":
            return Stage(0.0, True, None, cosine_rate(fraction))
        case "v1":
            return Stage(0.0, True, None, 1.0)
        case _:
            stages = STAGES if schedule == "v2.2" else STAGES_V2
            return [stage for stage in stages if stage.start <= fraction][-1]


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
    adversarial: Adversarial = "lsgan"
    adversarial_weight: float = 0.1
    mixup: float = 0.2  # concentration of the Beta distribution of what critics see mixed; 0: nothing is mixed
    perceptual_weights: Weights = "published"
    perceptual_layers: Layers = "after"  # or before their activation
    reconstruction: float = 1.0
    face: float = 0.0  # more weight for differences inside the face mask
    eyes: float = 30.0
    edges: float = 0.1
    texture: float = 0.0  # how rough squares of the face are
    alpha: float = 1e-2  # mean of alpha, where no hinge is set
    hinge: float = 0.1
    variation: float = 0.1  # total variation of alpha
    face_alpha: float = 0.0  # alpha shall be the face mask
    sampling: Sampling = "uniform"  # or session: every session equally often
    many_to_one: bool = False  # two decoders, for the first identity and for all others, whose codes are to be alike
    domain_weight: float = 0.1  # of the loss that makes them alike
    schedule: Schedule = "v2.2"
    decay: float = 0.999  # of the running average of the weights
    half_precision: bool = False  # bfloat16 autocast
    augmentation: Augmentation = field(default_factory=Augmentation)


PUBLISHED = Recipe()
TINY = Recipe(
    batch=8,
    rate=4e-3,
    betas=(0.9, 0.99),
    weight_decay=0.0,
    adversarial="none",
    reconstruction=0.1,  # what is around the face is not pasted
    face=6.0,
    eyes=4.0,
    edges=0.5,
    texture=2.5,
    alpha=0.0,
    variation=0.0,
    face_alpha=1.0,
    schedule="cosine",
    half_precision=True,
    augmentation=Augmentation(rotation=2.0, zoom=0.02, shift=0.02, warp=0.02, spread=0.0, recolour=0.5),
)
VERSIONS: dict[Version, dict[str, Any]] = {
    "v2.2": {},
    "v2": {"norm": "none", "attention": False},
    "v1": {
        "norm": "none",
        "attention": False,
        "mask": False,
        "adversarial": "vanilla",
        "adversarial_weight": 0.25,  # published .5, once: without a mask the two images that a critic sees are one
        "mixup": 0.1,
    },
}
"""What a version has in place of v2.2's options."""

NUMBERS: dict[Version, dict[str, Any]] = {
    "v2.2": {},
    "v2": {"edges": 1.0, "eyes": 0.0, "alpha": 1e-3, "variation": 0.01, "schedule": "v2"},
    "v1": {"edges": 0.0, "eyes": 0.0, "batch": 32, "schedule": "v1", "weight_decay": 0.0, "rotation": 20.0},
}
"""What it is trained with, in place of v2.2's numbers; tiny keeps its own."""

RECIPES: dict[Size, Recipe] = {"standard": PUBLISHED, "lite": PUBLISHED, "tiny": TINY}


def configure(options: Mapping[str, Any]) -> tuple[SwapnetShape, Recipe]:
    """Return how a model is built and trained: what its size says, where an option of the same name is "auto".

    Raises BadParameter for options that do not go together.
    """
    given = {name: value for name, value in options.items() if value != "auto"}
    size: Size = given["size"]
    version: Version = given.get("version", "v2.2")
    of_version = VERSIONS[version] | ({} if size == "tiny" else NUMBERS[version])
    shape = _with(SwapnetShape(norm="none" if size == "tiny" else "instance"), of_version | given)
    recipe = _with(RECIPES[size], of_version)
    recipe = _with(recipe, given | _implied(given, recipe))
    recipe = replace(recipe, augmentation=_with(recipe.augmentation, of_version | given))
    if shape.resolution not in RESOLUTIONS:
        raise BadParameter(f"gan_mask(resolution={shape.resolution})", f"it is one of {RESOLUTIONS}")
    if recipe.batch < 1:
        raise BadParameter(f"gan_mask(batch={recipe.batch}) trains on nothing", "batch is 1 or more")
    check_weights(recipe.perceptual_weights)
    if not 0 <= recipe.mixup <= 1:
        raise BadParameter(f"gan_mask(mixup={recipe.mixup}) is out of range", "mixup is 0 to 1")
    if not 0 <= recipe.augmentation.part_swaps <= 1:
        raise BadParameter(
            f"gan_mask(part_swaps={recipe.augmentation.part_swaps}) is out of range", "a probability is 0 to 1"
        )
    return shape, recipe


def _implied(given: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """What the options of the adversarial loss say of one another."""
    kind = given.get("adversarial")
    if "mixup" not in given:
        return {"mixup": 0.0} if kind == "ralsgan" else {}
    if kind == "none":
        raise BadParameter("gan_mask(mixup=...) mixes what critics see, and adversarial=none has none", "leave one out")
    if kind == "ralsgan" and given["mixup"]:
        raise BadParameter("adversarial=ralsgan compares real images with fakes, and has no mixtures", "use mixup=0")
    return {"adversarial": "lsgan"} if kind is None and recipe.adversarial == "none" else {}


def _with(default: Any, given: Mapping[str, Any]) -> Any:
    names = {field.name for field in fields(default)}
    return replace(default, **{name: value for name, value in given.items() if name in names})
