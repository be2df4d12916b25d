"""Which images there are: splits, sessions and chunks, and what a renderer is to draw for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from fsbench.datasets.synthetic import layout
from fsbench.datasets.synthetic.asset import asset_sha256
from fsbench.datasets.synthetic.people import Person, person_seed
from fsbench.datasets.synthetic.render import VERSION, Drawing, Renderer
from fsbench.datasets.synthetic.scenes import EXACT, Change, Session, Shot, sample_clip, sample_session, sample_shot
from fsbench.interfaces import Split

CHUNK = 20
YAW, OCCLUDED = 40.0, 0.03
"""Of data sets that do not say otherwise: largest turn of stills in degrees, and share of those with an occluder."""
_GALLERY_SESSIONS, _GALLERY_IMAGES = 2, 2
_PITCH = 0.45  # of the largest yaw: the largest pitch
_LATER = {"dominant": 0.0, "sources": 0, "unseen": 0, "light_gap": 0.0, "yaw": YAW, "occluded": OCCLUDED}
"""Parameters that earlier versions did not have, as they were before they could vary."""


@dataclass(frozen=True)
class Item:
    """One image by its place in the data set."""

    person: int
    session: int
    frame: int
    clip: int = -1  # number of the clip, -1 for a still

    @property
    def identity(self) -> str:
        return f"p{self.person:03d}"

    @property
    def id(self) -> str:
        return f"{self.identity}/s{self.session:02d}/{self.frame:04d}"


@dataclass(frozen=True)
class Chunk:
    """Images that are drawn and stored together; everything that decides their pixels, as JSON values."""

    items: tuple[Item, ...]
    seed: int
    size: int
    jitter: float
    source: int = -1  # the person swapped in, -1 for the plain images
    swap: Literal["face", "head"] = "face"
    change: Change = EXACT  # of a swap
    tint: float = 0.0  # of the light, see `Session.tinted`
    yaw: float = YAW
    occluded: float = OCCLUDED
    points: bool = False  # also where the points of the layout lie, and which of them are seen
    margin: int = 0  # pixels around the crop, which is in the middle

    @property
    def recipe(self) -> dict[str, Any]:
        """What the cache key is made of; what is as it was before it could vary is left out, so that keys last."""
        people = {item.person for item in self.items} | ({self.source} if self.source >= 0 else set())
        seeds = {person: person_seed(person, self.seed) for person in sorted(people)}
        chunk = asdict(self)
        later = {"change": EXACT, "tint": 0.0, "yaw": YAW, "occluded": OCCLUDED, "points": False, "margin": 0}
        for name, usual in later.items():
            if getattr(self, name) == usual:
                del chunk[name]
        drawn = {"renderer": VERSION, "layout": layout.VERSION} if self.points else {"renderer": VERSION}
        return {"chunk": chunk, "people": seeds, "asset": asset_sha256(), **drawn}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Chunk:
        return cls(
            **{**data, "items": tuple(Item(**item) for item in data["items"]), "change": Change(**data["change"])}
        )


@dataclass(frozen=True)
class SyntheticPlan:
    """The parameters of a data set."""

    people: int
    sessions: int
    images: int  # stills in a training session; a quarter in a test session
    gallery: int  # further people
    size: int
    seed: int
    jitter: float
    swap: Literal["face", "head"]
    clips: int = 0  # of each person, in the test split
    frames: int = 48  # of each clip
    dominant: float = 0.0  # share of a person's training images that are of the first session; 0: all alike
    sources: int = 0  # the first people, who are put into all others; 0: everybody
    unseen: int = 0  # the last people, who have no training images
    light_gap: float = 0.0  # how much warmer and brighter the light on every second person is, and colder on the others
    yaw: float = YAW
    occluded: float = OCCLUDED

    @property
    def facts(self) -> dict[str, Any]:
        """Its parameters, as JSON values; without those that are as in earlier versions."""
        return {name: value for name, value in vars(self).items() if name not in _LATER or value != _LATER[name]}

    @property
    def named_sources(self) -> tuple[str, ...]:
        """Identities that are put into others, where that is not everybody."""
        n = min(self.sources or self.people, self.people - self.unseen)
        return tuple(Item(person, 0, 0).identity for person in range(n)) if n < self.people else ()

    @property
    def n_test(self) -> int:
        """Held-out sessions of each person."""
        return max(1, round(self.sessions * 10 / 22))

    def chunks(self, split: Split) -> list[Chunk]:
        """Return the chunks of a split, in order."""
        groups = {"train": self._train, "test": self._test, "gallery": self._gallery}[split]()
        return [
            Chunk(
                tuple(group[k : k + CHUNK]),
                self.seed,
                self.size,
                self.jitter,
                tint=self._tint(group[0].person),
                yaw=self.yaw,
                occluded=self.occluded,
            )
            for group in groups
            for k in range(0, len(group), CHUNK)
        ]

    def _tint(self, person: int) -> float:
        """Of the light on a person: warm for every second, cold for the others, none for the gallery."""
        return 0.0 if person >= self.people else self.light_gap if person % 2 else -self.light_gap

    def exact(self, chunk: Chunk, source: int) -> Chunk:
        """Return the chunk of exact swaps of a person into the images of `chunk`."""
        return replace(chunk, source=source, swap=self.swap)

    def _stills(self, person: int, sessions: range, images: int) -> Iterator[list[Item]]:
        for session in sessions:
            yield [Item(person, session, frame) for frame in range(images)]

    def _train(self) -> list[list[Item]]:
        return [
            [Item(person, session, frame) for frame in range(images)]
            for person in range(self.people - self.unseen)
            for session, images in enumerate(self._training_images())
        ]

    def _training_images(self) -> list[int]:
        """Images in each training session; a dominant one takes from the others, so that the total stays."""
        n, total = self.sessions - self.n_test, (self.sessions - self.n_test) * self.images
        if not self.dominant or n < 2:
            return [self.images] * n
        rest, more = divmod(total - round(self.dominant * total), n - 1)
        return [round(self.dominant * total), *(max(1, rest + (k < more)) for k in range(n - 1))]

    def _test(self) -> list[list[Item]]:
        sessions, images = range(self.sessions - self.n_test, self.sessions), max(1, self.images // 4)
        stills = [group for person in range(self.people) for group in self._stills(person, sessions, images)]
        return stills + [
            [Item(person, self.sessions + clip, frame, clip) for frame in range(self.frames)]
            for person in range(self.people)
            for clip in range(self.clips)
        ]

    def _gallery(self) -> list[list[Item]]:
        items = [
            item
            for person in range(self.people, self.people + self.gallery)
            for group in self._stills(person, range(_GALLERY_SESSIONS), _GALLERY_IMAGES)
            for item in group
        ]
        return [items] if items else []


@lru_cache(maxsize=8)
def _clip(seed: int, session: int, n_frames: int) -> list[Shot]:
    return sample_clip(seed, (session,), n_frames)


def scene(renderer: Renderer, item: Item, chunk: Chunk) -> tuple[Person, Session, Shot]:
    """Return the person, session and shot that an item of a chunk names."""
    seed = chunk.seed
    number = person_seed(item.person, seed)
    person = renderer.person(number)
    session = sample_session(person, 1000 * seed + item.session)
    if item.clip < 0:
        pitch = _PITCH * chunk.yaw
        shot = sample_shot(number, (session.seed, item.frame), yaw=chunk.yaw, pitch=pitch, occluded=chunk.occluded)
        return person, session, shot
    n_frames = CHUNK * (1 + item.frame // CHUNK)  # what a frame shows does not depend on how many follow
    return person, session, _clip(number, session.seed, n_frames)[item.frame]


def draw(renderer: Renderer, item: Item, chunk: Chunk) -> tuple[Drawing, Session, Shot]:
    """Draw one item of a chunk; the shot is the one that the drawing shows."""
    person, session, shot = scene(renderer, item, chunk)
    face = renderer.person(person_seed(chunk.source, chunk.seed)) if chunk.source >= 0 else None
    session = session.tinted(chunk.tint) if chunk.tint else session
    drawing = renderer.draw(session, shot, person, face, swap=chunk.swap, change=chunk.change)
    return drawing, session, chunk.change.of(shot)
