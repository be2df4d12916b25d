"""Sessions, shots and clips: everything about an image that is not the identity.

A session fixes light, background, camera, hair, clothes and glasses; a shot adds pose, expression, gaze and what may be
held before the face. Angles are degrees: positive yaw turns to the image's right, positive pitch looks down, positive
roll tilts the head anticlockwise in the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fsbench.datasets.synthetic.people import Colour, Person
from fsbench.errors import BadParameter

FPS = 25
_TURN_ASIDE, _TURN_UP, _TURN_DOWN = 0.485, 0.322, 0.369  # degrees by thirtieths, fitted to the eyeballs of SEEDS
_STYLE_VOLUME = {"short": 0.10, "buzz": 0.03, "swept": 0.14, "fringe": 0.16, "long": 0.10, "curly": 0.20, "bald": 0.0}
_STYLE_POLE = {
    "short": (0.25, 0.95, -0.35),
    "buzz": (0, 1, -0.5),
    "swept": (0.2, 0.62, 0.75),
    "fringe": (0.1, 0.9, -0.5),
    "long": (0.05, 0.95, 0.1),
    "curly": (0, 1, -0.3),
    "bald": (0, 1, 0),
}

_EXPRESSIONS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile*": 0.8, "cheekSquint*": 0.5, "mouthUpperUp*": 0.2},
    "laugh": {"mouthSmile*": 0.9, "jawOpen": 0.4, "cheekSquint*": 0.7, "eyeSquint*": 0.4, "mouthUpperUp*": 0.3},
    "open": {"jawOpen": 0.6},
    "surprise": {"jawOpen": 0.45, "browInnerUp": 0.8, "browOuterUp*": 0.8, "eyeWide*": 0.6},
    "angry": {"browDown*": 0.9, "eyeSquint*": 0.4, "mouthPress*": 0.6, "noseSneer*": 0.3},
    "sad": {"browInnerUp": 0.8, "mouthFrown*": 0.8},
    "pucker": {"mouthPucker": 0.8},
    "funnel": {"mouthFunnel": 0.7, "jawOpen": 0.2},
    "squint": {"eyeSquint*": 0.8},
    "smirk": {"mouthSmileLeft": 0.8, "cheekSquintLeft": 0.4, "mouthDimpleLeft": 0.5},
    "talk": {"jawOpen": 0.25, "mouthLowerDown*": 0.4, "mouthUpperUp*": 0.25},
    "blink": {"eyeBlink*": 1.0},
}


@dataclass(frozen=True)
class Hair:
    """How the hair is worn; strands run away from `pole` over the scalp."""

    style: str
    volume: float  # decimetres
    pole: tuple[float, float, float]
    line: float
    receding: float
    colour: Colour
    seed: int


@dataclass(frozen=True)
class Light:
    """A key light with a direction, a fill opposite, a rim from behind, and the sky and ground around."""

    azimuth: float  # degrees from the camera, to the image's right
    elevation: float
    key: Colour
    sky: Colour
    ground: Colour
    fill: float
    rim: float


@dataclass(frozen=True)
class Session:
    """Images taken together."""

    seed: int
    background: int  # seed of the place
    light: Light
    exposure: float
    field_of_view: float  # degrees
    scale: float  # share of the frame's height that the head takes
    offset: tuple[float, float]  # of the head in the frame, in half frames
    hair: Hair
    cloth: Colour
    neckline: float
    glasses: str  # "", "round", "square" or "thin"
    noise: float

    def tinted(self, tint: float) -> Session:
        """The same in warmer and brighter light; with a tint below 0, in colder and darker light."""
        factors = np.array([1 + tint, 1, 1 - tint])
        key, sky, ground = (_colour(np.array(c) * factors) for c in (self.light.key, self.light.sky, self.light.ground))
        return replace(
            self, light=replace(self.light, key=key, sky=sky, ground=ground), exposure=self.exposure * (1 + tint)
        )


@dataclass(frozen=True)
class Shot:
    """One image of a session."""

    seed: int  # of sensor noise, alignment jitter, occluder
    yaw: float
    pitch: float
    roll: float
    body_yaw: float
    actions: Mapping[str, float]  # expression coefficients by name, without gaze
    gaze: tuple[float, float]  # thirtieths of a coefficient, right and up: see true_gaze
    occluder: str = ""  # "", "microphone" or "hand"


@dataclass(frozen=True)
class Change:
    """How a swap departs from the exact one; by default it does not. Raises BadParameter.

    Light, background, clothes and crop stay what they are. Eyes that a squint narrows belong to the expression.
    """

    shape: float = 1.0  # 0 the target's own person, 1 the source
    texture: float = 1.0  # likewise: skin and iris, and the hair of a head swap
    expression: float = 1.0  # factor on all actions but blinks
    blink: float = 1.0  # factor on blinks
    yaw: float = 0.0  # degrees added to the head's
    pitch: float = 0.0
    gaze: float = 0.0  # degrees that the eyes turn further to the image's right

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            low, high = (-45, 45) if name in ("yaw", "pitch", "gaze") else (0, 1)
            if not low <= value <= high:
                raise BadParameter(f"a change of {name} to {value} cannot be drawn", f"{name} is {low} to {high}")

    def of(self, shot: Shot) -> Shot:
        """Return what a swap with this change shows instead of the shot."""
        actions = {
            name: value * (self.blink if name.startswith("eyeBlink") else self.expression)
            for name, value in shot.actions.items()
        }
        return replace(
            shot,
            yaw=shot.yaw + self.yaw,
            pitch=shot.pitch + self.pitch,
            actions=actions,
            gaze=(shot.gaze[0] + self.gaze / _TURN_ASIDE, shot.gaze[1]),
        )


EXACT = Change()
"""No change."""


def _colour(values: np.ndarray) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def sample_session(person: Person, seed: int, *, plain: bool = False) -> Session:
    """Return a session of a person; `plain` has neither glasses nor another hair style."""
    rng = np.random.default_rng([person.seed, seed, 2])
    warmth, tint = rng.normal() * 0.10, rng.normal(size=3) * 0.05
    key, ambient = rng.uniform(0.8, 2.6), rng.uniform(0.4, 0.95)
    light = Light(
        azimuth=float(rng.uniform(-70, 70)),
        elevation=float(rng.uniform(5, 55)),
        key=_colour(key * np.array([1 + warmth, 1, 1 - warmth])),
        sky=_colour(ambient * np.array([0.93, 0.98, 1.06]) * (1 + tint)),
        ground=_colour(ambient * np.array([0.56, 0.5, 0.45]) * (1 + tint)),
        fill=float(rng.uniform(0.15, 0.6)),
        rim=float(0.6 * rng.random() ** 2),
    )
    brightness = 0.62 * key * math.cos(math.radians(light.azimuth)) ** 0.5 + 0.8 * ambient
    reflectance = float(np.mean(person.skin))
    exposure = 1.25 / brightness / (reflectance / 0.25) ** 0.38 * rng.uniform(0.85, 1.15)
    style = person.style
    if not plain and style not in ("bald", "buzz") and rng.random() < 0.15:
        style = str(rng.choice(["short", "swept", "fringe"]))
    hair = _sample_hair(person, style, rng)
    cloth = rng.random() ** 1.6 * 0.5 + 0.02
    return Session(
        seed=seed,
        background=int(rng.integers(1 << 30)),
        light=light,
        exposure=float(exposure),
        hair=hair,
        field_of_view=float(rng.uniform(14, 32)),
        scale=float(rng.uniform(0.60, 0.78)),
        offset=(float(rng.normal() * 0.03), float(rng.normal() * 0.03)),
        cloth=_colour(np.clip(cloth * (1 + rng.normal(size=3) * 0.45), 0.01, 0.7)),
        neckline=float(rng.normal() * 0.10 - 0.3),
        glasses=str(rng.choice(["round", "square", "thin"])) if not plain and rng.random() < 0.12 else "",
        noise=float(rng.uniform(0.002, 0.010)),
    )


def _sample_hair(person: Person, style: str, rng: np.random.Generator) -> Hair:
    pole = np.array(_STYLE_POLE[style]) + rng.normal(size=3) * 0.12
    return Hair(
        style,
        _STYLE_VOLUME[style] * float(rng.uniform(0.75, 1.25)),
        _colour(pole / np.linalg.norm(pole)),
        person.hairline + float(rng.normal() * 0.01),
        person.receding,
        person.hair_colour,
        int(rng.integers(1 << 30)),
    )


def with_hair_of(person: Person, session: Session) -> Session:
    """Return the session with another person's hair: what a head swap shows."""
    rng = np.random.default_rng([person.seed, session.seed, 13])
    return replace(session, hair=_sample_hair(person, person.style, rng))


def sample_shot(
    seed: int, stream: tuple[int, ...], *, yaw: float = 40, pitch: float = 18, occluded: float = 0.03
) -> Shot:
    """Return a still; yaw and pitch stay within the given degrees, small turns being more frequent than large.

    `occluded` is the probability of an occluder.
    """
    rng = np.random.default_rng([seed, *stream, 3])
    turned, tilted = (2 * rng.beta(1.7, 1.7, 2) - 1) * (yaw, pitch)
    actions: dict[str, float] = {}
    for name in rng.choice(list(_EXPRESSIONS), size=2, p=_shares()):
        amount = rng.uniform(0.15, 0.9)
        for action, value in expression(str(name)).items():
            actions[action] = float(min(1.0, actions.get(action, 0.0) + amount * value))
    gaze = np.clip(rng.normal(size=2) * (7, 4), -20, 20)
    return Shot(
        seed=int(rng.integers(1 << 31)),
        yaw=float(turned),
        pitch=float(tilted),
        roll=float(rng.normal() * 6),
        body_yaw=float(turned * rng.uniform(0.2, 0.6)),
        actions=actions,
        gaze=(float(gaze[0]), float(gaze[1])),
        occluder=str(rng.choice(["microphone", "hand"])) if rng.random() < occluded else "",
    )


def _shares() -> np.ndarray:
    shares = np.array([0.25 if name in ("neutral", "blink") else 1.0 for name in _EXPRESSIONS])
    return np.asarray(shares / shares.sum())


def expression(name: str) -> dict[str, float]:
    """Return the coefficients of a named expression at full strength."""
    actions = {}
    for action, value in _EXPRESSIONS[name].items():
        for side in ("Left", "Right") if action.endswith("*") else ("",):
            actions[action.removesuffix("*") + side] = value
    return actions


def true_gaze(gaze: np.ndarray) -> np.ndarray:
    """(..., 2) as a shot has it -> degrees that the eyeballs turn, to the image's right and up, relative to the head.

    Smaller than the number that a shot asks for, as the head model's coefficients turn its eyes by less than 30
    degrees. A mean over people, from which they differ by 6 %.
    """
    return gaze * np.where([True, False], _TURN_ASIDE, np.where(gaze > 0, _TURN_UP, _TURN_DOWN))


def gaze_actions(gaze: tuple[float, float]) -> dict[str, float]:
    """Return the coefficients that turn the eyes."""
    right, up = gaze[0] / 30, gaze[1] / 30
    return {
        "eyeLookOutLeft": max(right, 0),
        "eyeLookInLeft": max(-right, 0),
        "eyeLookInRight": max(right, 0),
        "eyeLookOutRight": max(-right, 0),
        **{
            f"eyeLook{way}{side}": max(value, 0.0)
            for side in ("Left", "Right")
            for way, value in (("Up", up), ("Down", -up))
        },
    }


def sample_clip(seed: int, stream: tuple[int, ...], n_frames: int) -> list[Shot]:
    """Return consecutive shots of a talking head at 25 frames a second: sums of slow sines, syllables, blinks."""
    rng = np.random.default_rng([seed, *stream, 4])
    phase, speed = rng.random(12) * 2 * math.pi, rng.uniform(0.8, 1.25, 12)
    swing, start = rng.uniform(12, 26), replace(sample_shot(seed, (*stream, 9)), occluder="")

    def wave(k: int, hertz: float, t: float) -> float:
        return math.sin(2 * math.pi * hertz * speed[k] * t + phase[k])

    shots = []
    for frame in range(n_frames):
        t = frame / FPS
        yaw = swing * wave(0, 0.3, t) + 3 * wave(1, 1.0, t)
        syllable = max(0.0, 0.5 * wave(4, 3.6, t) + 0.5 * wave(5, 2.3, t))
        round_lips, smile = max(0.0, wave(6, 1.7, t)) ** 2, 0.3 + 0.25 * wave(8, 0.25, t)
        blink = math.exp(-((((t + phase[7]) % 2.1 - 1) / 0.06) ** 2))
        actions = {
            "jawOpen": 0.5 * syllable,
            "mouthFunnel": 0.5 * round_lips * syllable,
            "mouthPucker": 0.4 * round_lips * (1 - syllable),
            "browInnerUp": max(0.0, 0.5 * wave(9, 0.4, t)),
        }
        for side in ("Left", "Right"):
            actions |= {
                f"mouthSmile{side}": 0.7 * smile,
                f"mouthUpperUp{side}": 0.3 * syllable,
                f"mouthLowerDown{side}": 0.4 * syllable,
                f"eyeBlink{side}": blink,
            }
        shots.append(
            replace(
                start,
                seed=start.seed + frame,
                yaw=yaw,
                pitch=7 * wave(2, 0.5, t),
                roll=5 * wave(3, 0.3, t),
                body_yaw=0.3 * swing * wave(0, 0.3, t - 0.1),
                actions=actions,
                gaze=(8 * wave(10, 0.2, t) - 0.3 * yaw, 3 * wave(11, 0.3, t)),
            )
        )
    return shots
